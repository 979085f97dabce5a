"""The demo's policy: Qwen3's architecture, some hundred thousand parameters."""

from typing import Any

__all__ = ["new_policy"]

HIDDEN_SIZE = 64
LAYERS = 2
HEADS = 4
CONTEXT_TOKENS = 1024


def new_policy(tokenizer: Any, *, seed: int, layers: int = LAYERS) -> Any:
    """An untrained policy in float32 for `tokenizer`. Equal seeds give equal weights.

    Torch's global random state is left as it was.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN_SIZE,
        intermediate_size=2 * HIDDEN_SIZE,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        head_dim=HIDDEN_SIZE // HEADS,
        max_position_embeddings=CONTEXT_TOKENS,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        # 1/sqrt(hidden size): from the usual 0.02 a model this narrow takes three times as many
        # steps until it copies names.
        initializer_range=HIDDEN_SIZE**-0.5,
        tie_word_embeddings=True,
        attention_dropout=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config).float()
