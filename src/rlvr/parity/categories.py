"""Rollouts in kinds that exclude each other, by the first thing that went wrong in them."""

from enum import StrEnum

import numpy as np

from rlvr.analysis.columns import Columns, Ints, Mask
from rlvr.parity.sides import Pair, Side


class Kind(StrEnum):
    """What became of a rollout; the first that holds has it, in this order."""

    ERROR = "rollout-errors"
    SCORER = "scorer-failures"
    UNPARSED = "unparsed-calls"
    MALFORMED = "malformed-calls"
    CUT = "cut-answers"
    TURNS = "turn-limit"
    NO_CALL = "no-tool-call"
    TOOLS_FAILED = "tools-failed"
    SOUND = "sound"

    @property
    def place(self) -> int:
        """Its place in the order."""
        return list(Kind).index(self)

    @property
    def label(self) -> str:
        """What it is as a cause, in few words."""
        return _LABELS[self]

    @property
    def meaning(self) -> str:
        """Which rollouts these are: "rollouts ..."."""
        return _MEANINGS[self]

    @property
    def remedy(self) -> str:
        """What to do where one side has more of them."""
        return _REMEDIES[self]


_LABELS = {
    Kind.ERROR: "rollouts that an error ended",
    Kind.SCORER: "scorers that failed",
    Kind.UNPARSED: "calls that the server left as text",
    Kind.MALFORMED: "malformed calls",
    Kind.CUT: "answers cut at a token limit",
    Kind.TURNS: "rollouts out of turns",
    Kind.NO_CALL: "rollouts without a tool call",
    Kind.TOOLS_FAILED: "rollouts whose every tool call failed",
    Kind.SOUND: "sound rollouts",
}
_MEANINGS = {
    Kind.ERROR: "rollouts that an error ended",
    Kind.SCORER: "rollouts whose scorer raised or timed out",
    Kind.UNPARSED: "rollouts with a call that the server left as text",
    Kind.MALFORMED: "rollouts with a malformed call",
    Kind.CUT: "rollouts cut at a token limit",
    Kind.TURNS: "rollouts that ran out of turns",
    Kind.NO_CALL: "rollouts without a tool call",
    Kind.TOOLS_FAILED: "rollouts whose every tool call failed",
    Kind.SOUND: "rollouts in which none of this happened",
}
_REMEDIES = {
    Kind.ERROR: "read the errors (`rlvr show RUN ID`) and mend what raised",
    Kind.SCORER: "read the scorer's error in the rollout, mend the scorer, and score anew with"
    " `rlvr rescore`",
    Kind.UNPARSED: "make both servers parse calls in the same way (vLLM: --enable-auto-tool-choice"
    " and the --tool-call-parser of the model), and render the tools into both prompts",
    Kind.MALFORMED: "compare the calls of both sides and the tool schemas that the model was shown",
    Kind.CUT: "give both sides the same max_tokens and context length, above what long answers"
    " need",
    Kind.TURNS: "give both sides the same max_turns, above what solved rollouts need",
    Kind.NO_CALL: "compare the tool schemas, the system prompt and the chat template of both sides",
    Kind.TOOLS_FAILED: "read what the tools answered (`rlvr show RUN ID`); the same tools must"
    " answer on both sides",
    Kind.SOUND: "",
}


def kinds_of(pair: Pair, measure: str | None, scored: tuple[Mask, Mask]) -> tuple[Ints, Ints]:
    """The place of each rollout's kind, on both sides.

    `scored` marks the rollouts whose value comes from scoring anew: their scorer did not fail.
    """
    tools = any(_calls(side) for side in (pair.a, pair.b))
    return (
        _kinds(pair.a, pair.a.failed(measure) & ~scored[0], tools),
        _kinds(pair.b, pair.b.failed(measure) & ~scored[1], tools),
    )


def masks_of(columns: Columns) -> dict[Kind, Mask]:
    """Where each kind holds, whether or not an earlier one does too."""
    calls = columns.numbers("derived_num_tool_calls")
    errors = columns.numbers("derived_num_tool_errors")
    cut = columns.numbers("derived_num_cut_turns") > 0
    return {
        Kind.ERROR: columns.equals("stop_reason", "error"),
        Kind.UNPARSED: columns.is_true("derived_unparsed_call"),
        Kind.MALFORMED: np.asarray(columns.numbers("derived_num_malformed_calls") > 0),
        Kind.CUT: np.asarray(
            cut
            | columns.equals("stop_reason", "length")
            | columns.equals("stop_reason", "prompt_too_long")
        ),
        Kind.TURNS: columns.equals("stop_reason", "max_turns"),
        Kind.NO_CALL: np.asarray(calls == 0),
        Kind.TOOLS_FAILED: np.asarray((calls > 0) & (errors >= calls)),
    }


def _calls(side: Side) -> bool:
    return bool((side.columns.numbers("derived_num_tool_calls") > 0).any())


def _kinds(side: Side, failed: Mask, tools: bool) -> Ints:
    holds = {**masks_of(side.columns), Kind.SCORER: failed}
    if not tools:
        holds[Kind.NO_CALL] = np.zeros(len(side), np.bool_)
    found = np.full(len(side), Kind.SOUND.place, dtype=np.int64)
    for kind in reversed(list(Kind)[:-1]):
        found[holds[kind]] = kind.place
    return found
