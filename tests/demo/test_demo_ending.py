"""What the demo ends with, on the recordings that come with rlvr."""

import pytest
from rich.console import Console

from rlvr.cli.opening import open_sample
from rlvr.demo.ending import ending

SCREENS = 2 * 50


@pytest.fixture(scope="module")
def printed() -> str:
    runs = {name: open_sample(name).run for name in ("upstream", "repaired")}
    console = Console(width=120, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        for part in ending(runs, {name: f"outputs/demo/{name}" for name in runs}, "outputs/demo"):
            console.print(part, crop=False)
    return capture.get()


def verdict_on(name: str, printed: str) -> str:
    return printed.partition(f"── The verdict on {name} ──")[2].partition("\n── ")[0]


def test_the_verdict_on_the_shipped_trainer_names_its_defects_with_all_it_takes(
    printed,
):
    shown = verdict_on("upstream", printed)
    assert "Nothing of what this run trained on is sound" in shown
    for code in ("context-not-attended", "tokens-not-sampled"):
        finding = shown.partition(f"ERROR  {code}")[2].partition("\n\n")[0]
        assert "corrupted (100%)" in finding.splitlines()[0]
        assert "could refute it" in finding
        assert "what to do" in finding
        assert "  rlvr show outputs/demo/upstream train-s" in finding
        assert "--token" in finding


def test_the_verdict_on_the_repaired_trainer_has_no_error(printed):
    shown = verdict_on("repaired", printed)
    assert "✓  No defect found" in shown or "No error found" in shown
    assert "ERROR" not in shown


def test_the_last_lines_say_how_to_see_all_of_it(printed):
    commands = printed.split("── Next ──")[-1]
    assert commands.index("rlvr diagnose outputs/demo/upstream") < commands.index("rlvr show")
    assert "rlvr diagnose outputs/demo/repaired" in commands
    assert "rlvr view outputs/demo  " in commands


def test_what_follows_the_trajectories_fits_two_screens(printed):
    assert len(printed[printed.index("\ncomponents, repaired") :].splitlines()) <= SCREENS
