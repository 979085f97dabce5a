"""Tiny untrained policies that speak as a model family does, for any of its chat templates.

The tokenizers are trained here on given texts: byte-level BPE with the family's way of splitting
text and its control tokens, so that a rendered dialogue is cut into tokens as a real model of the
family has it: a line break belongs to the punctuation before it, two of them are one token, and a
tag is one token.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["LLAMA3", "QWEN2_5", "QWEN3", "Family", "family_policy", "family_tokenizer"]

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_VOCABULARY = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What the tokenizers of a model family have in common.

    control: tokens that a decoder may skip. tags: added tokens that are text all the same.
    end_of_turn, end_of_text and begin_of_text are of `control`. digits: digits that one token may
    have. answer_header: how the prompt for an answer starts. architecture: its configuration's name
    in transformers.
    """

    name: str
    control: tuple[str, ...]
    tags: tuple[str, ...]
    end_of_turn: str
    end_of_text: str
    begin_of_text: str | None
    digits: int
    answer_header: str
    architecture: str


_CHATML = {
    "end_of_turn": "<|im_end|>",
    "end_of_text": "<|endoftext|>",
    "begin_of_text": None,
    "control": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "digits": 1,
    "answer_header": "<|im_start|>assistant\n",
}
QWEN2_5 = Family(
    name="Qwen2.5",
    tags=("<tool_call>", "</tool_call>"),
    architecture="qwen2",
    **_CHATML,  # type: ignore[arg-type]
)
QWEN3 = Family(
    name="Qwen3",
    tags=(
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
        "<think>",
        "</think>",
    ),
    architecture="qwen3",
    **_CHATML,  # type: ignore[arg-type]
)
LLAMA3 = Family(
    name="Llama 3",
    control=(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
        "<|finetune_right_pad_id|>",
    ),
    tags=(),
    end_of_turn="<|eot_id|>",
    end_of_text="<|end_of_text|>",
    begin_of_text="<|begin_of_text|>",
    digits=3,
    answer_header="<|start_header_id|>assistant<|end_header_id|>",
    architecture="llama",
)


def family_tokenizer(family: Family, *, chat_template: str, texts: Iterable[str]) -> Any:
    """A transformers tokenizer of a family. Equal texts give equal tokenizers."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pattern = rf"{_WORDS}|\p{{N}}{{1,{family.digits}}}|{_MARKS}"
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(list(texts), trainer)
    backend.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in family.control]
    )
    backend.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in family.tags])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template=chat_template,
        bos_token=family.begin_of_text,
        eos_token=family.end_of_turn,
        pad_token=family.end_of_text,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def family_policy(family: Family, tokenizer: Any, *, seed: int) -> Any:
    """A tiny untrained policy of the family's architecture, in float32.

    Torch's global random state is left as it was.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        family.architecture,
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=4096,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
