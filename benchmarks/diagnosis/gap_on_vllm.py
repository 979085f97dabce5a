"""How far a trainer and a real vLLM server are apart by rounding, and what a weight sync costs.

The server samples answers to random prompts; the same model, loaded here in each precision that
trainings use, scores prompt and answer at once. Start the server as docs/vllm.md says, from a
folder that holds the model, in the precision to be measured:

    python benchmarks/diagnosis/gap_on_vllm.py --model FOLDER --port 8000
    python benchmarks/diagnosis/gap_on_vllm.py --model FOLDER --port 8000 --syncs 5 --json

`--random LAYERS,WIDTH` writes a random Qwen3 model into FOLDER for the server to start from, and
ends. Its output is sharpened until its entropy is near that of a trained policy.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from rlvr.inference.vllm import VllmFiles, VllmSampler
from rlvr.inference.vllm_server import VllmServer

PROMPT_TOKENS = 48
SAMPLED_TOKENS = 48
VOCABULARY = 2_048
SHARPENING = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="Folder that the server was started from.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--rollouts", type=int, default=32)
    parser.add_argument("--syncs", type=int, default=0, help="Weight syncs to be timed.")
    parser.add_argument("--random", help="LAYERS,WIDTH of a model to write; nothing is measured.")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.random:
        write_random(Path(chosen.model), *map(int, chosen.random.split(",")))
        return
    server = VllmServer(url=f"http://127.0.0.1:{chosen.port}")
    found: list[dict[str, Any]] = gaps(server, chosen.model, chosen.rollouts)
    if chosen.syncs:
        found.append(syncs(server, chosen.model, chosen.syncs))
    for row in found:
        line = "  ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in row.items()
        )
        print(json.dumps(row) if chosen.json else line)


def write_random(folder: Path, layers: int, width: int) -> None:
    """A model with output weights of its own, as a CPU server needs it."""
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=max(width // 128, 1),
        head_dim=64,
        max_position_embeddings=512,
        initializer_range=width**-0.5,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config).float()
    with torch.no_grad():
        model.lm_head.weight.mul_(SHARPENING)
    model.save_pretrained(folder)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters in {folder}", file=sys.stderr)


def gaps(server: VllmServer, folder: str, rollouts: int) -> list[dict[str, Any]]:
    """Gap in nats by the trainer's precision."""
    served = server.get("/v1/models")["data"][0]["id"]
    vocabulary = AutoModelForCausalLM.from_pretrained(folder).config.vocab_size
    generator = np.random.default_rng(0)
    samples = [
        sample(server, served, generator.integers(20, vocabulary, PROMPT_TOKENS).tolist())
        for _ in range(rollouts)
    ]
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        apart = np.concatenate(
            [np.abs(np.array(said) - scored(model, prompt, ids)) for prompt, ids, said in samples]
        )
        found.append(
            {
                "trainer": str(dtype).removeprefix("torch."),
                "tokens": len(apart),
                "sampler_logprob": float(np.mean([np.mean(said) for *_, said in samples])),
                "mean": float(apart.mean()),
                "p99": float(np.quantile(apart, 0.99)),
                "largest": float(apart.max()),
            }
        )
    return found


def sample(
    server: VllmServer, model: str, prompt: list[int]
) -> tuple[list[int], list[int], list[float]]:
    """(prompt, sampled ids, their logprobs)."""
    answer = server.post(
        "/v1/completions",
        {
            "model": model,
            "prompt": prompt,
            "max_tokens": SAMPLED_TOKENS,
            "ignore_eos": True,
            "temperature": 1.0,
            "logprobs": 0,
            "return_token_ids": True,
        },
    )["choices"][0]
    return prompt, answer["token_ids"], answer["logprobs"]["token_logprobs"]


@torch.no_grad()
def scored(model: Any, prompt: list[int], ids: list[int]) -> np.ndarray[Any, Any]:
    """Logprobs as a training step computes them; in float32 from the model's own logits."""
    logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].float()
    chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None])[:, 0]
    values: np.ndarray[Any, Any] = chosen.numpy()
    return values


def syncs(server: VllmServer, folder: str, times: int) -> dict[str, Any]:
    """Seconds of one weight sync through files, writing and loading."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    sampler = VllmSampler(server=server, model=folder, longest=1)
    with tempfile.TemporaryDirectory() as shared:
        engine = VllmFiles(sampler=sampler, folder=Path(shared))
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            for name, tensor in model.state_dict().items():
                engine.update_named_param(name, tensor)
            engine.reset_prefix_cache()
            seconds.append(time.perf_counter() - began)
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    return {"sync_s": float(np.median(seconds)), "megabytes": size / 1e6}


if __name__ == "__main__":
    main()
