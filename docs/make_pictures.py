"""Draw the pictures of the docs from the bundled sample.

python docs/make_pictures.py
python docs/make_pictures.py RUN    that of docs/prompt.md too, from the run that it makes
"""

import re
import runpy
import sys
import tempfile
from pathlib import Path

from rich.console import Console, RenderableType

from rlvr.analysis import SUMMARY_COLUMNS, summarise
from rlvr.analysis.replicates import Wanted
from rlvr.cli.asking import ask
from rlvr.cli.comparing import compare_named
from rlvr.cli.contrast import contrast_page
from rlvr.cli.opening import Opened, open_named, open_sample
from rlvr.cli.paging import Page
from rlvr.cli.prompt import example_page
from rlvr.cli.rewards import examine as examine_rewards
from rlvr.cli.tools import examine as examine_tools
from rlvr.diagnosis import diagnose_run
from rlvr.questions.contrasting import Wanted as Contrasted
from rlvr.questions.contrasting import contrast_run
from rlvr.questions.histories import named_example, read_example, read_table
from rlvr.views.compare import comparison_picture
from rlvr.views.plots import save_picture
from rlvr.views.rewards import reward_picture
from rlvr.views.terminal.run import comparison_view
from rlvr.views.terminal.verdict import verdict_view
from rlvr.views.tools import tool_picture

PICTURES = Path(__file__).parent / "pictures"
EXAMPLE = "2hop__711738_960673"


def main() -> None:
    """Write every picture."""
    PICTURES.mkdir(exist_ok=True)
    summaries = {
        name: summarise(open_sample(name).run.to_arrow(list(SUMMARY_COLUMNS)))
        for name in ("upstream", "repaired")
    }
    draw("demo", comparison_view(summaries), title="rlvr show --sample")
    upstream = open_sample("upstream")
    verdict = verdict_view(diagnose_run(upstream.run), run=upstream.argument, title="upstream")
    draw_plots()
    draw_comparison()
    draw("verdict", verdict, title="rlvr diagnose --sample upstream", width=110)
    found = contrast_run(upstream.run, Contrasted())
    page = contrast_page(upstream, found, Page(total=0, offset=0, limit=12))
    draw("contrast", page, title="rlvr contrast --sample upstream --limit 12", width=110)
    if len(sys.argv) > 1:
        draw_prompt(open_named(sys.argv[1]))


def draw_prompt(opened: Opened) -> None:
    """The page of EXAMPLE, which the run of docs/prompt.md visits at every step."""
    table = read_table(opened.run, component=None, threshold=None)
    name = named_example(table, EXAMPLE)
    page = example_page(opened, read_example(table, name), Page(total=0, offset=0, limit=12))
    draw("prompt", page, title=f"rlvr prompt {opened.argument} {name} --limit 12", width=110)


def draw_plots() -> None:
    """Draw what `rlvr rewards --sample --plot FILE` and `rlvr tools --sample --plot FILE` draw."""
    asked = ask("repaired", sample=True, mode=None, steps=None)
    rewards = reward_picture(examine_rewards(asked), title=asked.named)
    save_picture(rewards, PICTURES / "rewards.svg")
    tools = tool_picture(examine_tools(asked), title=asked.named)
    save_picture(tools, PICTURES / "tools.svg")


def draw_comparison() -> None:
    """Draw what `rlvr compare FOLDER --plot FILE` draws of the sweep of the examples."""
    example = Path(__file__).parents[1] / "examples" / "record_a_sweep.py"
    with tempfile.TemporaryDirectory() as folder:
        runpy.run_path(str(example))["main"](Path(folder))
        found = compare_named([folder], Wanted())
    picture = comparison_picture(found.comparison, found.measure, passes=found.passes)
    save_picture(picture, PICTURES / "compare.svg")


def draw(name: str, page: RenderableType, *, title: str, width: int = 92) -> None:
    """Draw one page of the terminal as pictures/NAME.svg."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=width, force_terminal=True, file=nowhere)
        console.print(page)
    picture = console.export_svg(title=title)
    # Rich points to a font on another host; a picture of ours asks nobody for anything.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    picture = picture.replace("Fira Code", "DejaVu Sans Mono")
    (PICTURES / f"{name}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
