"""A run followed while it is written: what is found when, and how the watch ends."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from on_terminal import ALTERNATE, CTRL_C, HIDDEN, MAIN, SHOWN, OnTerminal

import rlvr
from builders import RUN_ID, batches, run_info, write_run
from rlvr.cli.watching import SILENT_S, goes_on
from rlvr.diagnosis import (
    ROLLOUT_COLUMNS,
    Finding,
    Ledger,
    Severity,
    Verdict,
    diagnose,
    load_evidence,
)
from rlvr.diagnosis.following import TAIL, FollowedRun
from rlvr.diagnosis.watching import Seen, Turn
from rlvr.recorder import Recorder

HERE = Path(__file__).parent
STEPS, ONSET = 16, 8
CODE = "context-not-attended"
NOTHING = Ledger(total=0, lines=())


def found(code="x", severity=Severity.NOTE, since=None) -> Finding:
    return Finding(code=code, severity=severity, sentence="It is so.", rollouts=8, since_step=since)


def verdict(*findings: Finding, step: int = 5) -> Verdict:
    return Verdict(
        run="r",
        rollouts=8,
        steps=tuple(range(step + 1)),
        ledger=NOTHING,
        findings=findings,
    )


def test_a_cause_comes_gets_worse_and_goes_and_each_is_said_once():
    seen, came = Seen().after(verdict(found(since=3), found("y"), step=5))
    assert [(change.turn, change.code, change.step) for change in came] == [
        (Turn.CAME, "x", 5),
        (Turn.CAME, "y", 5),
    ]
    assert came[0].text == "since step 3, seen at 5: note x: It is so."
    seen, same = seen.after(verdict(found(since=3), found("y"), step=6))
    assert same == ()
    seen, changed = seen.after(verdict(found(severity=Severity.ERROR, since=3), step=7))
    assert [(change.turn, change.code) for change in changed] == [
        (Turn.CHANGED, "x"),
        (Turn.WENT, "y"),
    ]
    assert changed[0].text == "since step 3, seen at 7: now error x: It is so."
    assert changed[1].text == "step 7: y (note) is gone"
    assert seen.detected == {"x": 5}


def test_of_several_findings_of_a_code_the_worst_counts():
    worst, other = found(severity=Severity.ERROR), found()
    _, changes = Seen().after(verdict(worst, other))
    assert [change.severity for change in changes] == [Severity.ERROR]


def test_a_growing_run_is_read_once_and_judged_as_if_read_whole(tmp_path):
    every = list(batches(STEPS))
    with Recorder.open(tmp_path, info=run_info(run=RUN_ID), run=RUN_ID) as recorder:
        run = rlvr.open_run(tmp_path)
        followed = FollowedRun(run)
        assert followed.look() is None
        for at, batch in enumerate(every):
            recorder.record_batch([replace(rollout, run=RUN_ID) for rollout in batch])
            if at % 4 == 3:
                recorder.flush(30)
                evidence = followed.look()
                assert evidence is not None
                assert evidence.rollouts.table.equals(run.to_arrow(ROLLOUT_COLUMNS, mode="train"))
        assert followed.look() is None
    assert evidence is not None
    assert diagnose(evidence).findings == diagnose(load_evidence(run)).findings
    size = len(every[0])
    assert followed.rows_read <= size * (STEPS + TAIL * 3)


def test_after_a_restart_nothing_that_was_undone_is_kept(tmp_path):
    write_run(tmp_path, steps=6)
    run = rlvr.open_run(tmp_path)
    followed = FollowedRun(run)
    followed.look()
    with Recorder.open(tmp_path, run=RUN_ID, first_step=1) as recorder:
        again = list(batches(2, seed=9))[1]
        recorder.record_batch([replace(rollout, run=RUN_ID, attempt=1) for rollout in again])
    evidence = followed.look()
    assert evidence is not None
    assert list(evidence.rollouts.steps) == [0, 1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    write_run(path / "done")
    return path


def test_a_run_that_has_ended_is_judged_once(rlvr):
    code, out, err = rlvr("diagnose", "done", "--watch")
    assert code == 0
    assert "finished" in err
    assert "training rollouts, steps 0 to 5" in out
    assert "seen at" not in out  # a sound run


@pytest.mark.parametrize(
    "arguments",
    [
        ["--watch"],
        ["--sample", "--watch"],
        ["done", CODE, "--watch"],
        ["done", "--watch", "--eval", "done"],
        ["done", "--watch", "--where", "step > 1"],
        ["done", "--watch", "--every", "0"],
        ["nowhere", "--watch"],
    ],
)
def test_what_can_not_be_watched_is_wrong_usage(rlvr, arguments):
    code, _, err = rlvr("diagnose", *arguments)
    assert code == 2
    assert "Traceback" not in err


def test_a_silent_process_elsewhere_counts_as_ended(folder):
    status = rlvr.open_run(folder / "done").status()
    assert not goes_on(status, 0.0)
    (rank,) = status.ranks
    for silent_s, lives in ((1.0, True), (SILENT_S + 1, False)):
        away = replace(rank, alive=None, closed=False, looked_at=rank.last_write + silent_s)
        assert goes_on(replace(status, ranks=(away,)), 0.0) is lives
    nothing = replace(status, ranks=())
    assert goes_on(nothing, time.time())
    assert not goes_on(nothing, time.time() - SILENT_S - 1)


def watching(*arguments) -> list[str]:
    return [
        *(sys.executable, "-c", "from rlvr.cli import main; main()"),
        *("diagnose", *map(str, arguments), "--watch", "--every", "0.2"),
    ]


def watch(*arguments) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        watching(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def writing(folder, steps, onset) -> "subprocess.Popen[str]":
    """A process that records a run which is ill from a step on, and stays."""
    paths = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, *map(str, (HERE / "write_ill_run.py", folder, steps, onset))],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(240)
def test_on_a_terminal_a_page_is_redrawn_until_ctrl_c_or_the_run_ends(tmp_path):
    """It is drawn where it spoils no scroll-back; what it said is printed when it is over."""
    said = f"error {CODE}: In "
    with writing(tmp_path, 4, 0) as writer:
        try:
            writer.stdout.readline()
            with OnTerminal(watching(tmp_path), lines=20) as stopped:
                stopped.read_until(said)
                stopped.press(CTRL_C)
                assert stopped.ended() == 130
            assert writer.poll() is None
            with OnTerminal(watching(tmp_path), lines=20) as watched:
                watched.read_until(said)
                writer.kill()
                writer.wait()
                assert watched.ended() == 0
        finally:
            writer.kill()
    for terminal, last in (
        (stopped, "interrupted; the run goes on"),
        (watched, "# the run on a page"),
    ):
        assert terminal.written.count(ALTERNATE) == terminal.written.count(MAIN) == 1
        page, after = terminal.written.split(MAIN)
        assert page.index(said) < page.index(f"ERROR  {CODE}")  # on a low screen the rest is cut
        assert terminal.written.rindex(HIDDEN) < terminal.written.rindex(SHOWN)
        assert said in after
        assert last in after
        assert "Traceback" not in terminal.written


@pytest.mark.timeout(240)
def test_a_fault_that_begins_in_mid_run_is_seen_while_it_runs_and_a_kill_ends_the_watch(tmp_path):
    with writing(tmp_path, STEPS, ONSET) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "recording\n"
            with watch(tmp_path, "--json") as watched:
                assert writer.stdout.readline() == "written\n"
                with watch(tmp_path, "--fail-on", "error") as guard:
                    said, _ = guard.communicate(timeout=100)
                lived = writer.poll() is None
                writer.kill()
                writer.wait()
                out, err = watched.communicate(timeout=100)
        finally:
            writer.kill()
    assert (guard.returncode, lived) == (1, True)
    assert f"since step {ONSET}, seen at " in said
    lines = [json.loads(line) for line in out.splitlines()]
    (change,) = [line["change"] for line in lines[:-1] if line["change"]["code"] == CODE]
    assert (change["turn"], change["severity"], change["since_step"]) == ("came", "error", ONSET)
    assert ONSET <= change["step"] <= ONSET + 20
    assert set(lines[0]) == {"version", "kind", "run", "change"}
    assert lines[-1]["kind"] == "verdict"
    assert "killed" in err
    assert watched.returncode == 0
