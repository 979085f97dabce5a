import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from builders import batches, run_info, trajectory
from rlvr.analysis.places import token_strip
from rlvr.codec import to_table
from rlvr.diagnosis import (
    Example,
    Fate,
    Finding,
    Healthy,
    Ledger,
    Line,
    LookAlike,
    Number,
    Plot,
    Reason,
    Rollouts,
    RunEvidence,
    Severity,
    Unknown,
    Verdict,
    diagnose,
)
from rlvr.diagnosis.fates import share_by_step
from rlvr.diagnosis.headline import headline
from rlvr.record import Span, TokenDetails, TrainingSequence
from rlvr.views.document import document
from rlvr.views.terminal.ledger import ledger_bar, ledger_view
from rlvr.views.terminal.tokens import strip_view
from rlvr.views.terminal.verdict import outcomes_view, verdict_in_short, verdict_view
from rlvr.views.verdict import verdict_values

EVIL = "\x1b[2J\x1b]0;owned\x07[red]x[/red]\u202e"
ID = "train-s000003-b000003-a00-r000-00001"


def piped(renderable, width: int = 2_000) -> str:
    console = Console(width=width, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(renderable, soft_wrap=width > 200, crop=False)
    return capture.get()


def lines(**counts: int) -> tuple[Line, ...]:
    named = {Reason[name.upper()]: count for name, count in counts.items()}
    return tuple(Line(reason=r, rollouts=n, concerned=n) for r, n in named.items())


def a_ledger(**counts: int) -> Ledger:
    return Ledger(total=sum(counts.values()), lines=lines(**counts))


def finding(severity: Severity = Severity.ERROR, **changes) -> Finding:
    made = Finding(
        code="tokens-not-sampled",
        severity=severity,
        sentence="In 40% of the rollouts the trainer learned from tokens that nobody sampled.",
        rollouts=1000,
        corrupted=400,
        lost=20,
        numbers=(
            Number(name="rollouts on other tokens", value=0.4, unit="share"),
            Number(name="mean gap", value=2.8123, unit="nats"),
            Number(name="missing in a prompt", value=14.0, unit="tokens"),
            Number(name="not measured", value=None),
            Number(name="not finite", value=math.nan),
        ),
        plot=Plot(
            title="share of the rollouts",
            series={"other tokens": [(0, 0.1), (1, math.nan), (2, 0.4), (3, 0.6)]},
            y_range=(0.0, 1.0),
        ),
        examples=(
            Example(id=ID, why="its first token is another", turn=1, token=117),
            Example(id=ID[:-1] + "2", why="its first token is another", token=3, sequence=1),
            Example(id=ID[:-1] + "3", why="its prompt is shorter"),
        ),
        lookalikes=(LookAlike(what="a cut sequence", told_apart_by="`truncated` is true"),),
        refuted_by="render the conversation again and compare",
        remedy='switch on the repair sampled_tokens (repairs="all")',
        since_step=2,
    )
    return replace(made, **changes)


def verdict(**changes) -> Verdict:
    made = Verdict(
        run="r",
        rollouts=1000,
        steps=(0, 1, 2, 3),
        ledger=Ledger(
            total=1000,
            lines=(
                Line(reason=Reason.ALL_SOLVED, rollouts=80, concerned=90),
                Line(reason=Reason.TOKENS, rollouts=400, concerned=400),
                Line(reason=Reason.GAP, rollouts=20, concerned=420),
                *lines(no_evidence=100, reached=400),
            ),
            superseded=12,
            not_recorded=5,
        ),
        findings=(
            finding(),
            finding(Severity.WARNING, code="truncation", corrupted=0, plot=None),
            finding(Severity.NOTE, code="turn-limit", corrupted=0, lost=0),
        ),
        healthy=(Healthy(code="scorer-errors", sentence="no scorer raised in 1,000 rollouts"),),
        unknown=(
            Unknown(code="calls-unparsed", because="no messages were read", needs="messages"),
            Unknown(code="tool-fails", because="12 rollouts are too few"),
        ),
        remarks=("x.parquet is torn",),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("width", [80, 120, 2_000])
def test_the_whole_verdict(snapshot, width):
    assert piped(verdict_view(verdict(), run="out", title="demo · out"), width) == snapshot


@pytest.mark.parametrize("width", [80, 2_000])
def test_the_whole_ledger(snapshot, width):
    sound = [(0, 0.9), (1, 0.5), (2, 0.2), (3, 0.0)]
    page = ledger_view(verdict().ledger, run="out", title="demo · out", sound_by_step=sound)
    assert piped(page, width) == snapshot


def test_the_verdict_in_short(snapshot):
    assert piped(verdict_in_short(verdict(), run="out")) == snapshot


def test_all_but_commands_fits_eighty_columns():
    shown = piped(verdict_view(verdict(), run="out/" + "x" * 60), 80)
    assert max(len(line) for line in shown.splitlines() if "  rlvr " not in line) <= 80


def test_commands_are_whole_in_a_narrow_terminal():
    command = f"rlvr show out {ID} --turn 1 --token 117"
    for width in (40, 80, 2_000):
        shown = piped(verdict_view(verdict(), run="out"), width)
        assert f"  {command}" in shown.splitlines()


def test_no_line_of_a_pipe_ends_in_blanks():
    for page in (verdict_view(verdict()), ledger_view(verdict().ledger)):
        assert all(line == line.rstrip() for line in piped(page).splitlines())


def test_severity_is_a_word_and_not_only_a_colour():
    shown = piped(verdict_view(verdict()))
    assert "✗ ERROR  tokens-not-sampled" in shown
    assert "⚠ WARNING  truncation" in shown
    assert "· NOTE  turn-limit" in shown


def test_notes_are_short_and_one_code_alone_is_in_full():
    note = verdict(findings=(finding(Severity.NOTE),))
    assert "what to do" not in piped(verdict_view(note))
    assert "what to do" in piped(outcomes_view(note))


def test_a_straight_line_and_a_single_point_are_not_drawn():
    flat = Plot(title="a share", series={"a": [(0, 1.0), (1, 1.0)], "b": [(0, math.nan)]})
    shown = piped(outcomes_view(verdict(findings=(finding(plot=flat),))))
    assert "a share: 1.00 at every step" in shown
    assert "┤" not in shown
    point = replace(flat, series={"a": [(0, 1.0)]})
    assert "a share" not in piped(outcomes_view(verdict(findings=(finding(plot=point),))))


def test_nothing_in_a_verdict_steers_the_terminal():
    hostile = finding(
        code="tool-fails",
        sentence=f"tool {EVIL} fails",
        remedy=EVIL,
        refuted_by=EVIL,
        numbers=(Number(name=EVIL, value=1, unit=EVIL),),
        plot=Plot(title=EVIL, x_label=EVIL, series={EVIL: [(0, 0.0), (1, 1.0)]}),
        examples=(Example(id=f"x; rm -rf {EVIL}", why=EVIL),),
        lookalikes=(LookAlike(what=EVIL, told_apart_by=EVIL),),
    )
    made = verdict(
        findings=(hostile, replace(hostile, severity=Severity.NOTE)),
        healthy=(Healthy(code="h", sentence=EVIL),),
        unknown=(Unknown(code="u", because=EVIL, needs=EVIL),),
        remarks=(EVIL,),
    )
    pages = (verdict_view, outcomes_view, verdict_in_short)
    for view in pages:
        for width in (80, 2_000):
            shown = piped(view(made), width)
            assert not {"\x1b", "\x07", "\u202e"} & set(shown)
            assert "[red]x[/red]" in shown
    assert "'x; rm -rf" in piped(verdict_view(made))  # quoted: a pasted id stays one word


def test_a_newline_in_a_sentence_can_not_forge_a_line():
    forged = finding(sentence="tool x\n✓ No defect found fails")
    assert "\n✓ No defect found" not in piped(verdict_view(verdict(findings=(forged,))))


def test_the_document_holds_the_whole_verdict_with_commands_and_page():
    found = json.loads(document("verdict", **verdict_values(verdict(), "out")))
    first = found["findings"][0]
    assert first["examples"][0]["command"] == f"rlvr show out {ID} --turn 1 --token 117"
    assert first["examples"][1]["command"].endswith("--token 1:3")
    assert first["page"] == "docs/findings/tokens-not-sampled.md"
    assert first["numbers"][4]["value"] == "NaN"
    assert first["plot"]["series"]["other tokens"][1] == [1, "NaN"]
    assert (found["worst"], found["rollouts"], found["steps"]) == ("error", 1000, [0, 1, 2, 3])
    assert sum(found["ledger"]["fates"].values()) == 1000
    assert sum(line["rollouts"] for line in found["ledger"]["lines"]) == 1000
    assert found["ledger"]["lines"][0]["meaning"] == Reason.ALL_SOLVED.meaning
    assert [unknown["code"] for unknown in found["unknown"]] == ["calls-unparsed", "tool-fails"]
    assert found["headline"] == list(headline(verdict()))


def test_the_lines_of_the_shown_ledger_add_up():
    shown = piped(ledger_view(verdict().ledger))
    assert "400 sound + 80 lost + 420 corrupted + 100 unverified = 1,000 rollouts" in shown
    assert "12 that a restart undid, at least 5 that were never recorded" in shown


def test_a_strip_of_tokens_fits_eighty_columns_whatever_their_text():
    ids = list(range(20))
    sequence = TrainingSequence(
        ids=ids,
        loss_mask=[1] * 20,
        spans=(Span(start=0, stop=20, turn=12, role="environment"),),
        sampler_logprobs=[-12.5] * 20,
        trainer_logprobs=[-12.5] * 20,
    )
    tokens = TokenDetails(sequences=(sequence,), expected_ids=((20, *ids[1:]),))
    texts = ["<|reserved_special_token_000|>"] * 21
    strip = token_strip(trajectory(tokens=tokens), 0, 5, texts)
    for width, whole in ((80, False), (120, True)):
        shown = piped(strip_view(strip), width)
        assert max(map(len, shown.splitlines())) <= width
        assert (texts[0] in shown) is whole
        table = shown[shown.index("   place") : shown.index("loss ●")]
        assert len(table.splitlines()) == 1 + len(strip.tokens)
    assert "∅" in shown  # what attention saw was not recorded, which is not the same as "no"


@pytest.mark.parametrize(
    "counts",
    [
        {"reached": 1},
        {"reached": 100_000, "tokens": 1, "all_solved": 1, "no_evidence": 1},
        {"reached": 1, "all_failed": 1},
        {"context": 7, "empty_mask": 3},
    ],
)
def test_the_bar_has_its_length_and_shows_every_fate_there_is(counts):
    ledger = a_ledger(**counts)
    bar = ledger_bar(ledger, 60).plain
    assert len(bar) == 60
    assert len(set(bar)) == sum(ledger.count(fate) > 0 for fate in Fate)


@pytest.mark.parametrize(
    ("counts", "severities", "said"),
    [
        ({"context": 1280}, "e", "Nothing of what this run trained on is sound: all 1,280"),
        ({"all_failed": 64}, "e", "none of 64 rollouts gave a gradient"),
        ({"all_failed": 4, "tokens": 6}, "e", "4 gave no gradient and 6 reached it wrong"),
        ({"reached": 10, "tokens": 90}, "ee", "Only 10% of 100 rollouts reached the gradient"),
        ({"reached": 90, "tokens": 10}, "e", "90% of 100 rollouts reached the gradient sound"),
        ({"reached": 90, "all_solved": 10}, "w", "No error found, but 1 warning: 90% of 100"),
        ({"reached": 90, "all_solved": 10}, "", "No defect found so far: 90% of 100 rollouts"),
        ({"reached": 999, "all_solved": 1}, "", "over 99% of 1,000 rollouts reached the"),
        ({"no_evidence": 10}, "", "100% of 10 rollouts reached the gradient unverified"),
        ({"reached": 5, "no_evidence": 5}, "n", "50% of 10 rollouts reached the gradient sound"),
    ],
)
def test_the_headline_says_the_state_in_one_sentence(counts, severities, said):
    names = {"e": Severity.ERROR, "w": Severity.WARNING, "n": Severity.NOTE}
    found = tuple(finding(names[s], code=f"code-{at}") for at, s in enumerate(severities))
    ledger = a_ledger(**counts)
    sentences = headline(verdict(ledger=ledger, rollouts=ledger.total, findings=found))
    assert said in sentences[0]
    assert len(sentences) <= 2


def test_the_headline_names_what_to_mend_first_and_counts_what_nobody_could_judge():
    assert headline(verdict())[1] == "Mend first: tokens-not-sampled."
    few = verdict(findings=())
    assert headline(few)[1].startswith("2 of 3 causes could not be judged")
    assert headline(few)[0].startswith("No defect found so far: ")
    assert "?  No defect found so far" in piped(verdict_view(few))
    (alone,) = headline(verdict(findings=(), unknown=()))
    assert alone.startswith("No defect found: ")


def test_a_run_without_training_rollouts_has_a_verdict_that_claims_nothing():
    empty = diagnose(RunEvidence(run="r", rollouts=Rollouts(table=to_table([]))))
    for page in (verdict_view(empty), outcomes_view(empty), ledger_view(empty.ledger)):
        shown = piped(page)
        assert "There is no training rollout to judge" in shown
        assert "✓" not in shown
        assert "sound" not in shown


def test_the_share_of_a_fate_by_step_is_that_of_the_step():
    blind = replace(trajectory().evidence, attended_share=0.5)
    made = [
        replace(rollout, id=f"id-{at}", evidence=blind if step == 1 else rollout.evidence)
        for step, batch in enumerate(batches(3, learns=False))
        for at, rollout in enumerate(batch)
    ]
    table = to_table(made)
    evidence = RunEvidence(run="r", rollouts=Rollouts(table=table), info=run_info())
    shares = {fate: dict(share_by_step(evidence, fate)) for fate in Fate}
    assert shares[Fate.CORRUPTED][0] == 0.0
    assert shares[Fate.CORRUPTED][1] > 0.4
    for step in range(3):
        assert sum(by_step[step] for by_step in shares.values()) == pytest.approx(1.0)
