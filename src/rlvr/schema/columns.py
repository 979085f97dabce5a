"""Every column of a trajectory file: name, Arrow type, encoding, meaning.

A column bears the name of the record's field it holds. Text that no scalar column can hold is JSON
(`rlvr.codec.text` says how JSON holds what it can't); `derived_*` columns follow from the others.
"""

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

FORMAT_VERSION = 2
"""The newest version of the files and of their JSON that is read. A newer one is refused."""

PLAIN_FORMAT = 1
COMPACTED_FORMAT = 2
"""A run says 2 from its first compaction on, in run.json and in the compacted files: who knows only
1 would take the small files that are left for the whole run. What needs no 2 is written as 1."""

DERIVED_VERSION = 2
"""Version of the functions behind the `derived_*` columns."""


class Encoding(StrEnum):
    """How Parquet encodes a column before zstd compresses it."""

    PLAIN = "plain"
    DICTIONARY = "dictionary"
    BYTE_STREAM_SPLIT = "byte_stream_split"


class Kind(StrEnum):
    """What a column is for, which decides who reads it."""

    SCALAR = "scalar"
    CONTENT = "content"
    TOKENS = "tokens"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a trajectory file."""

    name: str
    type: pa.DataType
    doc: str
    kind: Kind = Kind.SCALAR
    encoding: Encoding = Encoding.PLAIN

    @property
    def field(self) -> "pa.Field[pa.DataType]":
        """The Arrow field. `doc` stays out of it: it would double the footer of a small file."""
        return pa.field(self.name, self.type)

    @property
    def leaf(self) -> str:
        """Path of the values inside the Parquet file; encodings are set by it."""
        depth, kind = 0, self.type
        while isinstance(kind, pa.ListType):
            depth, kind = depth + 1, kind.value_type
        return self.name + ".list.element" * depth

    @property
    def value_type(self) -> pa.DataType:
        """Type of the values inside any lists."""
        kind = self.type
        while isinstance(kind, pa.ListType):
            kind = kind.value_type
        return kind


def _text(name: str, doc: str, *, repeated: bool = False) -> Column:
    encoding = Encoding.DICTIONARY if repeated else Encoding.PLAIN
    return Column(name=name, type=pa.string(), doc=doc, encoding=encoding)


def _integer(name: str, doc: str) -> Column:
    return Column(name=name, type=pa.int64(), doc=doc)


def _number(name: str, doc: str) -> Column:
    return Column(name=name, type=pa.float64(), doc=doc)


def _flag(name: str, doc: str) -> Column:
    return Column(name=name, type=pa.bool_(), doc=doc)


def _json(name: str, doc: str) -> Column:
    return Column(name=name, type=pa.string(), doc=doc, kind=Kind.CONTENT)


def _tokens(name: str, kind: pa.DataType, encoding: Encoding, doc: str) -> Column:
    nested = pa.list_(pa.list_(kind))
    return Column(name=name, type=nested, doc=doc, kind=Kind.TOKENS, encoding=encoding)


def _derived(name: str, kind: pa.DataType, doc: str) -> Column:
    return Column(name=f"derived_{name}", type=kind, doc=doc, kind=Kind.DERIVED)


IDENTITY = (
    _text("id", "file stem, '-', five-digit row"),
    _text("run", "run id", repeated=True),
    _text("mode", "train or eval", repeated=True),
    _integer("step", "optimizer updates completed when the batch was requested"),
    _integer("batch", "generation batches counted per mode and attempt, from 0"),
    _integer("attempt", "starts of the process group, from 0"),
    _integer("rank", "the process that recorded it"),
    _text("group_id", "the rollouts of one prompt in one batch", repeated=True),
    _integer("sample", "place in the group, from 0"),
    _text("task", "name of the task or environment", repeated=True),
    _text("example_id", "id of the dataset row", repeated=True),
    _text("parent_id", "trajectory that started this one, for sub-agents", repeated=True),
    _text("agent", "name of the agent, for sub-agents", repeated=True),
    _number("finished_at", "Unix time in seconds"),
    _text("question", "the question, apart from the prompt around it"),
    _text("answer", "the reference answer"),
    _text("stop_reason", "why the episode stopped", repeated=True),
)

SCORE = (
    Column(
        name="rewards",
        type=pa.map_(pa.string(), pa.float64()),
        doc="value of each component; null where its scorer gave none",
    ),
    _number("reward", "the total that was trained on"),
    _number("advantage", "the advantage that was trained on; null in evaluation"),
)

EVIDENCE = (
    _integer("served_prompt_tokens", "tokens of the prompt as the sampler saw it"),
    _integer("trained_prompt_tokens", "tokens of the prompt as the trainer saw it"),
    _integer("sampled_tokens", "tokens that the sampler sampled"),
    _integer("trained_tokens", "tokens with a loss"),
    _integer("sampled_untrained_tokens", "sampled, but without a loss"),
    _integer("trained_unsampled_tokens", "with a loss, but never sampled"),
    _integer("sequence_tokens", "non-padding tokens of all training sequences"),
    _number("attended_share", "share of the non-padding tokens that attention could see"),
    _integer("unattended_prompt_tokens", "prompt tokens that attention could not see"),
    _integer("unattended_environment_tokens", "tool and template tokens it could not see"),
    _integer("unattended_sampled_tokens", "sampled tokens that it could not see"),
    _integer("sequences", "training sequences; above 1 the history was re-tokenised"),
    _flag("ids_match", "trained ids are exactly the served and sampled ones"),
    _integer("mismatch_sequence", "training sequence of the first token that differs, from 0"),
    _integer("mismatch_turn", "assistant turn in whose request or answer it stands, from 0"),
    _integer("mismatch_token", "its place in that sequence, from 0"),
    _flag("truncated", "a length limit cut the sequence"),
    _number("gap_mean", "mean |trainer - sampler| logprob, in nats"),
    _number("gap_p99", "its 99th percentile, in nats"),
    _number("gap_beyond_1nat", "share of tokens whose gap exceeds 1 nat"),
    Column(
        name="gap_mean_by_turn",
        type=pa.list_(pa.float64()),
        doc="gap_mean by assistant turn; NaN where a turn has no token",
    ),
    Column(
        name="gap_tokens_by_turn",
        type=pa.list_(pa.int64()),
        doc="tokens behind gap_mean_by_turn",
    ),
    _number("entropy_mean", "mean entropy of the policy over sampled tokens, in nats"),
    _number("clipped_share", "share of the tokens whose ratio was clipped"),
)

COST = (
    _number("generation_s", "wall-clock seconds of generation"),
    _number("tools_s", "wall-clock seconds in tools"),
    _number("scoring_s", "wall-clock seconds of scoring"),
)

CONTENT = (
    _json("info", "what else the dataset row held"),
    _json("prompt", "messages of the prompt"),
    _json("completion", "messages after the prompt"),
    _json("tool_results", "tool calls as executed, with raw results"),
    _json("turns", "one entry for each request to the sampler"),
    _json("errors", "what went wrong in the rollout"),
    _json("blobs", "hash and media type of each blob"),
    _json("components", "name, weight, status, error and seconds of each component, in order"),
)

MESSAGES = tuple(c for c in CONTENT if c.name in ("info", "prompt", "completion", "tool_results"))
"""What `rlvr prune` and a size limit may take out when the token details are gone. A file without
these columns lost them so; what is small and explains the scores stays."""

_SPAN = pa.struct(
    [("start", pa.int64()), ("stop", pa.int64()), ("turn", pa.int64()), ("role", pa.string())]
)

TOKENS = (
    _tokens("token_ids", pa.int64(), Encoding.BYTE_STREAM_SPLIT, "ids, by training sequence"),
    _tokens("token_loss_mask", pa.int64(), Encoding.DICTIONARY, "1 where the token has a loss"),
    _tokens("token_attended", pa.int64(), Encoding.DICTIONARY, "the attention mask really used"),
    _tokens("token_spans", _SPAN, Encoding.PLAIN, "which turn and role wrote which tokens"),
    _tokens(
        "token_sampler_logprobs",
        pa.float64(),
        Encoding.BYTE_STREAM_SPLIT,
        "logprobs of the sampler, in nats",
    ),
    _tokens(
        "token_trainer_logprobs",
        pa.float64(),
        Encoding.BYTE_STREAM_SPLIT,
        "logprobs of the trainer, in nats",
    ),
    _tokens(
        "token_reference_logprobs",
        pa.float64(),
        Encoding.BYTE_STREAM_SPLIT,
        "logprobs of the reference model, in nats",
    ),
    _tokens(
        "token_entropy",
        pa.float64(),
        Encoding.BYTE_STREAM_SPLIT,
        "entropy of the policy, in nats",
    ),
    _tokens(
        "token_expected_ids",
        pa.int64(),
        Encoding.BYTE_STREAM_SPLIT,
        "served and sampled ids, where other ones were trained",
    ),
)
"""Present only in files of which some trajectory has token details.

