"""Does the training score what its evaluation scores, and which differences account for the gap?

What two runs differ in is measured by `rlvr.parity`; here its answer becomes findings.
"""

import math
from collections.abc import Iterator, Sequence

from rlvr.diagnosis.detectors.wording import counted, percent
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.families import Family, family_of
from rlvr.diagnosis.finding import (
    Example,
    Finding,
    Healthy,
    LookAlike,
    Number,
    Outcome,
    Severity,
    Unknown,
)
from rlvr.parity import Difference, Line, Parity, Standing
from rlvr.parity.categories import Kind
from rlvr.parity.wording import points
from rlvr.record import Json
from rlvr.utils.text import one_line

CODE = "train-eval-gap"
CODES = (CODE, *(family.value for family in Family))

_NEEDS = "an evaluation to set beside it: `rlvr diagnose RUN --eval OTHER`"
_EFFECTS = frozenset({"reference-stated"})
"""Differences of the answers themselves: what a gap consists of, and no cause of it."""
_UNPARSED = Kind.UNPARSED.value
_MOST = 0.5  # of the gap: mending the rest leaves a smaller question than the one that was asked
_HALF = 0.5  # a training that surely scores less than this part of the evaluation
_VALUE_CHARS = 60
_NAMED = 6


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """The gap, then what explains it by its share, then what may, family by family.

    Without an evaluation one unknown stands for all codes, and without a gap one outcome: nobody
    asks for the causes of no gap. `unasked` answers for the others.
    """
    found = evidence.parity
    if found is None:
        return (unasked(CODE, None),)
    parsing = _parsing(found)
    if not found.account.real:
        return (_gap(found), *parsing)
    explaining = [
        _explaining(found, one)
        for one in _of(found, Standing.EXPLAINS)
        if not (parsing and one.code == _UNPARSED)
    ]
    told = {outcome.code for outcome in (*explaining, *parsing)}
    rest = [_family(found, family) for family in Family if family.value not in told]
    return (_gap(found), *parsing, *explaining, *rest)


def unasked(code: str, found: Parity | None) -> Healthy | Unknown:
    """What to say of a code that `detect` leaves out: no evaluation, or no gap."""
    if found is not None:
        return Healthy(code=code, sentence="no gap between training and evaluation to explain")
    return Unknown(
        code=code,
        because="no evaluation was named, and none of its own can be set beside the training",
        needs=_NEEDS,
    )


def _gap(found: Parity) -> Outcome:
    account = found.account
    if math.isnan(account.gap.low):
        return Unknown(
            code=CODE,
            because=" ".join(found.headline),
            needs="rewards of more examples on both sides",
        )
    said = found.headline[0]
    if not account.real:
        return Healthy(code=CODE, sentence=said.rstrip("."), numbers=_numbers(found))
    return Finding(
        code=CODE,
        severity=_gap_severity(found),
        sentence=" ".join(found.headline),
        rollouts=found.a.rollouts,
        numbers=_numbers(found),
        lookalikes=(
            LookAlike(
                what="a policy that learns fast",
                told_apart_by="the gap goes when steps nearer to the evaluated weights are compared"
                f" (`rlvr parity {_called(found)} --steps-a FIRST:LAST`)",
            ),
            LookAlike(
                what="evaluation samples greedily, training does not",
                told_apart_by="an evaluation at the training's temperature closes the gap",
            ),
        ),
        refuted_by=f"`rlvr parity {_called(found)}` shows each line of the account with its"
        " interval; an evaluation of a checkpoint with the training's settings has no gap",
        remedy="mend what explains the gap, by its share; where nothing measured does, make the"
        " settings that differ alike, one by one",
    )


def _gap_severity(found: Parity) -> Severity:
    """A warning where a measured cause stands behind it, or training gets less than half."""
    account = found.account
    far_below = account.a.high < _HALF * account.b.low
    if far_below or (found.explained and not _evaluation_is_worse(found)):
        return Severity.WARNING
    return Severity.NOTE


def _evaluation_is_worse(found: Parity) -> bool:
    return found.account.gap.value < 0


