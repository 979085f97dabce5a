"""The texts that a run keeps of its tokens."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from rlvr.trainers.vocabulary import token_texts


def byte_level():
    """A tokenizer of GPT-2's kind: a token for each byte, and no other."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(
        models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[])
    )
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def byte_fallback():
    """A tokenizer of sentencepiece's kind, whose bytes have names."""
    vocabulary = {"<unk>": 0, "a": 1, "<0xE2>": 2, "<0x82>": 3, "<0xAC>": 4}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return made


@pytest.mark.parametrize("made", [byte_level, byte_fallback])
def test_parts_of_a_character_show_their_bytes_in_hex(made):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made())
    texts = token_texts(tokenizer)
    ids = tokenizer("a€", add_special_tokens=False)["input_ids"]
    assert [texts[id] for id in ids] == ["a", "\\xe2", "\\x82", "\\xac"]
