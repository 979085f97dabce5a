"""Are answers cut at a length limit?"""

from dataclasses import dataclass

import numpy as np

from rlvr.analysis.columns import Mask
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
    Unknown,
)
from rlvr.diagnosis.habits import (
    Habit,
    Standing,
    habit,
    last_turn,
    length_words,
    lost,
    mean_reward,
    percent,
    recent_contents,
    rewards_apart,
    severity,
    since_step,
)
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.thresholds import COSTLY_HABIT

CODE = "truncation"

_BY_LENGTH = "is the exact length of a turn whose finish reason nobody recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """One way in which a rollout is cut, and where. `limit` is None where it is not recorded."""

    where: Mask
    does: str
    limit_name: str
    limit: int | None
    remedy: str

    @property
    def named(self) -> str:
        """The limit with its value."""
        return self.limit_name if self.limit is None else f"{self.limit_name} ({self.limit:,})"


def detect(evidence: RunEvidence) -> tuple[Outcome, ...]:
    """Rollouts with a turn that ended at max_tokens, that outgrew the context, or whose training
    sequence was cut."""
    rollouts = evidence.rollouts
    at_limit, measured = _by_length(evidence)
    known = rollouts.known("stop_reason") | rollouts.known("truncated") | measured
    cuts = _cuts(evidence, at_limit)
    hits = np.logical_or.reduce([cut.where for cut in cuts])
    if not (known | hits).any():
        return (
            Unknown(
                code=CODE,
                because="no rollout recorded why it stopped, or whether its sequence was cut",
                needs="stop_reason, the finish reason of each turn, or `truncated`",
            ),
        )
    found = habit(rollouts, hits, known | hits)
    standing = found.standing(COSTLY_HABIT)
    if standing is Standing.UNSURE:
        return (found.unknown(CODE, "rollouts were cut at a length limit", COSTLY_HABIT),)
    if standing is Standing.RARE:
        return (_healthy(found),)
    return (_finding(evidence, found, standing, cuts, known | hits),)


def _by_length(evidence: RunEvidence) -> tuple[Mask, Mask]:
    """Which rollouts have a turn of exactly max_tokens, and which can be measured so: those of
    which nobody says why they ended, of one turn, or with messages whose turns are counted."""
    rollouts, limit = evidence.rollouts, evidence.limit("max_tokens")
    nobody = np.zeros(len(rollouts), np.bool_)
    turns = [turn for trajectory in evidence.contents for turn in trajectory.turns]
    if limit is None or any(turn.finish_reason is not None for turn in turns):
        return nobody, nobody
    tokens = rollouts.numbers("sampled_tokens")
    single = (rollouts.numbers("derived_num_turns") == 1) & np.isfinite(tokens)
    counted, full = set(), set()
    for trajectory in evidence.contents:
        lengths = [turn.sampled_tokens for turn in trajectory.turns]
        if trajectory.id is not None and lengths and None not in lengths:
            counted.add(trajectory.id)
            if limit in lengths:
                full.add(trajectory.id)
    silent = ~rollouts.known("stop_reason")
    hits = (single & (tokens == limit)) | rollouts.among(full)
    return silent & hits, silent & (single | rollouts.among(counted))


def _cuts(evidence: RunEvidence, at_limit: Mask) -> tuple[_Cut, ...]:
    rollouts = evidence.rollouts
    turn = (rollouts.numbers("derived_num_cut_turns") > 0) | rollouts.equals(
        "stop_reason", "length"
    )
    outgrown = rollouts.equals("stop_reason", "prompt_too_long")
    if _ends_before_max_tokens(evidence):
        turn, outgrown = np.zeros_like(turn), turn | outgrown
    return (
        _Cut(
            where=turn | at_limit,
            does=_BY_LENGTH if at_limit.any() and not turn.any() else "ends a turn",
            limit_name="max_tokens",
            limit=evidence.limit("max_tokens"),
            remedy="raise max_tokens, the limit of one turn, above what the longest uncut turns"
            " need, or teach short turns (a prompt that asks for them, a soft length penalty)",
        ),
        _Cut(
            where=outgrown,
            does="leaves the conversation no room",
            limit_name="the sampler's context length",
            limit=None,
            remedy="give the sampler a longer context (vLLM: --max-model-len; embedded sampling:"
            " max_seq_len), or shorten tool results before they reach the model",
        ),
        _Cut(
            where=rollouts.is_true("truncated"),
            does="cuts the training sequence",
            limit_name="max_seq_len",
            limit=evidence.limit("max_seq_len"),
            remedy="raise max_seq_len so that it holds the prompt, all turns of max_tokens and all"
            " tool results, or shorten the tool results",
        ),
        _Cut(
            where=_passed(evidence),
            does="is passed by sequences that are recorded whole, so the trainer cuts the padded"
            " batch as verifiers ships it and loses the first tokens of every row, questions first",
            limit_name="the batch's max_seq_len",
            limit=evidence.limit("max_seq_len"),
            remedy="switch the repair row_truncation on, which cuts each row at its end, and raise"
            " max_seq_len",
        ),
    )


def _passed(evidence: RunEvidence) -> Mask:
    """Rollouts whose only sequence is longer than the limit and was cut by nobody, and whose
    forward could not be recorded, since its tokens were others."""
    rollouts, limit = evidence.rollouts, evidence.limit("max_seq_len")
    if limit is None:
        return np.zeros(len(rollouts), np.bool_)
    longer = rollouts.numbers("sequence_tokens") > limit
    single = rollouts.numbers("sequences") == 1
    uncut = rollouts.known("truncated") & ~rollouts.is_true("truncated")
    return np.asarray(longer & single & uncut & ~rollouts.known("attended_share"))


def _ends_before_max_tokens(evidence: RunEvidence) -> bool:
    """Whether most turns that were cut are shorter than max_tokens: the context was full then."""
    limit = evidence.limit("max_tokens")
    lengths = [
        turn.sampled_tokens
        for trajectory in evidence.contents
        for turn in trajectory.turns
        if turn.finish_reason == "length" and turn.sampled_tokens is not None
    ]
    return limit is not None and sum(length < limit for length in lengths) > len(lengths) / 2


def _healthy(found: Habit) -> Healthy:
    return Healthy(
        code=CODE,
        sentence=f"{found.of('rollouts')} are cut at a length limit",
        numbers=found.numbers("cut rollouts"),
    )


def _finding(
    evidence: RunEvidence, found: Habit, standing: Standing, cuts: tuple[_Cut, ...], known: Mask
) -> Finding:
    rollouts = evidence.rollouts
    hits = np.logical_or.reduce([cut.where for cut in cuts])
    span = rollouts.recent if standing is not Standing.HEALED else ~rollouts.recent
    shown = _main_cuts(cuts, span)
    masked = evidence.signal.concerned(Reason.TRUNCATED)
    return Finding(
        code=CODE,
        severity=severity(evidence, standing, hits & span),
        sentence=_sentence(evidence, found, standing, shown, hits & span),
        rollouts=len(rollouts),
        lost=lost(evidence, hits),
        numbers=(
            *found.numbers("cut rollouts"),
            *(
                Number(
                    name=f"rollouts of which {cut.named} {cut.does}",
                    value=int((cut.where & span).sum()),
                    unit="rollouts",
                )
                for cut in shown
            ),
            Number(name="cut and masked, whole run", value=int(masked.sum()), unit="rollouts"),
            Number(name="mean reward, cut", value=mean_reward(evidence, hits & span)),
            Number(name="mean reward, others", value=mean_reward(evidence, ~hits & span)),
        ),
        plot=Plot(
            title="share of the rollouts that are cut",
            series={"cut": rollouts.by_step(hits, known)},
            y_range=(0.0, 1.0),
        ),
        examples=examples_of(
            rollouts,
            hits & span,
            why="it is cut at a length limit",
            turns=np.where(rollouts.is_true("truncated"), -1, last_turn(rollouts)),
            locate=_cut_turns(evidence),
        ),
        lookalikes=(
            LookAlike(
                what="a policy that repeats itself without end",
                told_apart_by="the examples repeat, and no limit is long enough for them",
            ),
            LookAlike(
                what="the turn limit, which ends an episode between two whole turns",
                told_apart_by="the stop reason is max_turns there (turn-limit), and no turn's"
                " finish reason is `length`",
            ),
        ),
        refuted_by="open the examples at the turn: if what is there is a whole answer, the limit"
        " costs nothing. Or sample the same prompts with twice the limit: if as many are cut,"
        " length is not what they lack.",
        remedy=_capital("; ".join(cut.remedy for cut in shown)) + ".",
        since_step=since_step(rollouts, hits, COSTLY_HABIT, known),
    )


def _main_cuts(cuts: tuple[_Cut, ...], span: Mask) -> tuple[_Cut, ...]:
    """Those that cut most, and others that cut a tenth as many at least."""
    counts = {cut.limit_name: int((cut.where & span).sum()) for cut in cuts}
    ranked = sorted(cuts, key=lambda cut: -counts[cut.limit_name])
    enough = max(counts.values()) / 10
    return tuple(cut for cut in ranked if counts[cut.limit_name] >= max(enough, 1))


def _sentence(
    evidence: RunEvidence,
    found: Habit,
    standing: Standing,
    shown: tuple[_Cut, ...],
    hits: Mask,
) -> str:
    limits = ", ".join(f"{cut.named} {cut.does}" for cut in shown)
    if standing is Standing.HEALED:
        return (
            f"In the first third of the run {percent(found.early.value)} of the rollouts were cut"
            f" ({limits}); now {percent(found.now.value)} are."
        )
    others = evidence.rollouts.recent & ~hits
    masked = int((evidence.signal.holds[Reason.TRUNCATED] & hits).sum())
    untaught = f" {masked:,} of them are masked and teach nothing." if masked else ""
    return (
        f"{percent(found.now.value)} of the rollouts{found.then} are cut before they are done:"
        f" {limits}.{untaught}{rewards_apart(evidence, hits, others, 'cut ones')}"
        f"{_needed(evidence, shown[0], others)}"
    )


def _needed(evidence: RunEvidence, cut: _Cut, others: Mask) -> str:
    """How long what is not cut is, measured as the limit counts."""
    if cut.limit_name == "max_tokens":
        turns = [turn for trajectory in recent_contents(evidence) for turn in trajectory.turns]
        whole = [turn.sampled_tokens for turn in turns if turn.finish_reason != "length"]
        words = length_words([float(count) for count in whole if count is not None], "tokens")
        return f" Uncut turns have {words}." if words else ""
    lengths = evidence.rollouts.numbers("sequence_tokens")
    words = length_words(lengths[others], "tokens")
    return f" Uncut sequences have {words}." if words else ""


def _cut_turns(evidence: RunEvidence) -> dict[str, Example]:
    """The first turn that ended at its limit, of the rollouts with messages, by id."""
    places = {}
    for trajectory in recent_contents(evidence):
        turn = next((t.index for t in trajectory.turns if t.finish_reason == "length"), None)
        if turn is not None and trajectory.id is not None:
            places[trajectory.id] = Example(id=trajectory.id, why="", turn=turn)
    return places


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
