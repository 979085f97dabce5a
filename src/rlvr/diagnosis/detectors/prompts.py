"""Do several groups of one batch, or several ranks, train on the same prompt?"""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Ints, Mask
from rlvr.analysis.statistics import Share, Side, share
from rlvr.diagnosis.detectors.wording import counted, percent
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.finding import (
    Example,
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Plot,
    Severity,
    Unknown,
)
from rlvr.diagnosis.habits import dated
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import REPEATED, UNAFFECTED

CODE = "duplicate-prompts"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batches:
    """The groups whose prompt is known, one entry a group in the order of training.

    `first` is the row of the group's first rollout, `batch` numbers the batches and `prompt` the
    prompts; `times` counts the groups of the batch with that prompt, `again` marks those that are
    not the first of them. `batch_groups` has the groups of each group's batch.
    """

    first: Ints
    batch: Ints
    prompt: Ints
    times: Ints
    again: Mask
    batch_groups: Ints

    @property
    def by_chance(self) -> float:
        """The share of repeating groups if each prompt were drawn anew from all that the run has.

        A batch of p draws from n prompts holds n (1 - (1 - 1/n)^p) different ones on average.
        """
        n, draws = len(np.unique(self.prompt)), float(np.mean(self.batch_groups))
        return float(1 - n * (1 - (1 - 1 / n) ** draws) / draws)


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Prompts that stand in several groups of one batch. Repeats in later batches are epochs."""
    rollouts = evidence.rollouts
    batches = _batches(rollouts)
    if not len(batches.first):
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded its prompt",
                needs="the messages of the prompt, from which rlvr derives derived_prompt_hash",
            ),
        )
    if batches.batch_groups.max() < 2:
        return (
            Healthy(code=CODE, sentence="each batch holds a single group, so none can repeat it"),
        )
    now = _since(batches, rollouts)
    found = share(int(now.again.sum()), len(now.first))
    world = evidence.info.world_size if evidence.info else 1
    if _ranks_repeat(now, world):
        return (_of_ranks(rollouts, batches, found, world),)
    if found.side(REPEATED) is Side.ABOVE:
        return (_repeated(rollouts, batches, now, found),)
    # Processes that share their prompts repeat half of the groups at least.
    none = found.hits == 0 and found.side(0.5) is Side.BELOW
    if none or found.side(REPEATED) is Side.BELOW:
        said = f"in {percent(found.value)} of them" if found.hits else "in none of them"
        return (
            Healthy(
                code=CODE,
                sentence=f"{counted(len(now.first), 'group')} of the last steps, {said} a prompt"
                " that the batch already holds",
            ),
        )
    return (
        Unknown(
            code=CODE,
            because=f"{counted(len(now.first), 'group')}, {percent(found.value)} of them with a"
            f" prompt of their batch again, can't tell whether the share is above"
            f" {percent(REPEATED)}",
            needs="more steps",
        ),
    )


def _batches(rollouts: Rollouts) -> _Batches:
    hashes, examples = rollouts.codes("derived_prompt_hash"), rollouts.codes("example_id")
    first = rollouts.groups.first
    # Pictures are not in the hash, so prompts are the same only where their example is the same.
    known = (hashes >= 0) & ((examples >= 0) | _says_something(rollouts))
    first = first[known[first]]
    prompt = _numbered(hashes[first], examples[first])
    attempt, number = (rollouts.numbers(name)[first].astype(np.int64) for name in _BATCH)
    batch = _numbered(attempt, number)
    pair, where, times = np.unique(_numbered(batch, prompt), return_index=True, return_counts=True)
    place = np.searchsorted(pair, _numbered(batch, prompt))
    again = np.ones(len(first), np.bool_)
    again[where] = False
    return _Batches(
        first=first,
        batch=batch,
        prompt=prompt,
        times=times[place],
        again=again,
        batch_groups=np.bincount(batch)[batch],
    )


_BATCH = ("attempt", "batch")


def _says_something(rollouts: Rollouts) -> Mask:
    """Where a prompt of some tokens was served: the hash of no messages is a hash too."""
    return np.asarray(rollouts.numbers("served_prompt_tokens") > 0)


def _numbered(first: Ints, second: Ints) -> Ints:
    """Equal whole numbers, from 0, for equal pairs."""
    span = int(second.max(initial=0)) + 2
    _, numbers = np.unique(first * span + second + 1, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64)


def _since(batches: _Batches, rollouts: Rollouts) -> _Batches:
    """Those of the last steps; all, where none of these has a prompt."""
    recent = rollouts.recent[batches.first]
    if not recent.any():
        return batches
    return _Batches(
        first=batches.first[recent],
        batch=batches.batch[recent],
        prompt=batches.prompt[recent],
        times=batches.times[recent],
        again=batches.again[recent],
        batch_groups=batches.batch_groups[recent],
    )


def _ranks_repeat(now: _Batches, world: int) -> bool:
    """Whether each prompt stands once per process, although there are prompts enough for all."""
    if world < 2:
        return False
    exact = float((now.times == world).mean())
    enough = len(np.unique(now.prompt)) >= now.batch_groups.max()
    return exact > 1 - UNAFFECTED and enough


def _of_ranks(rollouts: Rollouts, batches: _Batches, found: Share, world: int) -> Finding:
    return Finding(
        code=CODE,
        severity=Severity.ERROR,
        sentence=f"Each prompt stands in {world} groups of its batch, once for each of the {world}"
        f" processes: they all train on the same prompts, so {percent(found.value)} of the groups"
        " only repeat another one.",
        rollouts=len(rollouts),
        numbers=(
            Number(name="processes", value=world),
            *_numbers(found, batches),
        ),
        plot=_plot(rollouts, batches),
        examples=_examples(rollouts, batches),
        lookalikes=(
            LookAlike(
                what="a dataset with fewer prompts than a batch has groups",
                told_apart_by="here the run has prompts enough for a whole batch",
            ),
            LookAlike(
                what="a batch that is meant to sample each prompt more often",
                told_apart_by="num_generations then makes the groups larger, not more of them",
            ),
        ),
        refuted_by="start the same training with one process and a few steps: if prompts still"
        " stand several times in a batch, the processes are not the cause.",
        remedy="give each process its own share of the batch: in EnhancedGRPOTrainer the repair"
        ' `distinct_prompts` (repairs="all"). Until then the batch is as good as one of'
        f" 1/{world} of its size.",
        since_step=_since_step(rollouts, batches),
    )


def _repeated(rollouts: Rollouts, batches: _Batches, now: _Batches, found: Share) -> Finding:
    chance = now.by_chance
    small = found.low <= chance
    distinct = len(np.unique(now.prompt))
    reason = (
        f", which is what chance gives with {counted(distinct, 'prompt')}"
        if small
        else f", although there are {counted(distinct, 'prompt')} to choose from"
    )
    return Finding(
        code=CODE,
        severity=Severity.NOTE if small else Severity.WARNING,
        sentence=f"{percent(found.value)} of the groups of the last steps have a prompt that their"
        f" batch already holds{reason}.",
        rollouts=len(rollouts),
        numbers=(
            *_numbers(found, now),
            Number(name="repeating groups by chance", value=chance, unit="share"),
        ),
        plot=_plot(rollouts, batches),
        examples=_examples(rollouts, batches),
        lookalikes=(
            LookAlike(
                what="a small dataset",
                told_apart_by='the number "different prompts" beside the groups of a batch',
            ),
            LookAlike(
                what="epochs: the same prompt in a later batch",
                told_apart_by="only groups of one batch are compared",
            ),
        ),
        refuted_by="`rlvr show RUN GROUP` of two examples: if their questions differ, the finding"
        " is wrong.",
        remedy="use more prompts, or a sampler that shuffles without replacement; leave doubles"
        " out of the dataset. To sample a prompt more often, raise num_generations: then its"
        " rollouts share one baseline.",
        since_step=_since_step(rollouts, batches),
    )


def _numbers(found: Share, batches: _Batches) -> tuple[Number, ...]:
    return (
        Number(name="repeating groups now", value=found.value, unit="share"),
        Number(name="groups of a batch", value=int(batches.batch_groups.max()), unit="groups"),
        Number(name="different prompts", value=len(np.unique(batches.prompt)), unit="prompts"),
    )


def _by_step(rollouts: Rollouts, batches: _Batches) -> list[tuple[int, float]]:
    repeats = np.full(len(rollouts), np.nan)
    repeats[batches.first] = batches.again
    return rollouts.by_step(repeats)


def _plot(rollouts: Rollouts, batches: _Batches) -> Plot:
    return Plot(
        title="share of the groups whose prompt the batch already holds",
        series={"repeating": _by_step(rollouts, batches)},
        y_range=(0.0, 1.0),
    )


def _since_step(rollouts: Rollouts, batches: _Batches) -> int | None:
    again, asked = np.zeros((2, len(rollouts)), np.bool_)
    again[batches.first], asked[batches.first] = batches.again, True
    return dated(rollouts, again, REPEATED, asked)


def _examples(rollouts: Rollouts, batches: _Batches) -> tuple[Example, ...]:
    """The groups of the newest prompt that stands several times."""
    newest = np.flatnonzero(batches.again)[-1]
    same = (batches.batch == batches.batch[newest]) & (batches.prompt == batches.prompt[newest])
    column = rollouts.table["group_id"]
    return tuple(
        Example(id=str(column[int(row)].as_py()), why="the same prompt in the same batch")
        for row in batches.first[same][:3]
    )
