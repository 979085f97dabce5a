"""Each code has a page, each page the same layout, and each command in a page exists."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from rlvr.cli.app import build
from rlvr.diagnosis import CODES

FOLDER = Path(__file__).parents[2] / "docs" / "findings"
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
SECTIONS = re.findall(r"^\d+\. `(## .+)`", INDEX, flags=re.MULTILINE)

VERBS = typer.main.get_command(build())


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def commands(text: str) -> list[list[str]]:
    """Every `rlvr ...` between backquotes or on a line of code, in words, without the program."""
    inline = re.findall(r"`rlvr ([^`]+)`", re.sub(r"\s+", " ", text))
    lines = re.findall(r"^(?: {4})?rlvr (.+?)(?: {2,}.*)?$", text, flags=re.MULTILINE)
    return [shlex.split(command) for command in [*inline, *lines]]


def test_the_layout_is_declared() -> None:
    assert len(SECTIONS) == 7


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page_and_a_line_in_the_index(code: str) -> None:
    assert code in PAGES
    assert f"| [{code}]({code}.md) |" in INDEX


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_of_a_code(name: str) -> None:
    assert name in CODES


def test_the_index_names_the_codes_and_nothing_else() -> None:
    assert sorted(re.findall(r"^\| \[([a-z-]+)\]", INDEX, flags=re.MULTILINE)) == sorted(CODES)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_the_layout(name: str) -> None:
    text = page(name)
    assert text.splitlines()[0] == f"# {name}"
    assert re.findall(r"^## .+", text, flags=re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("name", ["README", *PAGES])
def test_every_link_leads_to_a_page(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page(name)):
        assert target.startswith("http") or (FOLDER / target).exists(), target


@pytest.mark.parametrize("name", ["README", *PAGES])
def test_every_command_of_a_page_parses(name: str) -> None:
    assert isinstance(VERBS, typer.core.TyperGroup)
    for words in commands(page(name)):
        verb, *arguments = words
        command = VERBS.commands.get(verb)
        assert command is not None, f"there is no `rlvr {verb}`"
        if arguments:  # a verb alone may be its name in a sentence
            # A letter that stands for a number, as in `--step N`.
            given = ["0" if re.fullmatch("[A-Z]", word) else word for word in arguments]
            command.make_context(f"rlvr {verb}", given)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_shows_how_to_look_at_its_finding(name: str) -> None:
    assert any(words[0] in ("diagnose", "show", "ledger") for words in commands(page(name)))


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert commands("say `rlvr\nfly RUN` or\n\n    rlvr show RUN --step 1   a step\n") == [
        ["fly", "RUN"],
        ["show", "RUN", "--step", "1"],
    ]
    assert isinstance(VERBS, typer.core.TyperGroup)
    with pytest.raises(Exception, match=r"(?i)no such option"):
        VERBS.commands["show"].make_context("rlvr show", ["RUN", "--flies"])


def test_every_code_stands_in_the_catalogue_of_causes() -> None:
    catalogue = (FOLDER.parent / "causes.md").read_text(encoding="utf-8")
    for code in CODES:
        assert f"[{code}](findings/{code}.md)" in catalogue, code