def _numbers(found: Parity) -> tuple[Number, ...]:
    """Both means, the gap, and each line of the account."""
    account = found.account
    unit = "share" if account.percent else ""
    lines = (line for line in account.lines if line.points.value)
    return (
        Number(name=f"{account.measure} in training", value=account.a.value, unit=unit),
        Number(name=f"{account.measure} in the evaluation", value=account.b.value, unit=unit),
        *_in_points("the gap", account.gap.value, found),
        *(number for line in lines for number in _in_points(line.title, line.points.value, found)),
    )


def _in_points(name: str, value: float, found: Parity) -> tuple[Number, ...]:
    if found.account.percent:
        return (Number(name=name, value=100 * value, unit="points"),)
    return (Number(name=name, value=value),)


def _explaining(found: Parity, one: Difference) -> Finding:
    """A difference whose line of the account is proven."""
    line = found.account.line(one.code)
    share = one.share or 0.0
    sentence = f"{_upper(one.name)}: {_accounted(found, one, line)}. {_upper(one.why)}."
    return Finding(
        code=family_of(one.code).value,
        severity=_severity(found, one, share),
        sentence=sentence,
        rollouts=found.a.rollouts,
        gap_share=share,
        numbers=_difference_numbers(found, one, line),
        examples=_examples(found, one),
        lookalikes=(
            LookAlike(
                what="an effect of another cause that shows in these rollouts first",
                told_apart_by="mending it closes the gap by that much",
            ),
        ),
        refuted_by=f"run one side again with this alone made alike; `rlvr parity {_called(found)}`"
        " then has no such line",
        remedy=one.remedy,
    )


def _severity(found: Parity, one: Difference, share: float) -> Severity:
    """An error is a defect of the training: one that holds back most of what its policy can do."""
    if _evaluation_is_worse(found) or family_of(one.code) is Family.QUESTIONS:
        return Severity.NOTE
    return Severity.ERROR if share >= _MOST else Severity.WARNING


def _accounted(found: Parity, one: Difference, line: Line | None) -> str:
    part = one.points.value if one.points is not None else math.nan
    if line is None:  # of the total reward, where the outcome alone is accounted for
        return f"it accounts for {_points(found, part)} of the total reward"
    whole = found.account.gap.value
    return (
        f"it accounts for {_points(found, abs(part), unit=False)} of the"
        f" {_points(found, abs(whole))} between training and evaluation"
    )


def _difference_numbers(found: Parity, one: Difference, line: Line | None) -> tuple[Number, ...]:
    sides = tuple(
        Number(name=f"{one.name}, {side}", value=value, unit=_unit(value))
        for side, value in (("training", one.a), ("evaluation", one.b))
        if isinstance(value, int | float) and not isinstance(value, bool)
    )
    if line is None:
        return sides
    bounds = (("lower bound", line.points.low), ("upper bound", line.points.high))
    return (
        *sides,
        Number(name="share of the gap", value=line.share, unit="share"),
        *_in_points("of the gap", line.points.value, found),
        *(number for name, bound in bounds for number in _in_points(name, bound, found)),
    )


def _unit(value: float) -> str:
    return "share" if isinstance(value, float) and 0 <= value <= 1 else ""


def _parsing(found: Parity) -> tuple[Finding, ...]:
    """Training never calls a tool and the evaluation does: decisive, whatever the rewards say."""
    calling = next((rate for rate in found.rates if rate.code == "calling"), None)
    if calling is None or calling.a is None or calling.b is None or not calling.differs:
        return ()
    if calling.a.value > 0 or calling.b.value <= 0:
        return ()
    unparsed = next((rate for rate in found.rates if rate.code == _UNPARSED), None)
    as_text = unparsed.a.value if unparsed is not None and unparsed.a is not None else 0.0
    if as_text > 0:
        why = f"{percent(as_text)} of the training's rollouts hold a call as text: its server does"
        why += " not parse calls"
    else:
        why = "the training's prompts may lack the tools, or its server the parser"
    one = found.difference(_UNPARSED)
    line = None if one is None or one.share is None else found.account.line(_UNPARSED)
    worth = "" if one is None or line is None else f" {_upper(_accounted(found, one, line))}."
    return (
        Finding(
            code=Family.TOOLS.value,
            severity=Severity.ERROR if as_text > 0 else Severity.WARNING,
            sentence=f"No rollout of the training calls a tool, and {percent(calling.b.value)} of"
            f" the evaluation's do; {why}.{worth}",
            rollouts=found.a.rollouts,
            gap_share=None if one is None else one.share,
            numbers=(
                Number(name="calling a tool, training", value=0.0, unit="share"),
                Number(name="calling a tool, evaluation", value=calling.b.value, unit="share"),
                Number(name="a call as text, training", value=as_text, unit="share"),
            ),
            examples=() if one is None else _examples(found, one),
            lookalikes=(
                LookAlike(
                    what="a policy that gave its tools up",
                    told_apart_by="the first steps of the training have calls (tool-use-drift)",
                ),
            ),
            refuted_by="ask the training's server for one answer with the tools, and look at"
            " `tool_calls` of the message",
            remedy="make the training's server parse calls (vLLM: --enable-auto-tool-choice and the"
            " --tool-call-parser of the model), and render the tools into its prompts",
        ),
    )


