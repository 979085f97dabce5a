"""The demo's policy in a shape that vLLM's attention on CPUs can compute."""

import copy
import math

import torch
from transformers import Qwen3ForCausalLM

from rlvr.demo.policy import load_policy

HEAD_DIM = 32  # the smallest that it knows


def served_policy():
    """(model in float32, tokenizer): the demo's policy with wider heads, and the same logprobs.

    A head's added components are zero. Rotary frequencies are those of the narrow head, since its
    base is squared as the head's width is doubled; the norms of queries and keys undo the factor
    that the added zeros bring into their mean, and that of queries the softmax's new scale.
    """
    narrow, tokenizer = load_policy()
    config = copy.deepcopy(narrow.config)
    assert config.head_dim * 2 == HEAD_DIM
    config.head_dim = HEAD_DIM
    config.rope_parameters["rope_theta"] **= 2
    with torch.random.fork_rng():
        wide = Qwen3ForCausalLM(config).float()
    narrow_weights = narrow.state_dict()
    wide.load_state_dict({name: _widened(name, narrow_weights[name]) for name in wide.state_dict()})
    wide.tie_weights()
    return wide, tokenizer


def _widened(name, weights):
    kind = name.rsplit(".", 2)[-2]
    if kind in ("q_norm", "k_norm"):
        padded = _in_halves(weights[None, :, None])[0, :, 0]
        return padded / math.sqrt(2) * (math.sqrt(2) if kind == "q_norm" else 1)
    if kind in ("q_proj", "k_proj"):
        heads = _in_halves(weights.view(-1, HEAD_DIM // 2, weights.shape[1]))
        return heads.flatten(0, 1)
    if kind == "v_proj":
        heads = weights.view(-1, HEAD_DIM // 2, weights.shape[1])
        return torch.cat([heads, torch.zeros_like(heads)], dim=1).flatten(0, 1)
    if kind == "o_proj":
        heads = weights.view(weights.shape[0], -1, HEAD_DIM // 2)
        return torch.cat([heads, torch.zeros_like(heads)], dim=2).flatten(1, 2)
    return weights


def _in_halves(heads):
    """Pad the rotated halves of (heads, width, columns) one by one: they are rotated in pairs."""
    first, second = heads.chunk(2, dim=1)
    return torch.cat([first, torch.zeros_like(first), second, torch.zeros_like(second)], dim=1)
