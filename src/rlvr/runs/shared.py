"""A recorded run as others may see it: every text that is read of it without its secrets."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rlvr.record import Group, RunInfo, TokenDetails, TokenEvidence, Trajectory
from rlvr.redaction import Redactor, without_secrets
from rlvr.runs.run import Run

_NO_TEXT = (TokenDetails, TokenEvidence)

_TEXTS = ("task", "example_id", "agent", "question", "answer", "stop_reason")
"""Columns whose texts are shown; ids and hashes are what records are found by."""


class SharedRun(Run):
    """The run, its trajectories and its description without secrets; all numbers stay.

    A trajectory that had a secret has no token details: their ids spell it.
    """

    def __init__(self, run: Run, redactor: Redactor) -> None:
        super().__init__(run.path, others=run.others, replica=run._replica)
        self._redactor = redactor
        # Numbers need no redaction, and an index of a large run takes a while: it is the run's own.
        self.__dict__["index"] = run.index

    def reopened(self) -> "SharedRun":
        """The same run, without secrets too, with an index of its own."""
        return SharedRun(super().reopened(), self._redactor)

    @property
    def info(self) -> RunInfo | None:
        """What the trainer said of the run, without secrets."""
        found = super().info
        if found is None:
            return None
        return without_secrets(found, self._redactor, "run", keep=_NO_TEXT)

    def to_arrow(self, columns: Sequence[str] | None = None, **filters: Any) -> pa.Table:
        """Those of the run; questions, answers and reasons without secrets."""
        table = super().to_arrow(columns, **filters)
        for at, name in enumerate(table.column_names):
            if name in _TEXTS:
                table = table.set_column(at, name, self._redacted(table[name], name))
        return table

    def trajectories(self, **filters: Any) -> Iterator[Trajectory]:
        """Those of the run, without secrets."""
        return map(self._shown, super().trajectories(**filters))

    def trajectory(self, id: str) -> Trajectory:
        """That of the run, without secrets.

        Raises:
            RecordNotFound: there is none, or its file is damaged.
        """
        return self._shown(super().trajectory(id))

    def group(self, group_id: str) -> Group:
        """That of the run, without secrets.

        Raises:
            RecordNotFound: there is no such group.
        """
        return Group(map(self._shown, super().group(group_id)))

    def _redacted(self, texts: "pa.ChunkedArray[Any]", name: str) -> "pa.ChunkedArray[Any]":
        shown = {
            text: None if text is None else self._redactor.text(text, name)
            for text in pc.unique(texts).to_pylist()
        }
        return pa.chunked_array([[shown[text] for text in texts.to_pylist()]], texts.type)

    def _shown(self, own: Trajectory) -> Trajectory:
        shown = without_secrets(own, self._redactor, own.id or "", keep=_NO_TEXT)
        return shown if shown is own else replace(shown, tokens=None)
