"""What is trained: a place, a seed, and the faults that are put into it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from benchmarks.diagnosis.real.faults import FAULTS, PLACES, FaultKind, fault_named
from benchmarks.diagnosis.real.injections import Injection

from rlvr.errors import ConfigurationError

__all__ = ["ABOUT", "FIRST_SEED", "TRUTH", "Case", "case_of", "grid", "planned"]

ABOUT, TRUTH = "case.json", "truth.json"
"""Files beside the record of a run: what it is, and the true mean outcome of each step."""
FIRST_SEED = 1000
"""No threshold was tuned on a seed from here on."""
STEPS = 12
ONSET = 8
LONG = 32
"""Steps of a training whose fault shows in what the policy learns by it, and of healthy ones."""
LEARNT = frozenset({"calls_pay", "length_pays", "rate_explodes"})
OVERLONG = 192
"""Tokens of a sequence, fewer than two of three rollouts of the two-hop questions need."""

Place = tuple[str, str]
"""An environment and a trainer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One training. It takes `steps` steps of `prompts` groups of `generations` rollouts."""

    environment: str
    trainer: str
    seed: int = FIRST_SEED
    injections: tuple[Injection, ...] = ()
    steps: int = STEPS
    prompts: int = 4
    generations: int = 8
    max_seq_len: int | None = None

    @property
    def name(self) -> str:
        """The name of its folder; two cases of one name are the same training."""
        faults = "+".join(injection.label for injection in self.injections) or "healthy"
        own = "" if self.max_seq_len is None else f"-max{self.max_seq_len}"
        return f"{self.environment}-{self.trainer}-s{self.seed}-{faults}{own}"

    @property
    def onset(self) -> int:
        """The step from which on something is wrong."""
        return min((injection.onset for injection in self.injections), default=0)

    @property
    def processes(self) -> int:
        """How many processes train."""
        return 2 if self.has("distinct_prompts") else 1

    @property
    def kind(self) -> str:
        """What it is a sample of: healthy, pair, onset, or a strength in percent."""
        if not self.injections:
            return "healthy"
        if len(self.injections) > 1:
            return "pair"
        (injection,) = self.injections
        return "onset" if injection.onset else f"{injection.strength:.0%}"

    def has(self, fault: str) -> bool:
        """Whether that fault is put into it."""
        return any(injection.fault == fault for injection in self.injections)

    def twin(self) -> "Case":
        """The same training without a fault."""
        return replace(self, injections=(), steps=LONG)


def case_of(place: Place, seed: int, *injections: Injection) -> Case:
    """A case at a place, with settings under which its faults can show.

    Raises:
        ConfigurationError: a fault is unknown, can't occur there, or hits no part of a run.
    """
    for injection in injections:
        kind = fault_named(injection.fault)
        if place not in kind.places:
            raise ConfigurationError(f"{kind.name} can't occur in {' with '.join(place)}")
        if not (kind.shares or injection.always):
            raise ConfigurationError(f"{kind.name} can't hit a part of a run: strength 1, onset 0")
    environment, trainer = place
    names = {injection.fault for injection in injections}
    late = any(injection.onset for injection in injections)
    return Case(
        environment=environment,
        trainer=trainer,
        seed=seed,
        injections=injections,
        steps=LONG if names & LEARNT or not names else STEPS + ONSET * late,
        max_seq_len=OVERLONG if "row_truncation" in names else None,
    )


PAIRS = (
    (("musique", "verifiers"), ("silent_scorer", "attention")),
    (("musique", "verifiers"), ("unparsed_calls", "shuffled_advantages")),
    (("musique", "verifiers"), ("tool_fails", "identical_prompts")),
    (("musique", "trl"), ("token_limit", "calls_pay")),
    (("musique", "trl"), ("tools_trained", "rate_tiny")),
    (("math", "verifiers"), ("off_main_thread", "sampled_tokens")),
)
HEALTHY = (
    *((place, seed) for seed in (0, 1) for place in PLACES),
    *((place, seed) for seed in (2, 3) for place in PLACES[:2]),
)


def planned() -> list[Case]:
    """Every case, the most telling first: full strength, then shares, late beginnings, pairs."""
    musique, trl, math, math_trl = PLACES
    twins = [case_of(place, FIRST_SEED + seed) for place, seed in HEALTHY]
    once, elsewhere = _each_once()
    late = [_one(place, name, onset=ONSET) for place, name in once if FAULTS[name].shares]
    pairs = [
        case_of(place, FIRST_SEED, *(Injection(fault=name) for name in names))
        for place, names in PAIRS
    ]
    fifth = [_one(place, name, strength=0.2) for place, name in elsewhere]
    ordered = [
        *twins[:2],
        *(_one(place, name) for place, name in once),
        *(case for group in zip(fifth, late, strict=False) for case in group),
        *twins[2:4],
        *pairs,
        *_all(trl),
        *_all(musique),
        *_all(math),
        *twins[4:],
        *_all(math_trl),
        *(case for place in (musique, trl, math) for case in _shares(place, 0.2)),
        *late,
        *(case for place in (musique, trl) for case in _shares(place, 0.05)),
    ]
    return _with_own_twins(_distinct(ordered))


def _each_once() -> tuple[list[tuple[Place, str]], list[tuple[Place, str]]]:
    """Every fault at one place, by turns with either trainer; and, for shares of it, at another."""
    once, elsewhere = [], []
    for number, (name, kind) in enumerate(FAULTS.items()):
        at = kind.places[:2] if len(kind.places) > 2 else kind.places[:1]
        once.append((at[number % len(at)], name))
        if kind.shares and not kind.slight:
            elsewhere.append((at[(number + 1) % len(at)], name))
    return once, elsewhere


def _distinct(cases: Iterable[Case]) -> list[Case]:
    return list({case.name: case for case in cases}.values())


def grid(
    places: Iterable[Place],
    faults: Sequence[str],
    strengths: Sequence[float],
    seeds: Iterable[int],
) -> list[Case]:
    """A case of each combination that there is, from the first step on, with its twin."""
    cases = [
        case_of(place, seed, Injection(fault=name, strength=strength))
        for place in places
        for seed in seeds
        for name in faults
        for strength in strengths
        if place in FAULTS[name].places and (FAULTS[name].shares or strength == 1.0)
    ]
    return _with_own_twins(cases)


def _all(place: Place) -> list[Case]:
    return [_one(place, name) for name, kind in FAULTS.items() if place in kind.places]


def _one(place: Place, name: str, *, strength: float = 1.0, onset: int = 0) -> Case:
    return case_of(place, FIRST_SEED, Injection(fault=name, strength=strength, onset=onset))


def _shares(place: Place, strength: float) -> list[Case]:
    return [
        _one(place, name, strength=strength)
        for name, kind in FAULTS.items()
        if place in kind.places and kind.shares and not _is_nothing(kind, strength)
    ]


def _is_nothing(kind: FaultKind, strength: float) -> bool:
    """Whether that share of a fault hits too little to be one."""
    return kind.slight or (kind.unit == "steps" and strength * STEPS < 1)


def _with_own_twins(cases: list[Case]) -> list[Case]:
    """The cases, before each of other settings than the healthy ones its own twin, once."""
    known = {case.name for case in cases}
    found: list[Case] = []
    for case in cases:
        twin = case.twin()
        if case.injections and twin.name not in known:
            known.add(twin.name)
            found.append(twin)
        found.append(case)
    return found
