"""How far trainer and sampler are apart by rounding alone: the line under sampler-trainer-gap.

A sampler decodes token by token with a cache, a trainer scores the whole sequence at once; with the
same weights and text their logprobs differ by rounding only. Both are run here, on the CPU, in the
precisions that trainings use, with the demo's policy and with random Qwen3 models of several depths
and widths. The output of these is sharpened until their entropy is that of a trained policy, which
magnifies their rounding more than training would. With "lag" the sampler's weights are one update
older: each differs by a learning rate of 1e-6, as an early step of Adam leaves it. "autocast" is a
trainer that keeps float32 weights and computes in bfloat16, as mixed precision does.

    python benchmarks/diagnosis/gap_baseline.py
    python benchmarks/diagnosis/gap_baseline.py --rollouts 32 --json
    python benchmarks/diagnosis/gap_baseline.py --tokens 512 2048 --rollouts 2 --layers 12
    python benchmarks/diagnosis/gap_baseline.py --temperatures 0.7 1 1.3 --layers 12
"""

import argparse
import copy
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoConfig, AutoModelForCausalLM

from rlvr.demo.policy import load_policy

PROMPT_TOKENS = 48
ENTROPY = 0.7
LEARNING_RATE = 1e-6
VOCABULARY = 2_048
SHAPES = ((4, 128), (12, 128), (28, 128), (12, 384))  # layers, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Precisions of the weights on both sides."""

    sampler: torch.dtype
    trainer: torch.dtype
    lag: bool = False
    autocast: bool = False


