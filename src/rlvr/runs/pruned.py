"""What was taken out of a run to save disk space, so that nobody reads it as never recorded."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr.codec import pruned_parts
from rlvr.record import Part, Pruned
from rlvr.runs.batches import Batches, RecordedBatch
from rlvr.runs.files import UNREADABLE, Damage
from rlvr.store import RETENTION_FILE, BatchName, parse_record_id
from rlvr.utils.sizes import size_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What each trajectory file of a run lacks; `files` has those alone that lack something."""

    files: Mapping[BatchName, tuple[Pruned, ...]]
    steps: tuple[int, ...]

    def of(self, id: str, part: Part) -> str | None:
        """Why a trajectory has no such part: that it was pruned; None where it was not.

        A trajectory may also have no token details because none were asked for.
        """
        place = parse_record_id(id)
        notes = self.files.get(place[0], ()) if place else ()
        for note in notes:
            if note.part is part:
                return f"The {part.label} of {id} were pruned {_why(note)}."
        return None

    def notes(self, id: str) -> tuple[str, ...]:
        """A sentence for each part that a trajectory lost."""
        found = (self.of(id, part) for part in Part)
        return tuple(note for note in found if note is not None)

    def lacks(self, name: BatchName, part: Part) -> bool:
        """Whether a trajectory file lost that part."""
        return any(note.part is part for note in self.files.get(name, ()))

    def steps_without(self, part: Part) -> frozenset[int]:
        """Steps of which some file lost that part."""
        return frozenset(name.step for name in self.files if self.lacks(name, part))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was pruned and why, a sentence for each part and reason."""
        found: dict[tuple[Part, str], set[int]] = {}
        for name, notes in self.files.items():
            for note in notes:
                found.setdefault((note.part, _why(note)), set()).add(name.step)
        return tuple(
            f"{part.label.capitalize()} of {_spans(sorted(steps), self.steps)} were pruned {why}."
            for (part, why), steps in sorted(found.items(), key=lambda entry: entry[0][0].value)
        )


def read_pruning(folder: Path, batches: Batches, damage: Damage) -> Pruning:
    """What was pruned of the run in a folder. Reads no footer where nothing ever was."""
    if not (folder / RETENTION_FILE).exists():
        return Pruning(files={}, steps=())
    found = batches.all()
    notes = {batch.name: _notes(batch, batches, damage) for batch in found}
    return Pruning(
        files={name: gone for name, gone in notes.items() if gone},
        steps=tuple(sorted({batch.name.step for batch in found})),
    )


def _notes(batch: RecordedBatch, batches: Batches, damage: Damage) -> tuple[Pruned, ...]:
    try:
        return pruned_parts(batches.notes(batch))
    except FileNotFoundError:
        return ()
    except UNREADABLE as error:
        damage.note(batch.place.path, error)
        return ()


def _why(note: Pruned) -> str:
    if note.limit_bytes is not None:
        return f"to keep the limit of {size_text(note.limit_bytes)}"
    return time.strftime("on %Y-%m-%d by rlvr prune", time.gmtime(note.at))


def _spans(steps: Sequence[int], known: Sequence[int]) -> str:
    """ "step 4", "steps 0-40, 50", or a count where there are many gaps."""
    spans = list(_runs(steps, known))
    if len(spans) > 4:
        return f"{len(steps)} steps between {steps[0]} and {steps[-1]}"
    shown = ", ".join(f"{first}-{last}" if first != last else f"{first}" for first, last in spans)
    return f"step {shown}" if len(steps) == 1 else f"steps {shown}"


def _runs(steps: Sequence[int], known: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of steps that follow one another among the known ones."""
    places = {step: at for at, step in enumerate(known)}
    first = last = steps[0]
    for step in steps[1:]:
        if places[step] != places[last] + 1:
            yield first, last
            first = step
        last = step
    yield first, last
