"""The settings of two runs, one by one: what each has where they are not the same.

What a run does not hold is "not recorded there" and never a difference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rlvr.parity.result import Blank
from rlvr.parity.sides import Side
from rlvr.parity.wording import listed
from rlvr.record import Json, Mode, RunInfo
from rlvr.record.settings import flat

OURS = "rlvr."
"""How the trainers begin that record all settings: an empty one then means that there is none."""

EVALUATION = "rlvr.evaluation"

_NO_EFFECT = frozenset(
    {
        "n",
        "seed",
        "stream",
        "timeout",
        "logprobs",
        "top_logprobs",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "extra_body.return_token_ids",
        "extra_body.return_tokens_as_token_ids",
    }
)
"""Sampling arguments that do not change the distribution of the answers."""

_TRAINING_ONLY = frozenset({"accelerate", "deepspeed", "trl", "wandb"})
"""Packages that take no part in sampling or scoring."""

SCORING_PACKAGES = frozenset({"math-verify", "sympy", "latex2sympy2-extended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting that differs. `group` is the kind of setting: "sampling", "limits", ..."""

    group: str
    name: str
    a: Json
    b: Json
    evidence: Mapping[str, Json] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """What names it among all differences."""
        return self.group if self.group == self.name else f"{self.group}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The settings that differ, the groups that are the same, and those that a side lacks."""

    differing: tuple[Setting, ...]
    same: tuple[str, ...]
    lacking: tuple[Blank, ...]


def compare_settings(a: Side, b: Side) -> Compared:
    """All settings that the two runs recorded."""
    if a.info is None or b.info is None:
        label = "A" if a.info is None else "B"
        return Compared(differing=(), same=(), lacking=(_no_settings(label),))
    differing: list[Setting] = []
    same: list[str] = []
    lacking: list[Blank] = []
    for group, of_a, of_b in _groups(a, b):
        if a.place == b.place and group in _OF_THE_RUN:
            continue
        found, blank = _compared(group, of_a, of_b)
        differing += found
        lacking += blank
        if not found and of_a and of_b:
            same.append(group)
    return Compared(differing=tuple(differing), same=tuple(same), lacking=tuple(lacking))


_OF_THE_RUN = frozenset({"packages", "python", "commit", "repairs", "trainer-configuration"})
"""What is one thing for all of a run."""


def dataset_of(side: Side) -> str | None:
    """What its questions were drawn from; None where the run does not say."""
    info = side.info
    if info is None:
        return None
    if side.mode is Mode.TRAIN or info.trainer == EVALUATION:
        return info.dataset
    return info.eval_dataset


def _no_settings(label: str) -> Blank:
    return Blank(
        code="settings",
        because=f"{label} has no run.json: it was killed before it could say how it was set up",
        needs=f"the run.json of {label}",
    )


def _groups(a: Side, b: Side) -> Iterator[tuple[str, Mapping[str, Json], Mapping[str, Json]]]:
    """Each group with the settings of both; those that are not recorded are left out."""
    of_a, of_b = _settings(a), _settings(b)
    for group in dict.fromkeys((*of_a, *of_b)):
        trained = a.mode is b.mode is Mode.TRAIN
        if group == "trainer-configuration" and not trained:
            continue
        if group == "repairs" and EVALUATION in _trainers(a, b):  # which has no trainer to repair
            continue
        yield group, of_a.get(group, {}), of_b.get(group, {})


def _trainers(a: Side, b: Side) -> set[str | None]:
    return {side.info.trainer if side.info else None for side in (a, b)}


def _settings(side: Side) -> Mapping[str, Mapping[str, Json]]:
    info = side.info
    if info is None:
        return {}
    thread = {"thread": info.scoring.get("thread")}
    scorers = info.scoring.get("scorers")
    single: dict[str, Json] = {
        "model": info.model,
        "system-prompt": _or_none(info, info.system_prompt),
        "chat-template": info.chat_template,
        "tool-schemas": _tools(info),
        "dataset": dataset_of(side),
        "inference": info.inference,
        "python": info.python,
        "commit": _commit(info),
    }
    groups: dict[str, Mapping[str, Json]] = {
        **{name: _known({name: value}) for name, value in single.items()},
        "sampling": flat(info.sampling),
        "limits": _known(info.limits),
        "scoring-thread": _known({"scoring-thread": thread["thread"]}),
        "scorers": _known(scorers) if isinstance(scorers, Mapping) else {},
        "component-weights": {"component-weights": dict(info.components)}
        if info.components
        else {},
        "environment": flat(info.environment),
        "packages": dict(info.packages),
        "repairs": dict(info.repairs),
        "trainer-configuration": _known(info.config),
    }
    return groups


def _known(values: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in values.items() if value is not None}


def _or_none(info: RunInfo, text: str | None) -> Json:
    """The text; "" where a run that records everything has none."""
    return "" if text is None and _records_all(info) else text


def _tools(info: RunInfo) -> Json:
    return list(info.tools) if info.tools or _records_all(info) else None


def _records_all(info: RunInfo) -> bool:
    return (info.trainer or "").startswith(OURS)


def _commit(info: RunInfo) -> Json:
    if info.commit is None:
        return None
    return f"{info.commit} with changes" if info.dirty else info.commit


def _compared(
    group: str, a: Mapping[str, Json], b: Mapping[str, Json]
) -> tuple[list[Setting], list[Blank]]:
    if not a and not b:
        return [], []
    if not a or not b:
        label, other = ("A", "B") if not a else ("B", "A")
        because = f"{label} did not record it, {other} did"
        return [], [Blank(code=group, because=because, needs=f"the setting of {label}")]
    differing = [
        Setting(group=group, name=name, a=a[name], b=b[name])
        for name in a
        if name in b and not _same(a[name], b[name]) and not _ignored(group, name)
    ]
    return differing, _one_sided(group, a, b)


def _one_sided(group: str, a: Mapping[str, Json], b: Mapping[str, Json]) -> list[Blank]:
    """What one side alone has within a group, which may be a default or not recorded."""
    if group in ("packages", "repairs", "trainer-configuration", "environment"):
        return []
    found = []
    for label, own, other in (("A", a, b), ("B", b, a)):
        names = [name for name in own if name not in other and not _ignored(group, name)]
        if names:
            missing = "B" if label == "A" else "A"
            because = f"{listed(names, 4)} recorded for {label} alone"
            found.append(Blank(code=group, because=because, needs=f"the values of {missing}"))
    return found


def _ignored(group: str, name: str) -> bool:
    if group == "sampling":
        return name in _NO_EFFECT
    return group == "packages" and name in _TRAINING_ONLY


def _same(a: Json, b: Json) -> bool:
    """Whether two settings are one; 1 and 1.0 are."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b if isinstance(a, bool) or isinstance(b, bool) else a == b


def first_path(a: Json, b: Json, path: str = "$") -> tuple[str, Json, Json] | None:
    """The JSON path of the first place at which two values differ, and what each has there.

    None where they are the same; what is missing is None.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in dict.fromkeys((*a, *b)):
            found = first_path(a.get(name), b.get(name), f"{path}.{name}")
            if found is not None:
                return found
        return None
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        for at in range(max(len(a), len(b))):
            pair = (a[at] if at < len(a) else None, b[at] if at < len(b) else None)
            found = first_path(*pair, f"{path}[{at}]")
            if found is not None:
                return found
        return None
    return None if _same(a, b) else (path, a, b)