CASES = (
    Case(sampler=torch.float32, trainer=torch.float32),
    Case(sampler=torch.float32, trainer=torch.float32, lag=True),
    Case(sampler=torch.bfloat16, trainer=torch.bfloat16),
    Case(sampler=torch.bfloat16, trainer=torch.float32, autocast=True),
    Case(sampler=torch.bfloat16, trainer=torch.float32),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Gaps of one model and pair of precisions, in nats; `rollout_max` is the worst rollout's
    mean."""

    model: str
    sampler: str
    trainer: str
    lag: bool
    tokens: int
    temperature: float
    entropy: float
    mean: float
    p99: float
    beyond_1nat: float
    rollout_max: float


def models(layers_wanted: Sequence[int]) -> Iterator[tuple[str, Any]]:
    """The demo's policy, and random Qwen3 models of some sizes, in float32."""
    policy, _ = load_policy()
    yield "demo policy", policy.eval()
    for layers, width in SHAPES:
        if layers not in layers_wanted:
            continue
        config = AutoConfig.for_model(
            "qwen3",
            vocab_size=VOCABULARY,
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            num_key_value_heads=width // 64,
            head_dim=64,
            tie_word_embeddings=False,
        )
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        sharpen(model)
        yield f"random, {layers} layers of {width}", model


@torch.no_grad()
def sharpen(model: Any) -> None:
    """Scale the output layer until the mean entropy is ENTROPY, by bisection."""
    ids = torch.randint(VOCABULARY, (8, PROMPT_TOKENS))
    logits = model(ids).logits
    low, high = 1.0, 1e4
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if entropy_of(logits * middle) > ENTROPY else (low, middle)
    model.lm_head.weight.mul_(low)


def entropy_of(logits: torch.Tensor) -> float:
    """Mean entropy in nats."""
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    return float(-(logprobs.exp() * logprobs).sum(-1).mean())


@torch.no_grad()
def sample(
    model: Any, prompts: torch.Tensor, *, tokens: int, temperature: float
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Sampled ids and their logprobs (rollouts, tokens), and the mean entropy."""
    past, ids, chosen, logprobs, entropies = None, prompts, [], [], []
    for _ in range(tokens):
        output = model(ids, past_key_values=past, use_cache=True)
        past, logits = output.past_key_values, output.logits[:, -1].float() / temperature
        ids = torch.multinomial(torch.softmax(logits, dim=-1), 1)
        chosen.append(ids)
        logprobs.append(torch.log_softmax(logits, dim=-1).gather(1, ids))
        entropies.append(entropy_of(logits))
    return torch.cat(chosen, 1), torch.cat(logprobs, 1), float(np.mean(entropies))


@torch.no_grad()
def score(
    model: Any,
    prompts: torch.Tensor,
    sampled: torch.Tensor,
    *,
    temperature: float,
    autocast: bool,
) -> torch.Tensor:
    """Logprobs of the sampled ids by one forward over each whole sequence."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = model(torch.cat([prompts, sampled], 1)).logits[:, PROMPT_TOKENS - 1 : -1]
    scores = torch.log_softmax(logits.float() / temperature, dim=-1)
    return scores.gather(2, sampled[..., None])[..., 0]


@torch.no_grad()
def one_update_older(model: Any) -> Any:
    """The model with every weight moved by the learning rate, up or down."""
    older = copy.deepcopy(model)
    for parameter in older.parameters():
        parameter.add_(LEARNING_RATE * torch.randn_like(parameter).sign())
    return older


def measure(
    rollouts: int,
    *,
    tokens: Sequence[int],
    temperatures: Sequence[float],
    layers: Sequence[int],
) -> Iterator[Baseline]:
    """Every model in every case."""
    for name, model in models(layers):
        limit = model.config.max_position_embeddings - PROMPT_TOKENS
        for length, temperature in itertools.product(tokens, temperatures):
            prompts = torch.randint(model.config.vocab_size, (rollouts, PROMPT_TOKENS))
            for case in CASES:
                yield baseline(
                    name,
                    model,
                    case,
                    prompts,
                    tokens=min(length, limit),
                    temperature=temperature,
                )


def baseline(
    name: str, model: Any, case: Case, prompts: torch.Tensor, *, tokens: int, temperature: float
) -> Baseline:
    """One model in one case."""
    behind = one_update_older(model) if case.lag else copy.deepcopy(model)
    sampled, theirs, entropy = sample(
        behind.to(case.sampler), prompts, tokens=tokens, temperature=temperature
    )
    trainer = copy.deepcopy(model).to(case.trainer)
    ours = score(trainer, prompts, sampled, temperature=temperature, autocast=case.autocast)
    gap = (ours - theirs).abs().numpy()
    return Baseline(
        model=name,
        sampler=str(case.sampler).removeprefix("torch."),
        trainer="autocast" if case.autocast else str(case.trainer).removeprefix("torch."),
        lag=case.lag,
        tokens=tokens,
        temperature=temperature,
        entropy=entropy,
        mean=float(gap.mean()),
        p99=float(np.quantile(gap, 0.99)),
        beyond_1nat=float((gap > 1).mean()),
        rollout_max=float(gap.mean(1).max()),
    )


def table_of(baselines: Sequence[Baseline]) -> Table:
    """The measurements as a table."""
    table = Table(
        "model",
        "sampler",
        "trainer",
        "lag",
        "tokens",
        "at",
        "entropy",
        "mean",
        "p99",
        "> 1 nat",
        "worst",
    )
    for line in baselines:
        table.add_row(
            line.model,
            line.sampler,
            line.trainer,
            "1 update" if line.lag else "",
            str(line.tokens),
            f"{line.temperature:g}",
            f"{line.entropy:.2f}",
            f"{line.mean:.2g}",
            f"{line.p99:.2g}",
            f"{line.beyond_1nat:.2%}",
            f"{line.rollout_max:.2g}",
        )
    return table


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rollouts", type=int, default=8, help="sequences of each measurement")
    parser.add_argument("--tokens", type=int, nargs="+", default=[48], help="sampled tokens")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0])
    parser.add_argument(
        "--layers",
        type=int,
        nargs="+",
        default=[layers for layers, _ in SHAPES],
        help="depths of the random models",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    baselines = list(
        measure(
            arguments.rollouts,
            tokens=arguments.tokens,
            temperatures=arguments.temperatures,
            layers=arguments.layers,
        )
    )
    if arguments.json:
        json.dump([asdict(line) for line in baselines], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        Console(width=120).print(table_of(baselines))


if __name__ == "__main__":
    main()
