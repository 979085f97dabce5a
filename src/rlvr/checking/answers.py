"""The questions, and the answers while a run is gone through. Memory does not grow with it."""

from dataclasses import dataclass, field

from rlvr.checking.result import Mark, RunCheck, Wrong

EXAMPLES = 5
_COPY = "restore the file from a copy; if there is none, leave it: readers leave it out"
_DISTRUST = (
    "something else than rlvr changed the file, or rlvr has a defect; restore it from a copy"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a check asks, of what, and what to do where the answer is no."""

    name: str
    asks: str
    unit: str
    remedy: str


QUESTIONS = tuple(
    Question(name=name, asks=asks, unit=unit, remedy=remedy)
    for name, asks, unit, remedy in (
        ("files", "Can every file be read, with the checksums of its pages?", "files", _COPY),
        ("ids", "Is every id its file's stem and its row, once?", "rollouts", _DISTRUST),
        ("names", "Do rows say the mode, step, batch and process of their file?", "rollouts",
         _DISTRUST),
        ("layers", "Do files that hold the same batch agree?", "batches",
         "look at both files; readers take the compacted one"),
        ("texts", "Does every text decode?", "rollouts", _DISTRUST),
        ("groups", "Is every group whole?", "groups",
         "leave incomplete groups out of what you compute from groups"),
        ("totals", "Is every total the weighted sum of its components?", "rollouts",
         "see `rlvr rewards`; the trainer summed otherwise, or a component was recorded wrongly"),
        ("advantages", "Do advantages follow from the rewards of their group?", "rollouts",
         "see `rlvr diagnose`: wrong-advantage"),
        ("derived", "Do the derived columns follow from the content?", "rollouts", _DISTRUST),
        ("tokens", "Do token details fit one another?", "rollouts", _DISTRUST),
        ("evidence", "Does the evidence on tokens follow from token details?", "rollouts",
         _DISTRUST),
        ("vocabulary", "Has every token id a text?", "rollouts",
         "ids without a text are shown as numbers; restore vocabulary.json from a copy"),
        ("counts", "Do the files hold what each process counted?", "processes",
         "files are gone or were added; restore them from a copy"),
        ("batches", "Do batches follow one another without a gap?", "batches",
         "files are gone; restore them from a copy"),
        ("attempts", "Is every attempt described?", "attempts",
         "without its file nobody knows which rows a resume superseded; restore it"),
        ("annotations", "Do annotations belong to rollouts that exist?", "annotations",
         "the rollouts' files are gone, or the annotations are of another run"),
        ("blobs", "Is every blob there, and what its name says?", "blobs", _COPY),
        ("modes", "Can only the owner read the files?", "files",
         "chmod -R go= the folder of the run"),
        ("leftovers", "Did every writer finish its files?", "files",
         "`rlvr prune RUN` removes what killed writers left"),
    )
)  # fmt: skip


@dataclass(slots=True)
class _Answer:
    examined: int = 0
    wrong: int = 0
    examples: list[Wrong] = field(default_factory=list)
    because: str | None = None
    notes: dict[str, None] = field(default_factory=dict)


class Answers:
    """Counts for each question, with its first examples."""

    def __init__(self) -> None:
        self._answers = {question.name: _Answer() for question in QUESTIONS}

    def seen(self, name: str, count: int = 1) -> None:
        """So many were looked at."""
        self._answers[name].examined += count

    def wrong(self, name: str, where: str, why: str, *, is_id: bool = False) -> None:
        """One of them is wrong."""
        answer = self._answers[name]
        answer.wrong += 1
        if len(answer.examples) < EXAMPLES:
            answer.examples.append(Wrong(where=where, why=why, is_id=is_id))

    def unknown(self, name: str, because: str) -> None:
        """Why there may be nothing to look at; the first reason stays."""
        answer = self._answers[name]
        answer.because = answer.because or because

    def note(self, name: str, text: str) -> None:
        """What explains the answer, said once."""
        self._answers[name].notes[text] = None

    def checks(self) -> tuple[RunCheck, ...]:
        """Every question with its answer, in order."""
        return tuple(_check(question, self._answers[question.name]) for question in QUESTIONS)


def _check(question: Question, answer: _Answer) -> RunCheck:
    mark = Mark.WRONG if answer.wrong else Mark.OK
    if not answer.wrong and not answer.examined:
        mark = Mark.UNKNOWN
    because = answer.because or f"the run has no {question.unit} to look at"
    return RunCheck(
        name=question.name,
        question=question.asks,
        unit=question.unit,
        mark=mark,
        examined=answer.examined,
        wrong=answer.wrong,
        examples=tuple(answer.examples),
        because=because if mark is Mark.UNKNOWN else None,
        notes=tuple(answer.notes),
        remedy=question.remedy if answer.wrong else "",
    )
