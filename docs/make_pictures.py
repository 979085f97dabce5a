"""Draw the pictures of the docs from the bundled sample.

python docs/make_pictures.py
"""

import re
from pathlib import Path

from rich.console import Console

from rlvr.analysis import SUMMARY_COLUMNS, summarise
from rlvr.cli.opening import open_sample
from rlvr.views.terminal.run import comparison_view

PICTURES = Path(__file__).parent / "pictures"


def main() -> None:
    """Write every picture."""
    summaries = {
        name: summarise(open_sample(name).run.to_arrow(list(SUMMARY_COLUMNS)))
        for name in ("upstream", "repaired")
    }
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=92, force_terminal=True, file=nowhere)
        console.print(comparison_view(summaries))
    PICTURES.mkdir(exist_ok=True)
    picture = console.export_svg(title="rlvr show --sample")
    # Rich points to a font on another host; a picture of ours asks nobody for anything.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    picture = picture.replace("Fira Code", "DejaVu Sans Mono")
    (PICTURES / "demo.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
