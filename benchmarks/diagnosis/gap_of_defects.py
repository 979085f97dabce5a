"""How far trainer and sampler are apart when the trainer has one defect: what GAP must find.

Takes the rollouts of step 0 of the sample run that ships with rlvr, whose weights are the bundled
checkpoint's, and scores their sampled tokens again as a trainer with a defect would: without the
tool schemas in the prompt, without the headers between turns, with parts of the context hidden from
attention, or at a temperature that the sampler's logprobs do not have. `gap_baseline.py` measures
the rounding on the other side of the line.

    python benchmarks/diagnosis/gap_of_defects.py
    python benchmarks/diagnosis/gap_of_defects.py --json
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from rlvr.cli.opening import open_sample
from rlvr.demo.policy import load_policy
from rlvr.diagnosis.thresholds import GAP
from rlvr.record import Mode, TrainingSequence

HEADER = 4  # tokens between the end of a tool result and an answer, in the demo's template
OTHER_TEMPERATURE = 0.7

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """How a trainer scores a sequence: tokens that it leaves out, tokens that its attention does
    not see, and its temperature. Masks have one entry a token."""

    without: Mask | None = None
    hidden: Mask | None = None
    temperature: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Mean gaps in nats over rollouts, and the share of the rollouts that are beyond GAP."""

    defect: str
    mean: float
    first_turn: float
    later_turns: float
    beyond: float


def sequences() -> tuple[list[TrainingSequence], Sequence[str]]:
    """The first training sequences of step 0 with token details, and the text of each token id."""
    run = open_sample("repaired").run
    rollouts = run.trajectories(mode=Mode.TRAIN, step=0, tokens=True)
    return [r.tokens.sequences[0] for r in rollouts if r.tokens], run.vocabulary()


def defects(sequence: TrainingSequence, vocabulary: Sequence[str]) -> Mapping[str, Scored]:
    """What the trainer may do wrong with one sequence."""
    count = len(sequence.ids)
    prompt, headers, schemas = (np.zeros(count, np.bool_) for _ in range(3))
    for span in sequence.spans:
        if span.role == "prompt":
            prompt[span.start : span.stop] = True
        if span.role == "assistant" and span.turn > 0:
            headers[span.start - HEADER : span.start] = True
    texts = [vocabulary[id] for id in sequence.ids]
    schemas[texts.index("<tools>") - 1 : texts.index("</tools>") + 1] = True
    context = np.asarray(sequence.loss_mask) == 0
    return {
        "none": Scored(),
        "no tool schemas in the prompt": Scored(without=schemas),
        "no headers between turns": Scored(without=headers),
        "prompt and tool results hidden": Scored(hidden=context),
        "tool results hidden": Scored(hidden=context & ~prompt),
        f"temperature {OTHER_TEMPERATURE:g} on one side": Scored(temperature=OTHER_TEMPERATURE),
    }


@torch.no_grad()
def gap_of(model: Any, sequence: TrainingSequence, scored: Scored) -> npt.NDArray[np.float64]:
    """|trainer - sampler| logprob of each token, NaN where nobody sampled it."""
    count = len(sequence.ids)
    kept = np.arange(count) if scored.without is None else np.flatnonzero(~scored.without)
    hidden = np.zeros(count, np.bool_) if scored.hidden is None else scored.hidden
    ids = torch.tensor(np.asarray(sequence.ids)[kept])[None]
    seen = torch.tensor(~hidden[kept]).long()[None]
    logits = model(ids, attention_mask=seen).logits[0, :-1] / scored.temperature
    chosen = torch.log_softmax(logits, dim=-1).gather(1, ids[0, 1:, None])[:, 0]
    trainer = np.full(count, np.nan)
    trainer[kept[1:]] = chosen.numpy()
    sampler = np.asarray(sequence.sampler_logprobs, dtype=np.float64)
    return np.asarray(np.abs(trainer - sampler))


def measure() -> Iterator[Gap]:
    """Every defect, over the rollouts that have several turns."""
    model, _ = load_policy()
    model.eval()
    found: dict[str, list[tuple[float, float, float]]] = {}
    several, vocabulary = sequences()
    for sequence in several:
        first = np.zeros(len(sequence.ids), np.bool_)
        for span in sequence.spans:
            if span.role == "assistant":
                first[span.start : span.stop] = span.turn == 0
        if not any(span.role == "assistant" and span.turn > 0 for span in sequence.spans):
            continue
        for name, scored in defects(sequence, vocabulary).items():
            gap = gap_of(model, sequence, scored)
            parts = (gap, gap[first], gap[~first])
            means = [float(np.nanmean(part)) for part in parts]
            found.setdefault(name, []).append((means[0], means[1], means[2]))
    for name, rows in found.items():
        mean, first_turn, later = np.mean(rows, axis=0)
        beyond = np.mean([whole > GAP or after > GAP for whole, _, after in rows])
        yield Gap(
            defect=name,
            mean=float(mean),
            first_turn=float(first_turn),
            later_turns=float(later),
            beyond=float(beyond),
        )


def table_of(gaps: Sequence[Gap]) -> Table:
    """The measurements as a table."""
    table = Table("defect", "mean", "first turn", "later turns", f"beyond {GAP:g}")
    for gap in gaps:
        nats = [f"{value:.2g}" for value in (gap.mean, gap.first_turn, gap.later_turns)]
        table.add_row(gap.defect, *nats, f"{gap.beyond:.0%}")
    return table


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    gaps = list(measure())
    if arguments.json:
        json.dump([asdict(gap) for gap in gaps], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        Console(width=100).print(table_of(gaps))


if __name__ == "__main__":
    main()
