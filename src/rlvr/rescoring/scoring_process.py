"""The process that scores, in its main thread or in another.

    python -m rlvr.rescoring.scoring_process HOST

It takes a `Setup`, then one trajectory at a time, and answers each; nothing is asked of it twice at
once. It dies with the process HOST that started it. A process of its own has a main thread to give
away, can be killed when a scorer hangs in it, and takes nothing with it when one crashes.
"""

import asyncio
import contextlib
import ctypes
import importlib.metadata
import logging
import os
import pickle
import platform
import signal
import struct
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, BinaryIO

from rlvr import errors
from rlvr.capture.rollout import BatchCapture
from rlvr.capture.scorers import scorer_sources
from rlvr.capture.trajectories import BatchPlace, build_trajectories
from rlvr.record import Mode, Trajectory
from rlvr.record.rescore import Scored, ScoringThread
from rlvr.rescoring.loading import LoadedScorer, load_scorer
from rlvr.rescoring.protocol import Ready, Refusal, Setup
from rlvr.rescoring.rebuilding import RebuiltRollout, rebuild

_HEAD = struct.Struct(">I")
_PR_SET_PDEATHSIG = 1
_WORDS_BYTES = 1 << 20
_PLACE = BatchPlace(run="", mode=Mode.TRAIN, step=0, batch=0, attempt=0)

Run = Callable[[Coroutine[Any, Any, Scored]], Scored]


def main(host: int) -> None:
    """Answer until the host says that it is over, or is gone."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a scorer prints is no reply
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != host:  # it was gone before the kernel was asked
        return
    # The library logs each exception of a scorer, which the capture keeps.
    logging.getLogger("verifiers").setLevel(logging.CRITICAL)
    setup = _receive(requests)
    try:
        scorer = load_scorer(setup)
    except errors.RlvrError as error:
        _send(replies, Refusal(error=type(error).__name__, text=str(error)))
        return
    _send(replies, _ready(setup, scorer))
    run = _in_main_thread() if setup.thread is ScoringThread.MAIN else _in_a_worker()
    while (trajectory := _receive(requests)) is not None:
        _send(replies, run(_score(scorer, setup, trajectory)))
        if os.fstat(2).st_size > _WORDS_BYTES:  # its last words are of interest, not all of them
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)
    scorer.close()


def _ready(setup: Setup, scorer: LoadedScorer) -> Ready:
    rubric = scorer.rubric
    weights = zip(rubric.get_reward_func_names(), rubric.get_reward_weights(), strict=False)
    return Ready(
        weights=dict(weights),
        scorers=scorer_sources(rubric),
        packages={name: _version(name) for name in setup.packages},
        python=f"{platform.python_implementation()} {platform.python_version()}",
    )


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def _in_main_thread() -> Run:
    """One event loop for all, as a program has it that evaluates with asyncio.run."""
    return asyncio.Runner().run


def _in_a_worker() -> Run:
    """One event loop in another thread, as a trainer's generator has it."""
    loop = asyncio.new_event_loop()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    threading.Thread(target=serve, name="rlvr-scoring", daemon=True).start()
    return lambda scoring: asyncio.run_coroutine_threadsafe(scoring, loop).result()


async def _score(scorer: LoadedScorer, setup: Setup, trajectory: Trajectory) -> Scored:
    try:
        rebuilt = rebuild(trajectory, tools=setup.tools, as_text=scorer.as_text)
        scores = await scorer.rubric.score_rollout(
            rebuilt.prompt,
            rebuilt.completion,
            rebuilt.answer,
            rebuilt.state,
            rebuilt.task,
            rebuilt.info,
        )
    except Exception as error:  # noqa: BLE001  # any exception of a rubric is its outcome
        return Scored(failure=f"{type(error).__name__}: {error}")
    return _scored(scorer, rebuilt, scores)


def _scored(scorer: LoadedScorer, rebuilt: RebuiltRollout, scores: Any) -> Scored:
    """What a trainer's record would hold of this scoring."""
    rubric, capture = scorer.rubric, rebuilt.capture
    capture.values = {name: float(value) for name, value in scores.metrics.items()}
    names, weights = rubric.get_reward_func_names(), rubric.get_reward_weights()
    batch = BatchCapture(
        rollouts=[capture],
        component_names=tuple(capture.values),
        weights=dict(zip(names, weights, strict=False)),
    )
    (record,) = build_trajectories(batch, _PLACE, group_size=1)
    return Scored(
        components=record.components,
        reward=float(scores.reward),
        missing=rebuilt.state.missing or None,
    )


def _receive(requests: BinaryIO) -> Any:
    """The next request; None where the host is gone."""
    head = requests.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    return pickle.loads(requests.read(_HEAD.unpack(head)[0]))


def _send(replies: BinaryIO, reply: object) -> None:
    message = pickle.dumps(reply)
    replies.write(_HEAD.pack(len(message)) + message)
    replies.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
