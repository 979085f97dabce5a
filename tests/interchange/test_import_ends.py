"""How an import ends that does not end well, and what it says on its way."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from imports import chat, imported, rollouts, write_lines

import rlvr
from rlvr.errors import StoreError
from rlvr.interchange import Options, import_source, importing, recognise
from rlvr.interchange.weights import Scored, unit_weights


def many(tmp_path, count=400):
    rows = [chat(f"{n} " + "x" * 500, step=n // 8) for n in range(count)]
    return write_lines(tmp_path / "many.jsonl", rows)


def test_an_import_that_is_killed_leaves_a_run_that_can_be_read(tmp_path):
    child = Path(__file__).with_name("killed_import.py")
    command = [sys.executable, str(child), str(many(tmp_path)), str(tmp_path / "out")]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    run = rlvr.open_run(tmp_path / "out")
    read = rollouts(run)
    assert 16 < len(read) < 400
    assert run.damaged == ()
    assert run.info.trainer == "imported: JSON lines with OpenAI-style messages"
    assert run.status().alive is False


def test_an_import_that_is_interrupted_keeps_what_was_read(tmp_path):
    def interrupt(progress):
        if progress.rollouts == 100:
            raise KeyboardInterrupt

    found = recognise(many(tmp_path), Options())
    with pytest.raises(KeyboardInterrupt):
        import_source(found, tmp_path / "out", on_progress=interrupt)
    run = rlvr.open_run(tmp_path / "out")
    assert run.info.imported_from == str(tmp_path / "many.jsonl")
    assert run.damaged == ()


def test_a_full_disk_ends_an_import_with_what_to_do(tmp_path, monkeypatch):
    found = recognise(many(tmp_path), Options())
    usage = shutil.disk_usage(tmp_path)

    def full(path):
        return usage._replace(free=0 if "trajectories" in str(path) else 2 << 30)

    def slowly(progress):
        told.append(progress)
        time.sleep(0.005)  # the writer has its time

    told = []
    monkeypatch.setattr(shutil, "disk_usage", full)
    monkeypatch.setattr(importing, "_HELD_BYTES", 10_000)
    with pytest.raises(StoreError, match=r"the import stops: recorded 0 of"):
        import_source(found, tmp_path / "out", on_progress=slowly)
    assert told[-1].read_bytes < told[-1].total_bytes / 2


def test_progress_counts_every_byte_and_every_rollout(tmp_path):
    told = []
    path = many(tmp_path)
    import_source(recognise(path, Options()), tmp_path / "out", on_progress=told.append)
    assert told[-1].read_bytes == told[-1].total_bytes == path.stat().st_size
    assert told[-1].rollouts in (399, 400)
    assert [at.read_bytes for at in told] == sorted(at.read_bytes for at in told)


def test_an_import_gives_the_rollouts_in_the_order_of_the_source(tmp_path):
    _, run = imported(many(tmp_path), tmp_path / "out")
    said = [int(rollout.completion[0].content.split()[0]) for rollout in rollouts(run)]
    assert said == list(range(400))


def scored(group, values, advantage):
    return Scored(group=(0, str(group)), values=values, advantage=advantage)


def groups(weights, *, second_varies=True):
    """Four groups of three rollouts, with the advantages that the weights give."""
    found = []
    for group in range(4):
        values = [
            (float(n), float((n * n + group) % 4) if second_varies else 1.0) for n in range(3)
        ]
        totals = [a * weights[0] + b * weights[1] for a, b in values]
        mean = sum(totals) / 3
        found += [scored(group, v, t - mean) for v, t in zip(values, totals, strict=True)]
    return found


def test_weights_of_one_are_shown_by_advantages_that_no_others_give():
    assert unit_weights(groups((1, 1)), ("a", "b")).weights == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("weights", [(1, 2), (2, 1), (1, 0), (0, 1), (1, -1)])
def test_other_weights_are_not_taken_for_ones(weights):
    assert unit_weights(groups(weights), ("a", "b")).weights == {}


def test_a_component_that_never_varies_leaves_its_weight_unknown():
    assert unit_weights(groups((1, 1), second_varies=False), ("a", "b")).weights == {}


def test_two_groups_show_nothing():
    assert unit_weights(groups((1, 1))[:6], ("a", "b")).weights == {}
