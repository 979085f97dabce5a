"""The demo's policy: its tokenizer, chat template, architecture and checkpoint."""

from rlvr.demo.policy.checkpoint import bundled_checkpoint, load_policy, save_policy
from rlvr.demo.policy.model import new_policy
from rlvr.demo.policy.tokenizer import CONTROL_TOKENS, TAGS, build_tokenizer

__all__ = [
    "CONTROL_TOKENS",
    "TAGS",
    "build_tokenizer",
    "bundled_checkpoint",
    "load_policy",
    "new_policy",
    "save_policy",
]
