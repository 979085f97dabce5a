"""Markdown in which nothing that was recorded acts, read as GitHub reads it."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from builders import trajectory
from hostile import ALL, PAYLOADS, hostile_trajectories
from rlvr.diagnosis import Finding, Ledger, LookAlike, Severity, Verdict
from rlvr.record import Message
from rlvr.views.markdown import (
    MOST_CHARS,
    code,
    fenced,
    prose,
    report_markdown,
    trajectories_markdown,
)

READ = MarkdownIt("commonmark", {"html": True}).enable("table")
ACTING = re.compile(r"@\w|#\d|\w://|www\.\w|GH-\d")


def tokens_of(text):
    for token in READ.parse(text):
        yield token
        yield from token.children or ()


def acts(text):
    """What GitHub would make of it beyond text."""
    found = [t.type for t in tokens_of(text) if re.match(r"html|link|image|autolink", t.type)]
    return found + [
        t.content for t in tokens_of(text) if t.type == "text" and ACTING.search(t.content)
    ]


@pytest.mark.parametrize("payload", [*PAYLOADS, "```\n</details>\n@user", "~~~", "`" * 9, "@me #1"])
def test_a_text_stays_in_its_fence_and_a_name_between_its_backticks(payload):
    for text in (fenced(payload), f"| a |\n| --- |\n| {code(payload)} |", f"x {code(payload)} y"):
        assert acts(text) == []
    (fence,) = [token for token in tokens_of(fenced(payload)) if token.type == "fence"]
    assert (
        fence.content.count("\n") == len(payload.strip("\n").splitlines()) or "\\" in fence.content
    )


@pytest.mark.parametrize(
    "payload", [*PAYLOADS, "@user, see #12 at https://a.org, www.b.org or GH-3"]
)
def test_a_sentence_that_quotes_it_mentions_and_links_nothing(payload):
    assert acts(f"> {prose(payload)}") == []


def test_trajectories_whose_every_text_wants_to_act_do_nothing():
    assert (
        acts(
            trajectories_markdown(list(hostile_trajectories())[:12], title=ALL, facts=[("a", ALL)])
        )
        == []
    )


def test_a_report_of_such_findings_does_nothing():
    findings = tuple(
        Finding(
            code="truncation", severity=Severity.ERROR, sentence=payload, rollouts=4, lost=2,
            lookalikes=(LookAlike(what=payload, told_apart_by=payload),), refuted_by=payload,
            remedy=payload,
        )
        for payload in PAYLOADS
    )  # fmt: skip
    ledger = Ledger(total=0, lines=())
    verdict = Verdict(
        run="r", rollouts=4, steps=(0,), ledger=ledger, findings=findings, remarks=(ALL,)
    )
    assert acts(report_markdown(verdict, [], title=ALL, run="RUN", facts=[("a", ALL)])) == []


def test_it_fits_into_an_issue_and_says_what_does_not():
    long = trajectory(prompt=(Message(role="user", content="word " * 2_000),))
    found = trajectories_markdown(
        [replace(long, id=f"t{at}") for at in range(60)], title="t", facts=[]
    )
    assert len(found) < MOST_CHARS < 65_536
    assert "Not in this text" in found
    assert found.count("\n## `t") < 60
