"""The ways to write a step that are compared, each as its users would use it."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.out_of_the_way.workload import tokens_dict

from rlvr.record import Message, Trajectory


class Writer(Protocol):
    """One way to write steps. Opened by its constructor with a folder of its own."""

    def write(self, rows: Sequence[Trajectory]) -> None:
        """What training waits for."""
        ...

    def finish(self) -> None:
        """Wait until what was handed over is on disk."""
        ...

    def close(self) -> None:
        """The end of the run."""
        ...


class Rlvr:
    """The recorder; `write` is the hand-over.

    Trainers never flush between steps, so what tells that a step is on disk is the report.
    """

    def __init__(self, folder: Path) -> None:
        from rlvr.recorder import Recorder

        self.recorder = Recorder.open(folder, wait_s=600)

    def write(self, rows: Sequence[Trajectory]) -> None:
        self.recorder.record_batch(rows)

    def finish(self) -> None:
        while self.recorder.report().queued:
            time.sleep(0.005)

    def close(self) -> None:
        report = self.recorder.close(600)
        if report.recorded != report.offered:
            raise SystemExit(report.text)


class Jsonl:
    """One JSON line a rollout, written and synced each step."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "rollouts.jsonl").open("wb")

    def write(self, rows: Sequence[Trajectory]) -> None:
        lines = "".join(json.dumps(as_json(row)) + "\n" for row in rows)
        self._file.write(self.packed(lines.encode()))
        self._file.flush()
        os.fsync(self._file.fileno())

    def packed(self, lines: bytes) -> bytes:
        """The lines of a step as they go to the file."""
        return lines

    def finish(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


class JsonlZstd(Jsonl):
    """The same lines, each step as one zstd frame of level 3."""

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa

        super().__init__(folder)
        self._codec = pa.Codec("zstd", 3)

    def packed(self, lines: bytes) -> bytes:
        """One frame."""
        return self._codec.compress(lines, asbytes=True)


class TrlCompletions:
    """TRL's completions logging: its own `GRPOTrainer.log`, given the buffers that it reads.

    Writes Parquet by pandas, and prints a table, which goes nowhere here. Keeps neither tokens nor
    results as tools gave them, groups nothing, and flattens nothing but what pandas flattens.
    """

    def __init__(self, folder: Path) -> None:
        from types import SimpleNamespace

        import transformers
        from trl import GRPOTrainer

        (folder / "completions").mkdir()
        self._log = GRPOTrainer.log
        self._trainer: Any = object.__new__(GRPOTrainer)
        # What `log` reads of a trainer; the base class's part of it logs to nobody.
        self._trainer.model = SimpleNamespace(training=True)
        self._trainer._metrics = {"train": {}}
        self._trainer.state = transformers.TrainerState()
        self._trainer.control = transformers.TrainerControl()
        self._trainer.args = SimpleNamespace(
            output_dir=str(folder), report_to=[], include_num_input_tokens_seen="no"
        )
        self._trainer.callback_handler = SimpleNamespace(on_log=lambda *_: None)
        self._trainer.accelerator = SimpleNamespace(is_main_process=True)
        self._trainer.log_completions = True
        self._trainer.num_completions_to_print = 0

    def write(self, rows: Sequence[Trajectory]) -> None:
        self._trainer.state.global_step = rows[0].step
        self._trainer._logs = {
            "prompt": [[_trl_message(message) for message in row.prompt] for row in rows],
            "completion": [[_trl_message(message) for message in row.completion] for row in rows],
            "rewards": {
                component.name: [row.components[place].value for row in rows]
                for place, component in enumerate(rows[0].components)
            },
            "advantages": [row.advantage for row in rows],
            "extra": {},
            "images": [],
        }
        self._log(self._trainer, {})

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class WandbTable:
    """A fresh W&B table each step, every rollout a row with its text, offline."""

    COLUMNS = ("step", "group", "prompt", "completion", "exact_match", "f1", "format", "advantage")

    def __init__(self, folder: Path) -> None:
        os.environ |= {
            "WANDB_DATA_DIR": str(folder),
            "WANDB_CACHE_DIR": str(folder / "cache"),
            "WANDB_SILENT": "true",
        }
        import wandb

        self._wandb = wandb
        self._run = wandb.init(mode="offline", dir=folder, project="bench")

    def write(self, rows: Sequence[Trajectory]) -> None:
        cells = [
            [
                row.step,
                row.group_id,
                _as_text(row.prompt),
                _as_text(row.completion),
                *(component.value for component in row.components),
                row.advantage,
            ]
            for row in rows
        ]
        table = self._wandb.Table(columns=list(self.COLUMNS), data=cells)
        self._run.log({"completions": table, "train/global_step": rows[0].step})

    def finish(self) -> None:
        pass

    def close(self) -> None:
        self._run.finish()
        self._wandb.teardown()


def _inspect(folder: Path) -> Writer:
    from benchmarks.out_of_the_way.inspect_log import InspectLog

    return InspectLog(folder)


WAYS: Mapping[str, Callable[[Path], Writer]] = {
    "rlvr": Rlvr,
    "jsonl+zstd": JsonlZstd,
    "jsonl": Jsonl,
    "trl": TrlCompletions,
    "wandb": WandbTable,
    "inspect": _inspect,
}
KEEP_TOKENS = frozenset({"rlvr", "jsonl", "jsonl+zstd", "inspect"})
"""Those that have a place for token details."""


EVIDENCE = (
    "served_prompt_tokens",
    "trained_prompt_tokens",
    "sampled_tokens",
    "trained_tokens",
    "sampled_untrained_tokens",
    "trained_unsampled_tokens",
    "sequence_tokens",
    "attended_share",
    "sequences",
    "ids_match",
    "truncated",
    "gap_mean",
    "gap_p99",
    "gap_beyond_1nat",
    "gap_mean_by_turn",
    "gap_tokens_by_turn",
    "entropy_mean",
)


def as_json(row: Trajectory) -> dict[str, Any]:
    """All that the record holds but its derived columns, as somebody would write it by hand.

    Fields that no rollout here uses are left out; the record has a column of nulls for each.
    Results of tools stand in it twice, as the record has them: compression takes care of that.
    """
    shape: dict[str, Any] = {
        "step": row.step,
        "group": row.group_id,
        "sample": row.sample,
        "task": row.task,
        "example": row.example_id,
        "question": row.question,
        "answer": row.answer,
        "prompt": [message_dict(message) for message in row.prompt],
        "completion": [message_dict(message) for message in row.completion],
        "tool_results": [
            {
                "turn": r.turn,
                "call_id": r.call_id,
                "name": r.name,
                "arguments": r.arguments,
                "result": r.result,
                "duration_s": r.duration_s,
            }
            for r in row.tool_results
        ],
        "turns": [
            {
                "finish_reason": turn.finish_reason,
                "prompt_tokens": turn.prompt_tokens,
                "sampled_tokens": turn.sampled_tokens,
                "policy_version": turn.policy_version,
                "duration_s": turn.duration_s,
            }
            for turn in row.turns
        ],
        "stop_reason": row.stop_reason,
        "rewards": {part.name: [part.value, part.weight] for part in row.components},
        "evidence": {name: getattr(row.evidence, name) for name in EVIDENCE},
        "reward": row.reward,
        "advantage": row.advantage,
    }
    if row.tokens:
        shape["tokens"] = [tokens_dict(sequence) for sequence in row.tokens.sequences]
    return shape


def message_dict(message: Message) -> dict[str, Any]:
    """A message as chat servers take it."""
    shape: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_call_id:
        shape["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        shape["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return shape


def _trl_message(message: Message) -> dict[str, Any]:
    """A message as TRL keeps it, with parsed arguments."""
    shape: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        shape["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return shape


def _as_text(messages: Sequence[Message]) -> str:
    return "\n\n".join(
        f"{message.role}: {message.content}"
        + "".join(f"\n{call.name}({call.arguments})" for call in message.tool_calls)
        for message in messages
    )
