"""The page of tokens: five states that are never confused, and every mark at its token."""

import html
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import run_info, token_details, trajectory
from rlvr.analysis.channels import Channel
from rlvr.codec.packed import pack_floats
from rlvr.record import (
    UPDATE_EVIDENCE,
    UPDATE_TOKENS,
    Annotation,
    Span,
    TokenDetails,
    TrainingSequence,
)
from rlvr.recorder import Recorder
from rlvr.viewer.token_window import WINDOW
from rlvr.views.web.scales import SCALES
from viewers import client_of

NAN = math.nan
RUN = "20260801-120000-70c5"
BASE = f"/r/{RUN}/t/train-s000000-b000000-a00-r000-0000"

# prompt, prompt | trained, trained (far), masked | tool, tool | trained (none), trained (other)
STATES = TrainingSequence(
    ids=(0, 1, 2, 3, 4, 5, 6, 7, 8),
    loss_mask=(0, 0, 1, 1, 0, 0, 0, 1, 1),
    attended=(1, 1, 1, 1, 1, 0, 0, 1, 1),
    spans=(
        Span(start=0, stop=2, turn=-1, role="prompt"),
        Span(start=2, stop=5, turn=0, role="assistant"),
        Span(start=5, stop=7, turn=0, role="environment"),
        Span(start=7, stop=9, turn=1, role="assistant"),
    ),
    sampler_logprobs=(NAN, NAN, -0.5, -0.1, -0.2, NAN, NAN, NAN, -0.4),
    trainer_logprobs=(NAN, NAN, -0.5, -9.0, -0.2, NAN, NAN, -0.3, -0.6),
)
WORDS = [
    "<sys>",
    " ask",
    " go",
    "\n",
    "\t!",
    " doc",
    "\\xe2\\x82",
    "<script>alert(1)</script>",
    "",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A run of one trajectory with every state, one of 40,000 tokens, and one without details."""
    folder = tmp_path_factory.mktemp("tokens")
    wanted = ((0, 1, 2, 3, 4, 11, 5, 6, 7, 9), (1, 2))
    rollouts = [
        trajectory(run=RUN, tokens=TokenDetails(sequences=(STATES,), expected_ids=wanted)),
        trajectory(run=RUN, sample=1, tokens=token_details(40_000)),
        trajectory(run=RUN, sample=2),
    ]
    with Recorder.open(folder, info=run_info(run=RUN, token_details_every=2), run=RUN) as recorder:
        recorder.keep_vocabulary(WORDS)
        recorder.record_batch(rollouts)
    return client_of(Path(folder) / "rlvr" / RUN)


def token(page, place, sequence=0):
    """(class, title, text) of a token of a page."""
    name = f"s{sequence}t{place}" if sequence else f"t{place}"
    found = re.search(rf'<span id="{name}"([^>]*)>(.*?)</span>', page, re.DOTALL)
    attributes = dict(re.findall(r'(\w[\w-]*)="([^"]*)"', found[1]))
    return attributes.get("class", ""), html.unescape(attributes["title"]), found[2]


def letters(page):
    """The letter of each run of tokens, in order."""
    strip = page[page.index('id="strip"') :]
    return re.findall(r'<span class="run (\w+)"><i>(.)</i>', strip)


def test_each_state_has_its_own_letter_and_look_and_a_missing_number_is_not_a_colour(client):
    page = client.get(f"{BASE}0/tokens?ch=difference").text
    assert letters(page) == [
        ("prompted", "P"),
        ("trained", "T"),
        ("masked", "M"),
        ("environment", "E"),
        ("unrecorded", "∅"),
        ("trained", "T"),
    ]
    assert token(page, 7)[0] == ""
    assert "trained · sampler ∅ · trainer -0.3 · difference ∅" in token(page, 7)[1]
    assert token(page, 2)[0] == "z0"


def test_marks_stand_at_their_tokens(client):
    page = client.get(f"{BASE}0/tokens?ch=difference").text
    assert token(page, 3)[0] == "n4 far beyond"
    assert "unseen" in token(page, 5)[0]
    assert "other" in token(page, 8)[0]
    strip = page[page.index('id="strip"') :]
    assert re.search(
        r'<del class="gone" title="1 token served or sampled, not trained: ids 11">', strip
    )
    stops = re.findall(r'id="(t\d+)"[^>]*data-stop', strip)
    assert stops[:3] == ["t3", "t5", "t8"]
    assert "1 sequence of it never reached the trainer" in page
    assert 'id="s1t0" data-stop' in page


@pytest.mark.parametrize("channel", list(Channel))
def test_a_masked_token_has_no_colour_in_any_channel(client, channel):
    page = client.get(f"{BASE}0/tokens?ch={channel}").text
    assert token(page, 4)[0] == ""
    assert token(page, 0)[0] == ""


def test_a_channel_that_was_not_recorded_says_so_and_colours_nothing(client):
    page = client.get(f"{BASE}0/tokens?ch=entropy").text
    assert "entropy was not recorded of this trajectory" in page
    assert ("trained", "T") not in letters(page)


def test_texts_are_inert_whitespace_can_be_seen_and_bytes_are_hex(client):
    page = client.get(f"{BASE}0/tokens").text
    assert "<script>alert" not in page
    assert token(page, 6)[2] == "\\xe2\\x82"
    assert token(page, 3)[2] == "⏎\n"
    assert token(page, 8)[2] == "‹8›"
    assert token(client.get(f"{BASE}0/tokens?ws=1").text, 1)[2] == "␣ask"


def test_a_place_is_marked_and_has_a_card(client):
    page = client.get(f"{BASE}0/tokens?at=2-3").text
    assert [at for at in range(9) if "at" in token(page, at)[0].split()] == [2, 3]
    card = page[page.index('id="card"') :][:3000]
    assert "Token 2" in card
    assert "-0.5 nats" in card
    assert 'href="#t2"' in card
    assert f"{BASE}0?turn=0#turn0" in card


@pytest.mark.parametrize(
    ("at", "status", "said"),
    [
        ("x", 400, "write 117"),
        ("9:1", 404, "no training sequence 9"),
        ("99", 404, "has no token 99"),
    ],
)
def test_a_place_that_is_not_there_is_said_to_be_missing(client, at, status, said):
    answer = client.get(f"{BASE}0/tokens", params={"at": at})
    assert answer.status_code == status
    assert said in answer.text


def test_a_long_trajectory_comes_in_parts_with_its_exact_total(client):
    first = client.get(f"{BASE}1/tokens").text
    assert f"Tokens 0 to {WINDOW - 1:,} of 40,000" in first
    last = client.get(f"{BASE}1/tokens?at=39999").text
    assert "to 39,999 of 40,000" in last
    assert last.count('<span id="t') == 40_000 - 2 * WINDOW
    assert "divergence before this part" in last


def test_without_details_the_page_says_what_keeps_them(client):
    page = client.get(f"{BASE}2/tokens?at=0:24&turn=1").text
    assert "log_token_details=True" in page
    assert "keeps them of steps" in page
    assert f"{BASE}2?turn=1#turn1" in page


def test_the_ratio_is_of_the_update_that_is_asked_and_clipping_is_marked(tmp_path):
    rollout = trajectory(
        run=RUN,
        advantage=1.0,
        tokens=TokenDetails(sequences=(replace(STATES, attended=None),)),
    )
    with Recorder.open(tmp_path, info=run_info(run=RUN, config={"epsilon": 0.2}), run=RUN) as one:
        one.record_batch([rollout])
        for update, new in ((0, -0.5), (1, 0.0)):
            one.annotate(list(updated(update, new)))
    client = client_of(tmp_path / "rlvr" / RUN)
    page = client.get(f"{BASE}0/tokens?ch=ratio").text
    assert re.search(r'<td class="n">1</td>.*?this one', page, re.DOTALL)
    assert token(page, 2)[0] == "p4 clip"  # e^0.5 is beyond 1.2
    first = client.get(f"{BASE}0/tokens?ch=ratio&update=0").text
    assert token(first, 2)[0] == "z0"


def updated(update, new):
    """What an update leaves: one new logprob of all trained tokens."""
    id = "train-s000000-b000000-a00-r000-00000"
    evidence = {"rank": 0, "micro_batches": [0], "clipped_share": 0.25}
    tokens = {"trainer_logprobs": [pack_floats(np.full(4, new, np.float32))]}
    for kind, payload in ((UPDATE_EVIDENCE, evidence), (UPDATE_TOKENS, tokens)):
        yield Annotation(id=id, kind=kind, source="rank 0", update=update, payload=payload)


def test_colours_are_the_same_whatever_else_is_shown():
    scale = SCALES[Channel.DIFFERENCE]
    values = np.array([0.0, 0.05, -0.05, 0.7, -2.0, 50.0])
    assert scale.steps(values).tolist() == [0, 1, -1, 3, -4, 4]
    assert scale.beyond(values).tolist() == [False] * 5 + [True]
    assert len(scale.legend()) == 9
    assert len(SCALES[Channel.ENTROPY].legend()) == 5