def _family(found: Parity, family: Family) -> Outcome:
    """What of a family may explain the gap, else that nothing does, else what is unknown."""
    may = [one for one in _of(found, Standing.MAY) if family_of(one.code) is family]
    if may:
        return _may(found, family, may)
    blanks = [blank for blank in found.unknown if family_of(blank.code) is family]
    if blanks:
        return Unknown(
            code=family.value,
            because="; ".join(blank.because for blank in blanks),
            needs="; ".join(dict.fromkeys(filter(None, (blank.needs for blank in blanks)))),
        )
    return Healthy(code=family.value, sentence=_sound(found, family))


def _sound(found: Parity, family: Family) -> str:
    ruled_out = [
        f"{one.name} ({one.why})"
        for one in _of(found, Standing.CANNOT)
        if family_of(one.code) is family
    ]
    if ruled_out:
        return f"what differs can't explain the gap: {'; '.join(ruled_out)}"
    return f"nothing that was recorded differs: {family.noun}"


def _may(found: Parity, family: Family, may: Sequence[Difference]) -> Finding:
    told = "; ".join(_told(one) for one in may[:_NAMED])
    more = f"; and {len(may) - _NAMED} more" if len(may) > _NAMED else ""
    return Finding(
        code=family.value,
        severity=Severity.NOTE,
        sentence=f"{_upper(counted(len(may), 'difference'))} that may explain the gap of"
        f" {_points(found, abs(found.account.gap.value))}, and two records can't say by how much:"
        f" {told}{more}.",
        rollouts=found.a.rollouts,
        examples=tuple(example for one in may for example in _examples(found, one))[:_NAMED],
        refuted_by=f"run one side again with the other's; `rlvr parity {_called(found)}` has what"
        " each side has, whole",
        remedy="; ".join(dict.fromkeys(filter(None, (one.remedy for one in may)))),
    )


def _told(one: Difference) -> str:
    """A difference with what each side has, in few words."""
    if one.prompt is not None and one.prompt.a is not None and one.prompt.b is not None:
        a, b = one.prompt.a.at, one.prompt.b.at
        place = f"{one.prompt.unit} {one.prompt.a.place}"
        return f"{one.name}, at {place} {_short(a)} and {_short(b)}"
    return f"{one.name} ({_short(one.a)} in training, {_short(one.b)} in the evaluation)"


def _short(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return one_line(repr(value) if isinstance(value, str) else str(value), _VALUE_CHARS)


def _examples(found: Parity, one: Difference) -> tuple[Example, ...]:
    """Those of the diagnosed run: commands of a verdict open that alone."""
    same = found.a.run == found.b.run
    kept = (example for example in one.examples if same or example.side == "A")
    return tuple(Example(id=example.id, why=example.why) for example in kept)


def _of(found: Parity, standing: Standing) -> Iterator[Difference]:
    return (
        one for one in found.differences if one.standing is standing and one.code not in _EFFECTS
    )


def _called(found: Parity) -> str:
    a, b = found.a.called, found.b.called
    return a if a == b else f"{a} {b}"


def _points(found: Parity, value: float, *, unit: bool = True) -> str:
    return points(value, percentages=found.account.percent, unit=unit)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
