"""Do the policy's tool calls get parsed, or do they stay in its text?"""

from rlvr.analysis.columns import Mask
from rlvr.analysis.statistics import Side
from rlvr.diagnosis.evidence import RunEvidence
from rlvr.diagnosis.examples import examples_of
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
from rlvr.diagnosis.habits import Habit, Standing, habit, lost, percent, severity, since_step
from rlvr.diagnosis.thresholds import COSTLY_HABIT, LARGE_MAJORITY
from rlvr.record import Trajectory
from rlvr.utils.tags import unparsed_calls

CODE = "calls-unparsed"


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts with a call in their text that the sampler's parser did not take."""
    return (_judge(evidence),)


def _judge(evidence: RunEvidence) -> Outcome:
    rollouts = evidence.rollouts
    parsed = rollouts.numbers("derived_num_tool_calls") > 0
    in_text = rollouts.is_true("derived_unparsed_call")
    cut = rollouts.numbers("derived_num_cut_turns") > 0
    hits = in_text & ~cut
    if not rollouts.known("derived_unparsed_call").any():
        return Unknown(
            code=CODE,
            because="no rollout says whether a call stands in its text",
            needs="messages; `rlvr check` computes the derived columns again",
        )
    if not (parsed | hits).any():
        return _never_called(evidence)
    found = habit(rollouts, hits, parsed | hits)
    if not parsed.any():
        return _none_parsed(evidence, found, hits)
    standing = found.standing(COSTLY_HABIT)
    if standing is Standing.UNSURE:
        return found.unknown(
            CODE, "rollouts that call have a call left in their text", COSTLY_HABIT
        )
    if standing is Standing.RARE:
        return Healthy(
            code=CODE,
            sentence=f"{found.of('rollouts that call')} have a call left in their text;"
            f" {int(parsed.sum()):,} have calls that were parsed",
            numbers=found.numbers("rollouts with a call in their text"),
        )
    return _finding(
        evidence,
        found,
        hits,
        severity=severity(evidence, standing, hits & rollouts.recent),
        sentence=_some_unparsed(found, standing),
        remedy="Read the examples: what stands there is what the parser of the sampler refused."
        " Check that the parser is the one of this model's template (vLLM: --tool-call-parser;"
        " hermes for Qwen 2.5 and 3), and say in the prompt how a call is written.",
    )


def _never_called(evidence: RunEvidence) -> Outcome:
    count = len(evidence.rollouts)
    if evidence.info is not None and evidence.info.tools:
        tools = len(evidence.info.tools)
        return Unknown(
            code=CODE,
            because=f"none of {count:,} rollouts calls a tool, in its text or otherwise, though"
            f" the run offers {tools}: the model does not try, so parsing was never put to use",
            needs="one rollout with a call; look whether the prompt shows the tools"
            " (`rlvr show RUN ID`), and try a call with `rlvr preflight`",
        )
    offered = "and the run offers no tools" if evidence.offers_no_tools else "nor any other call"
    return Healthy(
        code=CODE, sentence=f"no call stands in the text of {count:,} rollouts, {offered}"
    )


def _none_parsed(evidence: RunEvidence, found: Habit, hits: Mask) -> Outcome:
    """Calls stand in texts, and not one of the run was parsed."""
    count, total = int(hits.sum()), len(evidence.rollouts)
    seen = f"{count:,} of {total:,} rollouts have a call in their text, and none was parsed"
    if evidence.info is None or not evidence.info.tools:
        return Unknown(
            code=CODE,
            because=f"{seen}; the run records no tools that its server should parse calls for, so"
            " the environment may read them from the text itself",
            needs="RunInfo.tools: the tools that were offered to the server",
        )
    if _text_is_answered(evidence):
        return Unknown(
            code=CODE,
            because=f"{seen}; but their episodes go on after it, so the environment seems to read"
            " calls from the text itself",
            needs="a look at an example (`rlvr show RUN ID`): does the answer come from the tool?",
        )
    proven = found.whole.side(LARGE_MAJORITY) is Side.ABOVE
    return _finding(
        evidence,
        found,
        hits,
        severity=Severity.ERROR if proven else Severity.WARNING,
        sentence=f"Not one tool call was parsed in {total:,} rollouts, while {count:,} of them have"
        " a call in their text: no tool ever ran, and the reward is for answers without tools.",
        remedy="Start the sampler with tool parsing and the parser of this model's template (vLLM:"
        " --enable-auto-tool-choice --tool-call-parser hermes for Qwen 2.5 and 3), and pass the"
        " tools in each request. `rlvr preflight` tries it before any step is spent.",
    )


