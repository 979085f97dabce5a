"""What a rescoring says of scorers of every kind, and what it leaves in the run."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from scorers import HEAD, RIGHT, record_run, rescored, rollout

from builders import trajectory
from rlvr.errors import (
    ConfigurationError,
    RlvrError,
    SandboxUnavailable,
    ScorerUnavailable,
    StoreError,
    StoreFull,
)
from rlvr.record import Annotation, Component, Message, Mode, RolloutError, ScoreStatus, ToolCall
from rlvr.record.rescore import Pattern, ScoringThread
from rlvr.recorder import Recorder
from rlvr.rescoring import rescore
from rlvr.rescoring.loading import load_scorer
from rlvr.rescoring.protocol import Setup
from rlvr.rescoring.selection import select
from rlvr.runs import PruneRequest, carry_out, plan_pruning
from rlvr.store import FailingStore

MAIN = (ScoringThread.MAIN,)
WORKER = (ScoringThread.WORKER,)


def some(count=4, **changes):
    return [
        rollout("Orl" if n % 2 else "Lunt", float(n % 2), sample=n, **changes) for n in range(count)
    ]


@pytest.fixture
def right(module):
    return module("right", RIGHT)


def test_a_scorer_that_has_not_changed_agrees_and_each_rollout_is_annotated(tmp_path, right):
    run = record_run(tmp_path, some())
    seen = []
    report = rescore(run, on_progress=lambda done, count: seen.append((done, count)))
    assert report.pattern is Pattern.AGREES
    assert not report.disagrees
    assert (report.selected, report.of, report.scored, report.written) == (4, 4, 4, 8)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for source in ("main", "worker"):
        payloads = rescored(run, source)
        assert len(payloads) == 4
        for row in run.trajectories():
            assert payloads[row.id] == {
                "agrees": True,
                "reward": row.reward,
                "components": {
                    "right": {"value": row.reward, "status": "ok", "error": None, "agrees": True}
                },
                "failure": None,
                "scored_with": {"loader": "right", "packages": {}},
            }
    for path in (run.path / "annotations/rescore").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert run.damaged == ()


def test_a_scorer_that_raises_off_the_main_thread_is_the_classic_failure_too(tmp_path, module):
    """One that does not swallow what signal.alarm raises: training recorded the error."""
    alarm = "signal.signal(signal.SIGALRM, signal.SIG_IGN)"
    module("alarms", RIGHT.replace("return float", f"{alarm}\n    return float"))
    run = record_run(tmp_path, [rollout("Orl", None, sample=n) for n in range(4)], loader="alarms")
    report = rescore(run)
    assert report.pattern is Pattern.THREADS
    assert "right differs on 4 of 4" in report.headline
    assert report.total.columns["main"].mean == 1.0
    (row,) = report.components
    assert row.columns["worker"].statuses == {"error": 4}
    assert "main thread" in report.failures[0][0]
    assert {p["agrees"] for p in rescored(run, "main").values()} == {False}
    assert {p["agrees"] for p in rescored(run, "worker").values()} == {True}


def test_a_scorer_that_only_fails_today_accuses_no_training(tmp_path, module):
    module("fails", HEAD + "\ndef right(completion):\n    raise OSError('no judge here')\n")
    run = record_run(tmp_path, some(), loader="fails")
    report = rescore(run, threads=MAIN)
    assert report.pattern is Pattern.UNKNOWN
    assert not report.compared
    assert report.failures == (("right: OSError: no judge here", 4),)
    assert {p["agrees"] for p in rescored(run).values()} == {None}


def test_one_that_hangs_is_stopped_and_the_next_is_scored(tmp_path, module):
    hangs = """
def right(completion):
    while said(completion) == 'Lunt': pass
    return 1.0
