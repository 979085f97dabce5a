"""docs/agents.md: its commands run on the bundled run, and what it quotes is what they print."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
COMMANDS = [line.split("  #")[0] for block in BLOCKS for line in block.strip().splitlines()]
ON_SAMPLE = [command for command in COMMANDS if "--sample upstream" in command]
ON_YOURS = [command for command in COMMANDS if "--sample upstream" not in command]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the bundled run lies as a run of one's own."""
    from rlvr.cli.opening import sample_folder

    path = tmp_path_factory.mktemp("agent")
    shutil.copytree(sample_folder() / "upstream", path / "RUN")
    return path


def test_the_page_has_commands_of_both_kinds():
    assert len(ON_SAMPLE) >= 8
    assert {shlex.split(command)[1] for command in ON_YOURS} == {
        "list",
        "status",
        "rescore",
        "parity",
    }


@pytest.mark.parametrize("command", ON_SAMPLE)
def test_a_command_on_the_bundled_run_answers(rlvr, command):
    code, out, err = rlvr(*shlex.split(command)[1:])
    assert (code, err) == (1 if "--fail-on" in command else 0, "")
    if "--json" in command:
        assert json.loads(out)["version"] == 1


@pytest.mark.parametrize("verb", ["list", "status"])
def test_a_command_on_a_run_of_ones_own_answers(rlvr, verb):
    (command,) = [command for command in ON_YOURS if shlex.split(command)[1] == verb]
    code, out, _ = rlvr(*shlex.split(command)[1:])
    assert (code, json.loads(out)["version"]) == (0, 1)


@pytest.mark.parametrize("verb", ["rescore", "parity"])
def test_the_options_of_the_other_commands_exist(rlvr, verb):
    (command,) = [command for command in ON_YOURS if shlex.split(command)[1] == verb]
    shown = rlvr(verb, "--help")[1]
    assert all(option in shown for option in re.findall(r"--[a-z-]+", command))


def test_what_the_page_quotes_of_the_verdict_is_what_it_says(rlvr):
    (quoted,) = re.findall(r"```json\n(.*?)```", PAGE, re.S)
    said = json.loads(quoted)
    found = json.loads(rlvr("diagnose", "--sample", "upstream", "--json")[1])
    assert_quoted(said, found)


def assert_quoted(said, found):
    """What is quoted stands in what is printed; "..." ends a text that goes on."""
    if isinstance(said, dict):
        for key, value in said.items():
            assert_quoted(value, found[key])
    elif isinstance(said, list):
        for value, one in zip(said, found, strict=False):
            assert_quoted(value, one)
        assert len(said) <= len(found)
    elif isinstance(said, str) and said.endswith("..."):
        assert found.startswith(said.removesuffix("..."))
    else:
        assert said == found


def test_every_field_that_the_page_names_is_documented():
    documented = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
    for name in ("refuted_by", "lookalikes", "next_offset", "left_out", "since_step", "because"):
        assert f"`{name}`" in PAGE
        assert f"`{name}`" in documented


def test_what_the_page_says_of_the_bundled_run_is_so(rlvr):
    upstream = json.loads(rlvr("show", "--sample", "upstream", "--json")[1])["summary"]["steps"]
    assert upstream[-1]["reward_mean"] > upstream[0]["reward_mean"]
    assert {"flat_groups", "groups", "components"} <= set(upstream[0])
    repaired = json.loads(rlvr("diagnose", "--sample", "repaired", "--json")[1])
    assert (repaired["findings"], repaired["worst"]) == ([], None)
