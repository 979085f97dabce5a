"""Whether a setting that differs can explain the gap."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath

from rlvr.parity.account import SCORING
from rlvr.parity.categories import Kind
from rlvr.parity.judged import Judged, explains
from rlvr.parity.prompts import MESSAGES, SYSTEM_MESSAGE, first_line
from rlvr.parity.result import Difference, Standing
from rlvr.parity.settings import SCORING_PACKAGES, Setting, first_path
from rlvr.parity.wording import percent, points
from rlvr.record import Json, Mode

_Judgement = tuple[Standing, str]
_MAY, _CANNOT = Standing.MAY, Standing.CANNOT

_SCORER_REPAIRS = frozenset({"scorer_timeouts", "scorer_errors"})
_LIMITED: Mapping[str, Kind] = {
    "max_tokens": Kind.CUT,
    "max_completion_tokens": Kind.CUT,
    "max_seq_len": Kind.CUT,
    "max_prompt_length": Kind.CUT,
    "max_turns": Kind.TURNS,
}


def setting_differences(judged: Judged, codes: set[str]) -> Iterator[Difference]:
    """A difference for each setting that is not the same, but for those in `codes`."""
    limits = {s.name for s in judged.settings.differing if s.group == "limits"}
    for setting in judged.settings.differing:
        if setting.code in codes or (setting.group == "sampling" and setting.name in limits):
            continue
        standing, why = _JUDGES.get(setting.group, _may)(judged, setting)
        yield Difference(
            code=setting.code,
            name=_name(setting),
            standing=standing,
            why=why,
            a=setting.a,
            b=setting.b,
            evidence=_place(setting),
            remedy=_REMEDIES.get(setting.group, ""),
        )


def prompt_standing(judged: Judged) -> _Judgement:
    """Whether the first place at which two prompts part can matter."""
    found = judged.prompt
    if found is None:
        return _MAY, ""
    what = f"compared by {found.level}: {found.differing} of {found.pairs} differ"
    if found.level == SYSTEM_MESSAGE:
        return _MAY, f"the system messages are not the same ({what})"
    return _MAY, f"the policy answers another text ({what})"


_REMEDIES = {
    "sampling": "sample both sides alike, or say which temperature is meant to be measured",
    "limits": "give both sides the same limits",
    "scoring-thread": "score both sides in one thread: `rlvr rescore` asks both",
    "scorers": "score both sides with one scorer: `rlvr rescore`",
    "dataset": "evaluate on the dataset that was trained on, to compare like with like",
    "packages": "install the same versions on both sides",
}


def _name(setting: Setting) -> str:
    group = setting.group.replace("-", " ")
    return group if setting.group == setting.name else f"{group}: {setting.name}"


def _place(setting: Setting) -> Mapping[str, Json]:
    """Where the two values part, for those that are long."""
    if setting.group == "tool-schemas":
        found = first_path(setting.a, setting.b)
        return {} if found is None else {"path": found[0], "a": found[1], "b": found[2]}
    if isinstance(setting.a, str) and isinstance(setting.b, str) and setting.group in _LONG:
        line, a, b = first_line(setting.a, setting.b)
        return {"line": line, "a": a, "b": b}
    return {}


_LONG = ("chat-template", "system-prompt")


def _may(_: Judged, setting: Setting) -> _Judgement:
    return _MAY, _WHYS.get(setting.group, "two records can't tell what it does")


_WHYS = {
    "sampling": "it changes which answers are drawn",
    "model": "other weights answer otherwise",
    "environment": "another environment may ask, answer and score otherwise",
    "inference": "another sampler may parse, stop and round otherwise",
    "python": "tools and scorers may run otherwise",
    "commit": "the code of prompts, tools and scorers may be another",
    "trainer-configuration": "it changes what training learns",
}


def _text(judged: Judged, setting: Setting) -> _Judgement:
    """System prompt, template, tools: of no effect where the served tokens are the same."""
    found = judged.prompt
    if found is None or found.differing or found.level in (MESSAGES, SYSTEM_MESSAGE):
        return _MAY, "it changes what the policy reads"
    same = f"the served prompts of {found.pairs} compared examples are the same"
    turns = judged.rates.get("turns")
    single = turns is None or all(side is None or side.value <= 1 for side in (turns.a, turns.b))
    if setting.group == "chat-template" and not single:
        return _MAY, f"{same}, but later turns may be rendered otherwise"
    return _CANNOT, same


def _limit(judged: Judged, setting: Setting) -> _Judgement:
    kind = _LIMITED.get(setting.name)
    if kind is None:
        return _MAY, "it may end rollouts"
    a, b = judged.happened(kind)
    noun = "ran out of turns" if kind is Kind.TURNS else "was cut"
    if not a and not b and _told(judged, kind):
        return _CANNOT, f"no rollout {noun} on either side"
    shares = [percent(n / len(side)) for n, side in zip((a, b), judged.sides, strict=True)]
    line = judged.account.line(kind.value)
    worth = ""
    if line is not None and explains(line, judged.account):
        value = points(line.points.value, percentages=judged.account.percent)
        worth = f"; these account for {value}"
    return _MAY, f"{shares[0]} of A's rollouts and {shares[1]} of B's are {kind.meaning}{worth}"


def _told(judged: Judged, kind: Kind) -> bool:
    rate = judged.rates.get(kind.value)
    return rate is not None and rate.a is not None and rate.b is not None


def _sampling(judged: Judged, setting: Setting) -> _Judgement:
    if setting.name in _LIMITED:
        return _limit(judged, setting)
    return _may(judged, setting)


def _scorer(judged: Judged, _: Setting) -> _Judgement:
    """Of no effect where both sides, scored anew by one scorer, get what they got."""
    line = judged.account.line(SCORING)
    if line is None:
        return _MAY, "it may score the same answer otherwise; nobody scored anew to know"
    value = points(line.points.value, percentages=judged.account.percent)
    if explains(line, judged.account):
        return _MAY, f"it may be behind the {value} that scoring accounts for"
    if all(judged.outcome.stages.anew):
        return (
            _CANNOT,
            "both sides were scored anew by one scorer, and that leaves the gap as it is",
        )
    return _MAY, f"scoring one side anew moves the gap by {value}; the other was not scored anew"


def _package(judged: Judged, setting: Setting) -> _Judgement:
    if setting.name in SCORING_PACKAGES:
        return _scorer(judged, setting)
    return _MAY, "it may render, sample, parse or score otherwise"


def _weights(judged: Judged, _: Setting) -> _Judgement:
    if judged.measure is not None:
        return _CANNOT, f"{judged.measure} is compared, before any weight"
    return (
        _MAY,
        "it changes the total; its line of the account says by how much, where there is one",
    )


def _dataset(judged: Judged, _: Setting) -> _Judgement:
    shared = int(judged.pair.shared.sum())
    if shared and all(judged.pair.examples(at) == shared for at in (0, 1)):
        return _CANNOT, f"the same {shared:,} examples were asked on both sides"
    return _MAY, "its questions may be easier or harder"


def _model(judged: Judged, setting: Setting) -> _Judgement:
    """A checkpoint of the other run's training is no other model."""
    a, b = judged.sides
    for trained, model in ((a, setting.b), (b, setting.a)):
        if isinstance(model, str) and _is_below(PurePath(model), PurePath(trained.place)):
            return _CANNOT, f"it is a checkpoint of {trained.label}'s training: see policy-version"
    return _may(judged, setting)


def _is_below(checkpoint: PurePath, run: PurePath) -> bool:
    """Whether a checkpoint's path, which may be relative, is in the output folder of a run."""
    folder, output = checkpoint.parent.parts, run.parent.parent.parts
    return bool(folder) and output[-len(folder) :] == folder


def _repair(judged: Judged, setting: Setting) -> _Judgement:
    if setting.name in _SCORER_REPAIRS:
        return _scorer(judged, setting)
    if judged.pair.a.mode is judged.pair.b.mode is Mode.TRAIN:
        return _MAY, "it changes what training learns"
    return _CANNOT, "it changes what training learns, not what rollouts of given weights get"


_JUDGES: Mapping[str, Callable[[Judged, Setting], _Judgement]] = {
    "model": _model,
    "system-prompt": _text,
    "tool-schemas": _text,
    "chat-template": _text,
    "limits": _limit,
    "sampling": _sampling,
    "scoring-thread": _scorer,
    "scorers": _scorer,
    "packages": _package,
    "component-weights": _weights,
    "dataset": _dataset,
    "repairs": _repair,
}