"""
    module("hangs", HEAD + hangs)
    rows = [rollout("Orl"), rollout("Lunt", sample=1), rollout("Orl", sample=2)]
    run = record_run(tmp_path, rows, loader="hangs")
    report = rescore(run, timeout_s=0.5)
    assert (report.pattern, report.scored) == (Pattern.AGREES, 2)
    assert "Of 1 more it can't be told" in report.headline
    for thread in ("main", "worker"):
        assert report.total.columns[thread].statuses == {"ok": 2, "timeout": 1}
    payload = rescored(run, "main")[next(r.id for r in run.trajectories() if r.sample == 1)]
    assert (payload["agrees"], payload["failure"]) == (None, "TimeoutError: no score within 0.5 s")


def test_a_thread_in_which_everything_hangs_is_given_up(tmp_path, module):
    """A scorer that hangs in the worker alone must not cost the answers of the main thread."""
    hangs = """
def right(completion):
    while threading.current_thread() is not threading.main_thread(): time.sleep(1)
    return 1.0
"""
    module("stuck", HEAD + hangs)
    run = record_run(tmp_path, [rollout(sample=n) for n in range(8)], loader="stuck")
    report = rescore(run, timeout_s=0.3, patience=2)
    assert report.pattern is Pattern.AGREES
    assert any("worker thread was given up" in remark for remark in report.remarks)
    assert len(rescored(run, "main")) == 8
    assert len(rescored(run, "worker")) == 2


def test_one_that_ends_its_process_costs_one_rollout(tmp_path, module):
    ends = """
def right(completion):
    return os.kill(os.getpid(), 9) if said(completion) == 'Lunt' else 1.0
"""
    module("ends", HEAD + ends)
    run = record_run(tmp_path, [rollout("Lunt"), rollout(sample=1)], loader="ends")
    report = rescore(run, threads=WORKER)
    assert report.scored == 1
    assert "killed by signal 9" in report.failures[0][0]


def test_nan_is_nan_and_no_number(tmp_path, module):
    module("nan", HEAD + "\ndef right(completion):\n    return float('nan')\n")
    rows = [rollout(value=float("nan"), reward=float("nan")), rollout(sample=1, value=0.0)]
    run = record_run(tmp_path, rows, loader="nan")
    rescore(run, threads=MAIN)
    agrees = [rescored(run)[row.id]["agrees"] for row in run.trajectories()]
    assert agrees == [True, False]


def test_one_that_changes_its_mind_is_told_from_one_that_was_changed(tmp_path, module):
    module("dice", HEAD + "\ndef right(completion):\n    return random.random()\n")
    report = rescore(record_run(tmp_path / "a", some(), loader="dice"))
    assert report.pattern is Pattern.UNSTEADY
    assert report.unsteady == ("right",)
    assert report.repeated == 4


def test_one_that_was_changed_is_named_with_all_else_that_changed(tmp_path, module):
    module("strict", HEAD + "\ndef right(completion):\n    return 0.0\n")
    run = record_run(
        tmp_path,
        some(),
        loader="strict",
        scoring={"thread": "worker", "scorers": {"right": "strict.right 0123456789ab"}},
        packages={"numpy": "0.1", "no-such-package": "3"},
        python="CPython 2.7",
    )
    report = rescore(run)
    assert report.pattern is Pattern.CHANGED
    assert (
        "agree with each other, but not with training: right differs on 2 of 4" in report.headline
    )
    assert "packages (numpy 0.1, now" in report.headline
    assert {change.name for change in report.packages} == {"numpy", "no-such-package", "python"}
    (scorer,) = report.scorers
    assert scorer.was == "strict.right 0123456789ab"
    assert scorer.now.startswith("strict.right ")
    assert set(rescored(run)[report.examples[0].id]["scored_with"]["packages"]) == {
        "numpy",
        "no-such-package",
        "python",
    }


def test_what_no_record_holds_is_said_and_accuses_nobody(tmp_path, module):
    asks = """
def load_rubric(**_):
    return vf.Rubric(funcs=[needs, tries, counts, swallows, right])

def needs(state):
    return state["grade"]

def tries(state):
    return float(state.get("grade", 0.0))

def counts(state):
    return float(len(state["responses"]))

def swallows(state):
    try:
        return state["grade"]
    except KeyError:
        return 0.0

