"""The values that settings of a training run can take."""

from enum import StrEnum


class TrainerKind(StrEnum):
    """Whose GRPO trainer trains."""

    VERIFIERS = "verifiers"
    TRL = "trl"


class Inference(StrEnum):
    """Where rollouts are sampled."""

    VLLM = "vllm"
    EMBEDDED = "embedded"


class WeightSync(StrEnum):
    """How new weights reach a vLLM server."""

    NCCL = "nccl"
    FILES = "files"
    ADAPTER = "adapter"


class ToolParser(StrEnum):
    """How tool calls are read from a model's text, by the name of vLLM's parser for them.

    NONE leaves them in the text, as a server with another model's parser does.
    """

    HERMES = "hermes"
    LLAMA3_JSON = "llama3_json"
    NONE = "none"


class LossType(StrEnum):
    """What a token's loss is divided by: its sequence, the batch's tokens, or a constant."""

    GRPO = "grpo"
    BNPO = "bnpo"
    DR_GRPO = "dr_grpo"


class Scheduler(StrEnum):
    """Learning rate over the steps, as transformers names it."""

    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    LINEAR = "linear"
    COSINE = "cosine"
