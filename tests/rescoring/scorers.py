"""Runs whose rewards are known, and modules that score them: for tests of rescoring."""

from dataclasses import replace
from pathlib import Path

from builders import run_info, trajectory
from rlvr.record import Component, Message, ScoreStatus
from rlvr.recorder import Recorder
from rlvr.runs import open_run

RUN = "20260801-120000-beef"

HEAD = """
import asyncio, os, random, signal, threading, time
import verifiers as vf

def said(completion):
    return completion[-1]["content"] or ""

def load_rubric(**_):
    return vf.Rubric(funcs=[right], weights=[1.0])

def load_environment(strict=False, **_unused):
    raise AssertionError("load_rubric is there")
"""

RIGHT = HEAD + "\ndef right(completion, answer):\n    return float(said(completion) == answer)\n"


def write_module(folder: Path, name: str, source: str) -> str:
    """A module of that name beside the test's files."""
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return name


def rollout(text="Orl", value=1.0, *, step=0, sample=0, **changes):
    """A rollout that answers with `text` and got `value` for it; the right answer is Orl."""
    status = ScoreStatus.OK if value is not None else ScoreStatus.ERROR
    given = {
        "step": step,
        "batch": step,
        "sample": sample,
        "completion": (Message(role="assistant", content=text),),
        "components": (Component(name="right", value=value, weight=1.0, status=status),),
        "reward": value or 0.0,
        "group_id": f"train-b{step:06d}-g000",
    }
    return trajectory(**(given | changes))


def record_run(folder, rollouts, *, loader="right", run=RUN, **info):
    """Record rollouts as one run that names the loader of its environment; opens it."""
    described = {
        "environment": {"loader": loader, "options": {}} if loader else {},
        "scoring": {"thread": "worker"},
        "repairs": {},
        "packages": {},
        "python": None,
        "components": {"right": 1.0},
    }
    with Recorder.open(folder, info=run_info(run=run, **(described | info)), run=run) as recorder:
        steps = dict.fromkeys((row.mode, row.step) for row in rollouts)
        for mode, step in steps:
            batch = [row for row in rollouts if (row.mode, row.step) == (mode, step)]
            recorder.record_batch([replace(row, run=run) for row in batch])
    return open_run(folder)


def rescored(run, source=None):
    """The payloads of a run's rescoring by id, of one source or of all."""
    notes = run.annotations(kind="rescore")
    return {note.id: note.payload for note in notes if source in (None, note.source)}


def without_progress(talk: str) -> str:
    """What was said on standard error, but for how far a slow machine had come."""
    return "".join(line for line in talk.splitlines(True) if "rollouts scored" not in line)