def right(completion, answer):
    return float(said(completion) == answer)
"""
    module("asks", HEAD + asks)
    names = ("needs", "tries", "counts", "swallows", "right")
    parts = tuple(Component(name=name, value=1.0, weight=1.0) for name in names)
    run = record_run(tmp_path, [rollout(components=parts, reward=5.0)], loader="asks")
    report = rescore(run, threads=MAIN)
    assert report.missing == {
        "needs": ("grade",),
        "tries": ("grade",),
        "counts": ("responses",),
        "swallows": ("grade",),
    }
    for row in report.components[:4]:
        assert row.columns["main"].statuses == {"not_in_record": 1}
        assert row.pairs[0].unknown == 1
    assert report.components[4].pairs[0].same == 1
    assert [p["agrees"] for p in rescored(run).values()] == [None]
    assert not report.disagrees


def test_a_scorer_may_keep_what_it_likes_in_the_state(tmp_path, module):
    caches = """
async def right(state, completion, prompt, answer, info, task):
    await asyncio.sleep(0)
    assert state.get("verdict") is None and "other" not in state
    assert state["prompt"] is prompt and state["completion"] is completion
    assert (state["answer"], state["task"], state["turn"]) == (answer, task, 1)
    assert state["timing"]["generation_ms"] > 0 and info == state["info"]
    assert info["oai_tools"][0]["function"]["name"] == "retrieve"
    state["verdict"] = float(said(completion) == answer)
    return state["verdict"]
"""
    module("caches", HEAD + caches)
    report = rescore(record_run(tmp_path, some(), loader="caches"))
    assert (report.pattern, report.missing) == (Pattern.AGREES, {})


def test_calls_are_the_objects_that_a_scorer_has_in_training(tmp_path, module):
    counts = """
def right(completion):
    calls = [call for message in completion for call in message.get("tool_calls") or ()]
    return float([(c.function.name, c.function.arguments, c.id) for c in calls] == [
        ("retrieve", '{"query": oops', "c9"), (None, "", None)])
"""
    module("counts", HEAD + counts)
    calls = (
        ToolCall(id="c9", name="retrieve", arguments='{"query": oops'),
        ToolCall(id=None, name=None, arguments=""),
    )
    row = rollout(completion=(Message(role="assistant", content="", tool_calls=calls),))
    report = rescore(record_run(tmp_path, [row], loader="counts"), threads=MAIN)
    assert report.pattern is Pattern.AGREES


def test_an_environment_without_load_rubric_is_loaded_whole(tmp_path, module):
    source = """
import datasets, verifiers as vf
def right(completion, answer):
    return float(completion[-1]["content"] == answer)
def load_environment(word="Orl"):
    rows = datasets.Dataset.from_list([{"question": "q", "answer": word}])
    return vf.SingleTurnEnv(dataset=rows, rubric=vf.Rubric(funcs=[right]))
"""
    module("whole_env", source)
    run = record_run(tmp_path, some(), loader=None)
    report = rescore(run, environment="whole-env", options={"word": "x"}, threads=MAIN)
    assert (report.pattern, report.loader) == (Pattern.AGREES, "whole-env")


def test_each_member_of_a_group_of_environments_scores_its_own_task(tmp_path, module):
    source = """
import datasets, verifiers as vf
def left(completion):
    return 1.0
def right(completion, answer):
    return float(completion[-1]["content"] == answer)
def one(func):
    rows = datasets.Dataset.from_list([{"question": "q", "answer": "Orl"}])
    return vf.SingleTurnEnv(dataset=rows, rubric=vf.Rubric(funcs=[func]))
def load_environment():
    return vf.EnvGroup([one(left), one(right)], env_names=["a", "b"])
