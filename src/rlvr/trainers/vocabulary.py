"""The text of every token of a tokenizer, kept with a run so that ids can be read without it."""

from typing import Any

_CHUNK = 4_096


def token_texts(tokenizer: Any) -> list[str]:
    """The text of each id from 0 on, special tokens as they are written.

    A token that is part of a character shows as U+FFFD.
    """
    texts: list[str] = []
    for start in range(0, len(tokenizer), _CHUNK):
        ids = [[token] for token in range(start, min(start + _CHUNK, len(tokenizer)))]
        texts += tokenizer.batch_decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
    return texts
