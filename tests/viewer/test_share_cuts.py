"""A secret in a file for others is replaced before anything is cut, so that no half of it stays."""

import time
from dataclasses import replace
from html import unescape

import pytest

from builders import batches, run_info
from rlvr.cli import main
from rlvr.record import ToolResult
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.viewer.sharing import Options, judging_for_file, report_file, report_text
from rlvr.viewer.verdicts import Judging
from viewers import client_of, desk_of

KEY = "sk-" + "abcdefghij" * 4
HALF = KEY[:10]
STEPS = 6


def until(text, chars):
    """The text, padded so that what follows begins a little before so many characters."""
    return text + "x" * (chars - len(text) - len(HALF) - 2) + " "


def recorded(folder, *, prompt="", seconds=None):
    """A run whose tool fails, and whose rollouts stop, with a key where a page cuts."""
    info = replace(run_info(run=folder.name), system_prompt=prompt)
    failed = ToolResult(
        turn=0, call_id="c", name="fetch", arguments="{}", error=until("refused", 90) + KEY
    )
    with Recorder.open(folder, info=info, run=folder.name) as recorder:
        for batch in batches(STEPS):
            recorder.record_batch(
                [
                    replace(
                        row,
                        run=folder.name,
                        tool_results=(failed,),
                        stop_reason=until("stopped", 80) + KEY,
                    )
                    for row in batch
                ]
            )
    return folder


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("failing") / "run")


def held(text):
    """Whether any part of the key is in it."""
    return HALF in unescape(text)


def test_a_page_cuts_the_secret_in_half(failing):
    """Else the tests below show nothing."""
    client = client_of(failing)
    page = judged(client)
    assert held(page)
    assert KEY not in page


def judged(client):
    """The diagnosis as a page shows it, once it is made."""
    for _ in range(200):
        page = client.get("/r/run/diagnosis").text
        if 'http-equiv="refresh"' not in page:
            return page
        time.sleep(0.05)
    raise AssertionError("no verdict")


def test_a_report_has_no_half_of_a_secret(failing):
    desk = desk_of(failing)
    for shared in (report_file(desk, Options()), report_text(desk, Options())):
        assert not held(shared.text)
    narrowed = Judging(where="step >= 0")  # which opens the run anew
    assert not held(report_file(desk, Options(), narrowed).text)
    assert held(report_file(desk, Options(redact=False)).text)


def test_what_the_viewer_knows_already_is_not_what_it_gives_away(failing):
    client = client_of(failing)
    assert held(judged(client))
    assert not held(client.get("/r/run/diagnosis?export=1").text)
    assert held(judged(client))  # nor does the file change the page


def test_a_run_beside_it_is_shown_without_secrets_too(tmp_path):
    """Two prompts that part in the middle of a key: a difference quotes from there on."""
    own = recorded(tmp_path / "own", prompt=f"Ask. {KEY}")
    other = recorded(tmp_path / "other", prompt=f"Ask. {KEY[:-1]}k")
    redactor = Options().redactor
    judging = judging_for_file(Judging(beside=desk_of(other)), redactor)
    assert judging.beside.run.info.system_prompt == "Ask. [redacted: openai-key #1]"
    from rlvr.viewer.sharing import desk_for_file

    shown = desk_for_file(desk_of(own), redactor)
    assert shown.run.info.system_prompt == "Ask. [redacted: openai-key #2]"
    assert shown.run.reopened().info == shown.run.info


def test_plots_are_drawn_without_secrets(failing, tmp_path):
    info = replace(open_run(failing).info, name=f"tried {KEY}")
    folder = tmp_path / "named"
    with Recorder.open(folder, info=replace(info, run="named"), run="named") as recorder:
        recorder.record_batch([replace(row, run="named") for row in next(iter(batches(1)))])
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(folder), "--plots", str(tmp_path / "plots")])
    assert not stopped.value.code
    drawn = [path.read_text() for path in (tmp_path / "plots").glob("*.svg")]
    assert drawn
    assert not any(HALF in text for text in drawn)