"""
    module("group_env", source)
    na = ScoreStatus.NOT_APPLICABLE
    parts = (Component(name="left", value=None, status=na), Component(name="right", value=1.0))
    run = record_run(tmp_path, [rollout(task="b", components=parts)], loader="group_env")
    report = rescore(run, threads=MAIN)
    left, right = report.components
    assert left.columns["main"].statuses == {"not_applicable": 1}
    assert right.columns["main"].mean == 1.0
    assert report.pattern is Pattern.AGREES


def test_an_environment_that_completes_text_is_given_text(tmp_path, module):
    source = """
import datasets, verifiers as vf
def right(prompt, completion):
    return float((prompt, completion) == ("2+2=", "4"))
def load_environment():
    rows = datasets.Dataset.from_list([{"prompt": "2+2=", "answer": "4"}])
    rubric = vf.Rubric(funcs=[right])
    return vf.SingleTurnEnv(dataset=rows, rubric=rubric, message_type="completion")
"""
    module("text_env", source)
    row = rollout("4", prompt=(Message(role="user", content="2+2="),))
    report = rescore(record_run(tmp_path, [row], loader="text_env"), threads=MAIN)
    assert report.pattern is Pattern.AGREES


def test_functions_of_one_name_stay_apart_as_the_repair_keeps_them(tmp_path, module):
    twins = RIGHT.replace("funcs=[right], weights=[1.0]", "funcs=[right, twin], weights=[1.0, 0.0]")
    module("twins", twins + "\ndef twin(completion):\n    return 7.0\ntwin.__name__ = 'right'\n")
    parts = (
        Component(name="right", value=1.0, weight=1.0),
        Component(name="right_2", value=7.0, weight=0.0),
    )
    report = rescore(
        record_run(tmp_path, [rollout(components=parts)], loader="twins"), threads=MAIN
    )
    assert [row.name for row in report.components] == ["right", "right_2"]
    assert report.pattern is Pattern.AGREES


# What can't be asked


def test_a_run_that_does_not_name_its_environment_asks_for_it(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"does not say how its environment is loaded.*--env"
    ):
        rescore(record_run(tmp_path, some(), loader=None))


@pytest.mark.parametrize(
    ("loader", "source", "says"),
    [
        ("gone_env", None, "there is no module 'gone_env' here"),
        ("gone.deeper", None, "there is no module 'gone.deeper' here"),
        ("needs_env", "import no_such_package_here", "needs no_such_package_here, which is not"),
        ("broken_env", "1 / 0", "importing broken_env raised ZeroDivisionError"),
        ("empty_env", "x = 1", "has neither load_rubric nor load_environment"),
        (
            "strict_env",
            "def load_environment(strict=1): pass\ndef load_rubric(**_): pass",
            "no option 'strikt', with which the run was recorded. Did you mean strict",
        ),
        (
            "key_env",
            "def load_rubric(strikt): raise RuntimeError('no key')",
            "RuntimeError: no key",
        ),
        (
            "refusing_env",
            "from rlvr.errors import *\ndef load_rubric(strikt): raise SandboxUnavailable('bwrap')",
            "bwrap",
        ),
    ],
)
def test_a_scorer_that_can_not_be_loaded_is_refused_with_the_reason(module, loader, source, says):
    if source is not None:
        module(loader, source)
    with pytest.raises(RlvrError, match=re.escape(says)):
        load_scorer(Setup(loader=loader.replace("_", "-"), options={"strikt": 1}))


def test_what_a_process_refuses_is_raised_here_as_it_was_there(tmp_path, module):
    raises = "from rlvr.errors import *\nraise SandboxUnavailable('bwrap')"
    module("refuses", raises)
    module("dies", "import os, sys\nprint('why', file=sys.stderr)\nos._exit(3)")
    run = record_run(tmp_path, some(), loader="refuses")
    with pytest.raises(SandboxUnavailable, match="bwrap"):
        rescore(run)
    with pytest.raises(ScorerUnavailable, match=r"does not start.*ended with status 3: why"):
        rescore(run, environment="dies", threads=MAIN)
    assert run.annotations() == []


def test_recorded_options_are_used_unless_another_environment_is_named(tmp_path, module):
    module(
        "opts",
        RIGHT.replace("load_rubric(**_)", "load_rubric(strict=False, **_)").replace(
            "return vf", "assert strict\n    return vf"
        ),
    )
    run = record_run(tmp_path, some(), environment={"loader": "opts", "options": {"strict": True}})
    assert rescore(run, threads=MAIN).pattern is Pattern.AGREES
    with pytest.raises(ConfigurationError, match="AssertionError"):
        rescore(run, threads=MAIN, environment="opts")


def test_rollouts_without_messages_and_those_never_scored_are_skipped_and_counted(tmp_path, right):
    failed = rollout(
        step=2,
        sample=1,
        components=(),
        reward=None,
        errors=(RolloutError(where="environment", type="OSError", text="gone"),),
    )
    run = record_run(tmp_path, [rollout(step=0), rollout(step=2), failed])
    carry_out(plan_pruning(run, PruneRequest(max_bytes=1)))
    report = rescore(run, threads=MAIN)
    assert (report.selected, report.scored) == (3, 1)
    assert report.skipped == {
        "they have no messages, which were pruned or never recorded": 1,
        "they ended with an error and were never scored": 1,
    }


def test_a_damaged_file_is_left_out_and_said(tmp_path, right):
    run = record_run(tmp_path, [rollout(step=0), rollout(step=1)])
    torn = sorted((run.path / "trajectories/L0").iterdir())[0]
    torn.write_bytes(torn.read_bytes()[:-200])
    report = rescore(run, threads=MAIN)
    assert (report.of, report.scored) == (1, 1)
    assert any(torn.name in remark for remark in report.remarks)


def test_rows_that_a_resumed_run_trained_again_are_left_out(tmp_path, right):
    run = record_run(tmp_path, [rollout(step=0), rollout(step=1)])
    with Recorder.open(tmp_path, run=run.id, first_step=1) as recorder:
        recorder.record_batch([replace(rollout(step=1, batch=0), run=run.id)])
    assert rescore(run, threads=MAIN).of == 2
    assert sorted("-a01-" in id for id in rescored(run)) == [False, True]


def test_a_sample_is_spread_over_the_steps_and_the_same_each_time(tmp_path, right):
    run = record_run(tmp_path, [r for step in range(6) for r in some(4, step=step)])
    report = rescore(run, limit=3, threads=MAIN)
    assert (report.selected, report.of, report.scored) == (3, 24, 3)
    ids = set(rescored(run))
    assert len({id.split("-")[1] for id in ids}) == 3
    again = select(run, mode=None, step=None, limit=3)
    assert set().union(*again.ids.values()) == ids


def test_what_there_is_not_is_refused_with_what_there_is(tmp_path, right):
    run = record_run(tmp_path, some(step=3))
    with pytest.raises(
        ConfigurationError, match=r"no rollouts of steps 5 to 9\. It has train of steps 3 to 3"
    ):
        rescore(run, step=range(5, 10))
    with pytest.raises(ConfigurationError, match="no eval rollouts"):
        rescore(run, mode=Mode.EVAL)


# What it leaves in the run


def test_of_two_rescorings_the_newer_counts(tmp_path, module):
    module("first_says", HEAD + "\ndef right(completion):\n    return 0.5\n")
    module("then_says", RIGHT)
    run = record_run(tmp_path, some())
    rescore(run, environment="first_says")
    assert {p["reward"] for p in rescored(run).values()} == {0.5}
    rescore(run, environment="then_says")
    assert {p["agrees"] for p in rescored(run).values()} == {True}
    assert len(list((run.path / "annotations/rescore").iterdir())) == 2


def test_two_at_the_same_time_keep_both_their_files(tmp_path, right):
    run = record_run(tmp_path, some(8))
    reports = []
    both = [
        threading.Thread(target=lambda: reports.append(rescore(tmp_path, threads=MAIN)))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [report.written for report in reports] == [8, 8]
    assert len(list((run.path / "annotations/rescore").iterdir())) == 2
    assert len(rescored(run)) == 8
    assert run.damaged == ()


def test_a_run_that_is_being_recorded_is_not_disturbed(tmp_path, right):
    run = record_run(tmp_path, some())
    with Recorder.open(tmp_path, run=run.id, first_step=1) as recorder:
        recorder.record_batch([replace(rollout(step=1, batch=0), run=run.id)])
        recorder.annotate(
            [Annotation(id="x", kind="rescore", source="own", payload={"agrees": True})]
        )
        recorder.flush(10)
        report = rescore(run, threads=MAIN)
        recorder.record_batch([replace(rollout(step=2, batch=1), run=run.id)])
    assert report.scored == 5
    assert len(list(run.trajectories())) == 6
    assert {note.source for note in run.annotations(kind="rescore")} == {"main", "own"}
    assert run.status().not_recorded == 0
    assert run.damaged == ()


def test_a_store_that_can_not_be_written_says_so_at_the_first_rollout(tmp_path, right):
    run = record_run(tmp_path, some(100))
    seen = []
    (run.path / "annotations").write_text("in the way")
    with pytest.raises(StoreError, match=r"could not be written.*writable by this user"):
        rescore(run, threads=MAIN, on_progress=lambda done, _: seen.append(done))
    assert seen == []


def test_on_a_full_disk_what_was_written_stays(tmp_path, right):
    def before(_):
        if store.files:
            raise StoreFull("no room. Free some space.")

    store = FailingStore(before)
    run = record_run(tmp_path, some(100))
    with pytest.raises(StoreFull, match="Free some space"):
        rescore(run, threads=MAIN, store=store)
    assert len(store.files) == 1


def test_a_dry_run_stores_nothing(tmp_path, right):
    run = record_run(tmp_path, some())
    report = rescore(run, threads=MAIN, keep=False)
    assert (report.scored, report.written) == (4, None)
    assert run.annotations() == []
    assert not (run.path / "annotations").exists()


def scoring_processes(path):
    """Processes that score and whose environment names the folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            scores = b"scoring_process" in (process / "cmdline").read_bytes()
            if scores and os.fsencode(str(path)) in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_one_that_is_stopped_leaves_whole_files_and_no_process(tmp_path, module, sent, code):
    stuck = tmp_path / "stuck"
    hangs = f"""time.sleep(0.02)
    while said(completion) == "hang": open({str(stuck)!r}, "w").close()
    return float"""
    module("slow", RIGHT.replace("return float", hangs))
    module("fast", RIGHT)
    run = record_run(tmp_path, [*some(100), rollout("hang", 0.0, step=1)], loader="slow")
    command = [sys.executable, "-c", "from rlvr.cli import main; main()", "rescore", str(tmp_path)]
    there = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command,
        env=there,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Tests that run in the background are deaf to it, and so would this process be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as child:
        while not stuck.exists() and child.poll() is None:
            time.sleep(0.05)
        assert scoring_processes(tmp_path)
        child.send_signal(sent)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (code, b""), err
    assert 20 <= len(run.annotations(kind="rescore")) <= 200
    assert run.damaged == ()
    deadline = time.monotonic() + 10
    while scoring_processes(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert scoring_processes(tmp_path) == []
    assert rescore(run, environment="fast", threads=MAIN).scored == 101
    assert len(rescored(run, "main")) == 101


def test_evaluated_rollouts_are_scored_where_nothing_was_trained(tmp_path, right):
    rows = [replace(row, mode=Mode.EVAL, advantage=None) for row in some()]
    report = rescore(record_run(tmp_path, rows, scoring={"thread": "main"}), threads=MAIN)
    assert (report.mode, report.scored, report.trained_in) == ("eval", 4, "main")


def test_a_record_of_totals_alone_is_compared_by_them(tmp_path, right):
    rows = [replace(row, components=()) for row in some()] + [
        trajectory(step=1, batch=1, components=(), reward=0.25)
    ]
    report = rescore(record_run(tmp_path, rows), threads=MAIN)
    pair = report.total.pairs[0]
    assert (pair.same, pair.differ, pair.unknown) == (4, 1, 0)
