"""`rlvr search` as a person runs it."""

import json
import shlex

import pytest
from searched import said, write

from rlvr.cli import main
from rlvr.runs import open_run
from rlvr.views.terminal.search import SearchView


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    rows = [
        said("go", tool="the \x1b[31mconnection\n was refused", reward=0.25),
        said("connection " + "long " * 5000 + "refused", reward=1.0),
    ]
    write(path / "demo", *((step, rows) for step in range(3)))
    return path


@pytest.fixture
def rlvr(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)

    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        return (stopped.value.code or 0, *capsys.readouterr())

    return run


def test_what_is_found_is_listed_with_its_line_and_what_opens_it(rlvr):
    code, out, err = rlvr("search", "demo", "connection refused", "--step", "1")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "train-s000001-b000001-a00-r000-00000  step 1 · reward 0.250 · tool at turn 0 · 2 matches",
        "  the \\x1b[31m«connection» was «refused»",
        "  rlvr show demo train-s000001-b000001-a00-r000-00000 --turn 0",
        "",
        "train-s000001-b000001-a00-r000-00001  step 1 · reward 1.000 · assistant at turn 0"
        " · 2 matches",
        "  «connection»" + " long" * 29 + " long…",
        "  rlvr show demo train-s000001-b000001-a00-r000-00001 --turn 0 --full",
        "",
        "1 to 2 of 2 found in 2 rollouts, by relevance",
    ]


def test_every_command_that_is_named_shows_the_match(rlvr):
    _, out, _ = rlvr("search", "demo", "refused")
    commands = [line.strip() for line in out.splitlines() if line.startswith("  rlvr show")]
    assert len(commands) == 6
    for command in commands[:2]:
        code, shown, _ = rlvr(*shlex.split(command)[1:])
        assert code == 0
        assert "refused" in shown


def test_on_a_terminal_matches_are_in_reverse(folder):
    from rich.console import Console

    found = open_run(folder / "demo").search("refused", step=1)
    console = Console(force_terminal=True, color_system="standard", width=100, highlight=False)
    with console.capture() as capture:
        console.print(SearchView(found, ["a", "b"]))
    text = capture.get()
    assert "\x1b[1;7mrefused\x1b[0m" in text
    assert "«" not in text
    assert "\x1b[31mconnection" not in text


def test_pages_go_on_where_the_last_one_ended(rlvr):
    _, out, _ = rlvr("search", "demo", "connection", "--limit", "4", "--sort", "step")
    assert out.splitlines()[-1] == (
        "1 to 4 of 6 found in 6 rollouts, by step; --offset 4 shows more"
    )
    _, out, _ = rlvr("search", "demo", "connection", "--offset", "4", "--sort", "step")
    assert out.splitlines()[-1] == "5 to 6 of 6 found in 6 rollouts, by step"
    code, out, err = rlvr("search", "demo", "connection", "--offset", "40")
    assert (code, out) == (1, "")
    assert "6 match, so take a smaller --offset" in err


def test_the_document_says_the_same(rlvr):
    code, out, _ = rlvr("search", "demo", "connection", "--limit", "1", "--json")
    found = json.loads(out)
    assert (code, found["kind"], found["total"], found["next_offset"]) == (0, "search", 6, 1)
    (hit,) = found["hits"]
    start, stop = hit["marks"][0]
    assert hit["context"][start:stop] == "connection"
    assert hit["command"].startswith(f"rlvr show demo {hit['id']} --turn 0")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["demo", "nowhere"], 1, "none of 6 rollouts of 20260801-120000-ab12 is found; loosen"),
        (["demo"], 2, "name what to find"),
        (["demo", "say 'x", '"open'], 2, "not closed"),
        (["demo", "x", "--role", "robot"], 2, "no role 'robot'"),
        (["demo", "x", "--sort", "size"], 2, "no order 'size'"),
        (["demo", "x", "--steps", "9"], 2, "write 10:20"),
        (["demo", "x", "--forget"], 2, "leave the words out"),
        (["demo", "x", "--substring", "--sort", "relevance"], 2, "no relevance"),
        (["nowhere", "x"], 2, "neither a folder"),
    ],
)
def test_what_is_wrong_is_said(rlvr, arguments, code, says):
    ended, out, err = rlvr("search", *arguments)
    assert (ended, out) == (code, "")
    assert says in " ".join(err.replace("│", " ").split())


def test_a_substring_needs_no_index(rlvr, own_caches):
    code, out, _ = rlvr("search", "demo", "--substring", "was refused", "--tool", "none")
    assert (code, out) == (1, "")
    code, out, _ = rlvr("search", "demo", "--substring", "long refused", "--max-reward", "1")
    assert code == 0
    assert "«long refused»" in out
    assert not (own_caches / "search").exists()


def test_forget_and_rebuild(rlvr, own_caches):
    assert rlvr("search", "demo", "connection")[0] == 0
    assert rlvr("search", "demo", "connection", "--rebuild")[0] == 0
    assert len(list((own_caches / "search").glob("*.sqlite"))) == 1
    code, out, err = rlvr("search", "demo", "--forget")
    assert (code, out) == (0, "")
    assert "of indexes removed" in err
    assert not list((own_caches / "search").iterdir())
    _, out, _ = rlvr("search", "demo", "--forget", "--json")
    assert json.loads(out)["freed_bytes"] == 0


def test_a_bundled_run_and_a_foreign_recording_are_searched(rlvr, folder):
    code, out, _ = rlvr("search", "--sample", "repaired", "answer", "--limit", "1")
    assert code == 0
    assert "rlvr show --sample repaired train-" in out
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "an apple"}]
    (folder / "chats.jsonl").write_text(json.dumps({"messages": messages, "reward": 1.0}) + "\n")
    code, out, _ = rlvr("search", "chats.jsonl", "apple")
    assert code == 0
    assert "«apple»" in out
    assert "rlvr show chats.jsonl " in out
