"""Make the pictures of the viewer's pages, in both themes, from the bundled runs.

python docs/make_page_pictures.py
python docs/make_page_pictures.py --only run tokens
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from rlvr.cli.opening import open_sample, sample_folder
from rlvr.views.web import Places

PICTURES = Path(__file__).parent / "pictures"
THEMES = ("light", "dark")
SIZE = {"width": 1280, "height": 860}


def main() -> None:
    """Write every picture that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", help="names of pages")
    options = parser.parse_args()
    pages = {name: url for name, url in paths().items() if name in (options.only or paths())}
    with viewer() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        for theme in THEMES:
            draw(browser, url, pages, theme)
        browser.close()


def paths() -> Mapping[str, str]:
    """The pages by the names of their pictures."""
    upstream, repaired = open_sample("upstream").run, open_sample("repaired").run
    bad, good = Places(run=upstream.id), Places(run=repaired.id)
    detailed = next(one for one in upstream.trajectories() if one.tokens)
    group = detailed.group_id
    assert detailed.id is not None
    assert detailed.example_id is not None
    return {
        "runs": "/",
        "run": good.of_run(),
        "run-upstream": bad.of_run(),
        "rollouts": good.of_rollouts(order="reward", descending=1),
        "step": bad.of_step(detailed.step),
        "group": bad.of_group(group),
        "trajectory": bad.of_trajectory(detailed.id),
        "tokens": bad.of_tokens(detailed.id),
        "rewards": good.of_rewards(),
        "contrast": bad.of_contrast(),
        "tools": bad.of_tools(),
        "prompts": good.of_prompts(),
        "prompt": bad.of_prompt(detailed.example_id),
        "diagnosis": bad.of_diagnosis(),
        "diagnosis-repaired": good.of_diagnosis(),
        "search": bad.of_search(q='"not valid JSON"'),
        "comparison": bad.of_comparison(repaired.id),
    }


def draw(browser: Browser, url: str, pages: Mapping[str, str], theme: str) -> None:
    """The pages in one theme: what a screen shows of each."""
    origin = url.partition("/?")[0]
    context = browser.new_context(color_scheme=theme, viewport=SIZE)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    for name, path in pages.items():
        page.goto(origin + path)
        while page.locator("meta[http-equiv=refresh]").count():
            page.wait_for_timeout(300)
            page.goto(origin + path)
        while "being judged" in page.inner_text("body"):
            page.wait_for_timeout(300)
            page.reload()
        keep(page.screenshot(), PICTURES / f"view-{name}-{theme}.png")
    context.close()


def keep(screenshot: bytes, path: Path) -> None:
    """Write the picture with 128 colours, which is a third of its size."""
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


@contextlib.contextmanager
def viewer() -> Iterator[str]:
    """The bundled runs, served; the URL to open."""
    program = "from rlvr.cli import main; main()"
    command = [sys.executable, "-c", program, "view", str(sample_folder()), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said = ""
    while not said.endswith("}\n"):
        said += server.stdout.readline()
    try:
        yield json.loads(said)["url"]
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
