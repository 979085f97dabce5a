"""How much rollouts say the same: by hash over all of them, by words in those with messages."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlvr.analysis.columns import Ints, Mask
from rlvr.diagnosis.rollouts import Rollouts
from rlvr.diagnosis.thresholds import ALIKE, LONG_TEXT
from rlvr.record import Trajectory

_WORD = re.compile(r"\w+|[^\w\s]")
_WORDS = 400  # of a text that are compared
_CHARS = 20_000


def copies_in_group(rollouts: Rollouts) -> Mask:
    """Rollouts whose completion is that of another one of their group. Shape (rollouts,)."""
    text = rollouts.codes("derived_text_hash")
    return _shared(rollouts.group, text)


def copies_across_prompts(rollouts: Rollouts) -> Mask:
    """Rollouts whose completion is that of another prompt's, in the same step. Shape (rollouts,).

    Only those of LONG_TEXT sampled tokens or more: short ones are the same by chance.
    """
    text, prompt = rollouts.codes("derived_text_hash"), rollouts.codes("derived_prompt_hash")
    long = rollouts.numbers("sampled_tokens") >= LONG_TEXT
    asked = np.flatnonzero((text >= 0) & (prompt >= 0) & long)
    spoken = _pairs(np.searchsorted(rollouts.steps, rollouts.step), text)
    found = np.zeros(len(rollouts), np.bool_)
    if not asked.size:
        return found
    pairs = np.unique(np.stack([spoken[asked], prompt[asked]], axis=1), axis=0)
    said, prompts = np.unique(pairs[:, 0], return_counts=True)
    found[asked] = prompts[np.searchsorted(said, spoken[asked])] > 1
    return found


def _shared(first: Ints, second: Ints) -> Mask:
    """Where another row has the same two codes; -1 in the second is none."""
    found = np.zeros(len(first), np.bool_)
    known = second >= 0
    _, place, count = np.unique(
        _pairs(first, second)[known], return_inverse=True, return_counts=True
    )
    found[known] = count[place] > 1
    return found


def _pairs(first: Ints, second: Ints) -> Ints:
    """One whole number for each two codes."""
    return first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Ids of rollouts that say nearly what another of the same step does, in at least ALIKE of
    their words: another of the `group`, one of another `prompt`. `looked_at` are all compared."""

    group: frozenset[str]
    prompt: frozenset[str]
    looked_at: frozenset[str]


def twins(contents: Sequence[Trajectory]) -> Twins:
    """Compare the rollouts with messages, step by step."""
    by_step: dict[int, list[tuple[Trajectory, list[str]]]] = defaultdict(list)
    for trajectory in contents:
        words = _words(trajectory)
        if trajectory.id is not None and words:
            by_step[trajectory.step].append((trajectory, words))
    group: set[str] = set()
    prompt: set[str] = set()
    looked_at: set[str] = set()
    for step in by_step.values():
        rollouts = [trajectory for trajectory, _ in step]
        alike = _alike([words for _, words in step])
        long = np.array([len(words) >= LONG_TEXT for _, words in step])
        same_group = _equal(trajectory.group_id for trajectory in rollouts)
        same_prompt = _equal(_prompt(trajectory) for trajectory in rollouts)
        ids = [trajectory.id or "" for trajectory in rollouts]
        group |= _chosen(ids, alike & same_group)
        prompt |= _chosen(ids, alike & ~same_prompt & long[:, None] & long[None, :])
        looked_at.update(ids)
    return Twins(group=frozenset(group), prompt=frozenset(prompt), looked_at=frozenset(looked_at))


def _words(trajectory: Trajectory) -> list[str]:
    """The first words that the policy wrote, calls among them."""
    found: list[str] = []
    for message in trajectory.completion:
        if message.role != "assistant" or len(found) >= _WORDS:
            continue
        calls = (f"{call.name} {call.arguments[:_CHARS]}" for call in message.tool_calls)
        for text in (message.text[:_CHARS], *calls):
            found += _WORD.findall(text)
    return found[:_WORDS]


def _prompt(trajectory: Trajectory) -> str:
    return "\0".join(message.text for message in trajectory.prompt)


def _alike(texts: Sequence[Sequence[str]]) -> npt.NDArray[np.bool_]:
    """Which two texts share at least ALIKE of their words; none with itself. Shape (n, n)."""
    vocabulary: dict[str, int] = {}
    for words in texts:
        for word in words:
            vocabulary.setdefault(word, len(vocabulary))
    counts = np.zeros((len(texts), len(vocabulary)), np.int16)
    for row, words in enumerate(texts):
        np.add.at(counts[row], [vocabulary[word] for word in words], 1)
    lengths = counts.sum(axis=1, dtype=np.int64)
    shared = np.array([np.minimum(counts, row).sum(axis=1, dtype=np.int64) for row in counts])
    alike = 2 * shared >= ALIKE * (lengths[:, None] + lengths[None, :])
    np.fill_diagonal(alike, False)
    return np.asarray(alike)


def _equal(labels: Iterable[str]) -> npt.NDArray[np.bool_]:
    codes: dict[str, int] = {}
    numbers = np.array([codes.setdefault(label, len(codes)) for label in labels])
    return np.asarray(numbers[:, None] == numbers[None, :])


def _chosen(ids: Sequence[str], pairs: npt.NDArray[np.bool_]) -> set[str]:
    return {ids[row] for row in np.flatnonzero(pairs.any(axis=1)).tolist()}