def _text_is_answered(evidence: RunEvidence) -> bool:
    """Whether most rollouts with a call in their text go on after it."""
    ends = [
        unparsed_calls(trajectory.completion[-1].text) > 0
        for trajectory in evidence.contents
        if _first_in_text(trajectory) is not None
    ]
    return bool(ends) and sum(ends) < len(ends) / 2


def _some_unparsed(found: Habit, standing: Standing) -> str:
    if standing is Standing.HEALED:
        return (
            f"In the first third of the run {percent(found.early.value)} of the rollouts that call"
            f" had a call left in their text; now {percent(found.now.value)} have."
        )
    other = "Other calls are parsed, so parsing is on."
    if found.now.hits == found.now.trials:
        other = "Earlier in the run calls were parsed: what has changed?"
    return (
        f"{percent(found.now.value)} of the rollouts that call{found.then} have a call left in"
        " their text that the sampler did not parse: it never ran, and most often the episode"
        f" ends there. {other}"
    )


def _finding(
    evidence: RunEvidence,
    found: Habit,
    hits: Mask,
    *,
    severity: Severity,
    sentence: str,
    remedy: str,
) -> Finding:
    rollouts = evidence.rollouts
    cut = rollouts.is_true("derived_unparsed_call") & ~hits
    recent = hits & rollouts.recent
    return Finding(
        code=CODE,
        severity=severity,
        sentence=sentence,
        rollouts=len(rollouts),
        lost=lost(evidence, hits),
        numbers=(
            *found.numbers("of the rollouts that call, with one in the text"),
            Number(
                name="rollouts with parsed calls",
                value=int((rollouts.numbers("derived_num_tool_calls") > 0).sum()),
                unit="rollouts",
            ),
            Number(
                name="cut inside a turn with a call, not counted",
                value=int(cut.sum()),
                unit="rollouts",
            ),
        ),
        plot=Plot(
            title="share of the rollouts with a call in their text",
            series={"in the text": rollouts.by_step(hits)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            recent if recent.any() else hits,
            why="a call stands in its text",
            locate=_calls_in_text(evidence),
        ),
        lookalikes=(
            LookAlike(
                what="a call that max_tokens cut in the middle",
                told_apart_by="its turn's finish reason is `length`; such rollouts are not counted"
                " here (truncation)",
            ),
            LookAlike(
                what="calls that are parsed and whose arguments are broken",
                told_apart_by="those stand in the message's tool_calls (calls-malformed), these in"
                " its text",
            ),
            LookAlike(
                what="a model that speaks about calls, or quotes the format",
                told_apart_by="the examples show the tag inside of a sentence, with no name and"
                " arguments after it",
            ),
        ),
        refuted_by="open an example at its turn: if the call in the text has an answer of the tool"
        " after it, it was parsed. `rlvr preflight` sends a call through the sampler's parser.",
        remedy=remedy,
        since_step=since_step(rollouts, hits, COSTLY_HABIT),
    )


def _first_in_text(trajectory: Trajectory) -> int | None:
    """The assistant turn whose text opens a call that is not among its calls."""
    turn = -1
    for message in trajectory.completion:
        if message.role != "assistant":
            continue
        turn += 1
        if not message.tool_calls and unparsed_calls(message.text):
            return turn
    return None


def _calls_in_text(evidence: RunEvidence) -> dict[str, Example]:
    places = {}
    for trajectory in evidence.contents:
        turn = _first_in_text(trajectory)
        if turn is not None and trajectory.id is not None:
            places[trajectory.id] = Example(id=trajectory.id, why="", turn=turn)
    return places
