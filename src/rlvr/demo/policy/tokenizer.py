"""The demo's tokenizer: one token a word, a byte for what it does not know."""

from collections.abc import Iterable
from importlib import resources
from typing import Any

__all__ = ["CONTROL_TOKENS", "TAGS", "build_tokenizer"]

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = tuple(
    tag
    for name in ("think", "tool_call", "cite", "answer", "tools")
    for tag in (f"<{name}>", f"</{name}>")
)
_PIECES = r"\n| ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]+(?: [^\sA-Za-z0-9]+)*|\s"
"""A newline is a piece by itself, so that no token crosses the end of the generation prompt."""


def build_tokenizer(texts: Iterable[str]) -> Any:
    """A transformers tokenizer in which every piece of `texts` is one token.

    A piece is a word with or without the space before it, a digit, a run of punctuation, or a
    newline. Any other text is encoded byte by byte and decodes to itself. The same texts, in any
    order, give the same tokenizer.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = {piece for text in texts for piece, _ in split.pre_tokenize_str(text)}
    entries = [*alphabet, *sorted(pieces.difference(alphabet))]
    vocabulary = {piece: number for number, piece in enumerate(entries)}
    # With ignore_merges a piece of the vocabulary is one token and any other falls into bytes.
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    backend.pre_tokenizer = split
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS]
    )
    # Not special: a decoder that skips special tokens must keep them.
    backend.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template=_template(),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def _template() -> str:
    return resources.files(__package__).joinpath("chat_template.jinja").read_text(encoding="utf-8")
