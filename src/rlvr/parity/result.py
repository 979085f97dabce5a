"""What a comparison of two runs says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rlvr.parity.intervals import Estimate
from rlvr.record import Json

_ROUNDING = 1e-9


class LineKind(StrEnum):
    """How a line of the account was come by.

    measured: an exact difference of means over recorded or re-scored rewards. estimate: as exact,
    but that it names the cause is an inference. rest: what no other line has.
    """

    MEASURED = "measured"
    ESTIMATE = "estimate"
    REST = "rest"


class Standing(StrEnum):
    """Whether a difference can explain the gap.

    explains: a line of the account measures how much. may explain: it can change rewards, and two
    records can't say by how much. can't explain: the record rules it out.
    """

    EXPLAINS = "explains"
    MAY = "may explain"
    CANNOT = "can't explain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One part of the gap. The points of all lines of an account add up to its gap.

    `share` is its part of the gap, None where the gap is within chance or the line points the other
    way. `proven` says that its interval of 99 % leaves out 0. `beside_other`: its rollouts were set
    beside sound ones of the other side, since their own has none or too few.
    """

    code: str
    title: str
    kind: LineKind
    points: Estimate
    share: float | None = None
    proven: bool = False
    beside_other: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """Something that the two records can't say, why, and what evidence would."""

    code: str
    because: str
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The gap in one number, B minus A, and its parts.

    `measure` is the component or "reward"; `percent` says that its values lie between 0 and 1.
    `real` says that the interval of the gap leaves out 0. `unscored_*` are rollouts left out since
    they have no finite value; one whose scorer failed counts 0, as in training.
    """

    measure: str
    percent: bool
    a: Estimate
    b: Estimate
    gap: Estimate
    lines: tuple[Line, ...] = ()
    unscored_a: int = 0
    unscored_b: int = 0

    @property
    def real(self) -> bool:
        """Whether chance is ruled out, at 95 %, and rounding."""
        rounding = _ROUNDING * max(abs(self.a.value), abs(self.b.value))
        return self.gap.apart_from_zero and abs(self.gap.value) > rounding

    def line(self, code: str) -> Line | None:
        """The line of that code, or None."""
        return next((line for line in self.lines if line.code == code), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often something happens on both sides; None where a side did not record it.

    `unit` is "share" or what is counted. `differs` says that the difference is none of chance (99 %
    interval), None where nobody can tell.
    """

    code: str
    name: str
    unit: str
    a: Estimate | None
    b: Estimate | None
    differs: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A rollout that shows a difference. `side` is "A" or "B"."""

    side: str
    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPart:
    """What one side has around the first difference: the text before it, of it, and after it.

    `place` counts from 0 and `length` the whole, both in `unit`s of the comparison.
    """

    id: str
    before: str
    at: str
    after: str
    place: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptDifference:
    """Where two rendered prompts of one example part. `unit` is "token" or "character".

    `level` says what was compared. `pairs` were compared, `differing` of them differ.
    """

    level: str
    unit: str
    pairs: int
    differing: int
    a: PromptPart | None = None
    b: PromptPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not the same on both sides.

    `a` and `b` are what each has, whole. `points` is the line of the account that it has, None
    where there is none. `evidence` holds numbers by name.
    """

    code: str
    name: str
    standing: Standing
    why: str
    a: Json = None
    b: Json = None
    points: Estimate | None = None
    share: float | None = None
    evidence: Mapping[str, Json] = field(default_factory=dict)
    prompt: PromptDifference | None = None
    examples: tuple[Example, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSummary:
    """What one side is. `called` is how commands call the run, `chosen` why these steps."""

    label: str
    run: str
    called: str
    mode: str
    steps: tuple[int, ...]
    rollouts: int
    examples: int
    chosen: str = ""
    model: str | None = None
    rescored: int | None = None

    @property
    def noun(self) -> str:
        """What people call it."""
        return "training" if self.mode == "train" else "evaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """All that a comparison says. `account` is of the outcome, `total` of the whole reward (None
    where the outcome is the whole reward, or nothing else was recorded).

    `same` names what was compared and does not differ.
    """

    a: SideSummary
    b: SideSummary
    headline: tuple[str, ...]
    account: Account
    total: Account | None = None
    differences: tuple[Difference, ...] = ()
    rates: tuple[Rate, ...] = ()
    unknown: tuple[Blank, ...] = ()
    same: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def explained(self) -> bool:
        """Whether a measured cause accounts for part of a real gap."""
        return any(one.standing is Standing.EXPLAINS for one in self.differences)

    def difference(self, code: str) -> Difference | None:
        """The difference of that code, or None."""
        return next((one for one in self.differences if one.code == code), None)