Doubles, so that every logprob comes back exactly: split into byte streams, the empty half of a
float32 compresses away (30 bytes more for a trajectory of 2,800 tokens than float32 itself)."""

DERIVED = (
    _derived("version", pa.int64(), "version of the functions behind these columns"),
    _derived("num_turns", pa.int64(), "assistant messages in the completion"),
    _derived("num_tool_calls", pa.int64(), "tool calls in the completion"),
    _derived("num_tool_responses", pa.int64(), "tool messages in the completion"),
    _derived("num_tool_errors", pa.int64(), "executed calls that raised or were malformed"),
    _derived("num_malformed_calls", pa.int64(), "calls that did not parse or named no tool"),
    _derived("num_scorer_failures", pa.int64(), "components whose scorer raised or timed out"),
    _derived("num_cut_turns", pa.int64(), "turns that ended at the token limit"),
    _derived("policy_version", pa.int64(), "oldest weights that a turn was sampled from"),
    _derived(
        "reference_in_answer",
        pa.bool_(),
        "the reference answer stands in the final answer; null where there is none",
    ),
    _derived("think_valid", pa.bool_(), "<think> well formed; null where unused"),
    _derived("cite_valid", pa.bool_(), "<cite> well formed; null where unused"),
    _derived("answer_valid", pa.bool_(), "<answer> well formed; null where unused"),
    _derived("unparsed_call", pa.bool_(), "a call stands in the text of a message without calls"),
    _derived("prompt_hash", pa.string(), "16 hex digits over the messages of the prompt"),
    _derived("text_hash", pa.string(), "16 hex digits over the messages of the completion"),
)

COLUMNS = IDENTITY + SCORE + EVIDENCE + COST + CONTENT + DERIVED
"""The columns that every trajectory file has, in order."""
