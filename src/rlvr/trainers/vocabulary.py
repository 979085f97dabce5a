"""The text of every token of a tokenizer, kept with a run so that ids can be read without it."""

import re
from typing import Any

_CHUNK = 4_096
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_texts(tokenizer: Any) -> list[str]:
    r"""The text of each id from 0 on, special tokens as they are written.

    A token that is part of a character shows its bytes in hex, `\xe2\x82`; as U+FFFD where the
    tokenizer does not tell them.
    """
    texts: list[str] = []
    for start in range(0, len(tokenizer), _CHUNK):
        ids = range(start, min(start + _CHUNK, len(tokenizer)))
        texts += tokenizer.batch_decode(
            [[id] for id in ids], skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
    byte_of = _byte_letters()
    for id, text in enumerate(texts):
        if "\ufffd" in text:
            texts[id] = _in_hex(tokenizer.convert_ids_to_tokens(id), byte_of) or text
    return texts


def _in_hex(piece: object, byte_of: dict[str, int]) -> str | None:
    """What a token stands for, bytes that are no character in hex; None where that is not known."""
    if not isinstance(piece, str):
        return None
    alone = _BYTE.fullmatch(piece)
    if alone is not None:
        return f"\\x{alone[1].lower()}"
    if not all(letter in byte_of for letter in piece):
        return None
    return bytes(byte_of[letter] for letter in piece).decode("utf-8", "backslashreplace")


def _byte_letters() -> dict[str, int]:
    """The byte behind each letter in the tokens of byte-level tokenizers, GPT-2's and its heirs'.

    Bytes that print stand for themselves, the others for the letters from U+0100 on.
    """
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printing]
    letters = {chr(byte): byte for byte in printing}
    return letters | {chr(0x100 + at): byte for at, byte in enumerate(others)}
