"""The page of a trajectory: the reward's and the advantage's arithmetic, and what happened."""

import re
from dataclasses import replace

import pytest

from builders import (
    GROUP_SIZE,
    batches,
    odd_trajectory,
    run_info,
    trajectory,
    with_advantages,
)
from rlvr.record import (
    Blob,
    Component,
    ContentPart,
    Message,
    TokenEvidence,
    ToolCall,
    ToolResult,
)
from rlvr.recorder import Recorder
from rlvr.views.web.messages import Conversation
from viewers import client_of

RUN = "20260801-120000-7a1e"
BASE = f"/r/{RUN}/t/"
ID = "train-s00000{step}-b00000{step}-a00-r000-0000{row}"
HOSTILE = '<img src=x onerror="alert(1)">'


def url(step, row):
    return BASE + ID.format(step=step, row=row)


def long_rollout():
    """A rollout of 300 turns, each with a call, and one text of ten million characters."""
    completion, results = [], []
    for turn in range(300):
        call = ToolCall(id=f"q{turn}", name="retrieve", arguments='{"query": "x"}')
        text = "y" * 10_000_000 if turn == 1 else f"turn number {turn}"
        completion += [
            Message(role="assistant", content=text, tool_calls=(call,)),
            Message(role="tool", content="found", tool_call_id=call.id),
        ]
        results.append(
            ToolResult(turn=turn, call_id=call.id, name="retrieve", arguments="{}", result="found")
        )
    return trajectory(step=1, batch=1, completion=tuple(completion), tool_results=tuple(results))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Step 0: a group of four, and a rollout in which much went wrong. Step 1: the long one."""
    folder = tmp_path_factory.mktemp("trajectory")
    group = next(batches(1))[:GROUP_SIZE]
    wrong = replace(
        odd_trajectory(),
        group_id="odd",
        reward=0.7,
        components=(
            *odd_trajectory().components[:1],
            Component(name=HOSTILE, value=0.5, weight=1.0),
        ),
        prompt=(
            Message(
                role="user",
                parts=(
                    ContentPart(type="text", text=HOSTILE),
                    ContentPart(type="image_url", blob="ab" * 32, media_type="image/png"),
                ),
            ),
        ),
        blobs=(Blob(sha256="ab" * 32, media_type="image/png", data=b"png"),),
        evidence=TokenEvidence(
            ids_match=False, mismatch_sequence=1, mismatch_token=24, mismatch_turn=1
        ),
    )
    rollouts = [with_advantages(group), [wrong], [long_rollout()]]
    with Recorder.open(folder, info=run_info(run=RUN), run=RUN) as recorder:
        recorder.record_batch([replace(one, run=RUN) for one in [*rollouts[0], wrong]])
        recorder.record_batch([replace(rollouts[2][0], run=RUN)])
    return client_of(folder / "rlvr" / RUN)


def test_the_components_sum_to_the_reward_and_the_advantage_recomputes(client):
    page = client.get(url(0, 0)).text
    assert re.search(r'<tr id="r-f1">.*?>0.300</td>', page, re.DOTALL)
    assert "✓ is the sum" in page
    assert "✓ is that" in page
    assert "denominator n − 1" in page
    assert re.search(r"\(reward − mean\) / \(std \+ 1e-4\)\n= \(", page)


def test_a_total_that_is_not_the_sum_and_a_failed_scorer_are_flagged(client):
    page = client.get(url(0, 4)).text
    assert "✗ differs from the sum by +0.200" in page
    assert "signal only works in main thread" in page
    assert "recomputed: only 1 of the group&#39;s 4 rollouts are recorded" in page
    assert "Its group is partial: 1/4" in page


def test_a_wrong_advantage_is_flagged(tmp_path):
    group = with_advantages(next(batches(1))[:GROUP_SIZE])
    group[0] = replace(group[0], advantage=9.0)
    with Recorder.open(tmp_path, info=run_info(run=RUN), run=RUN) as recorder:
        recorder.record_batch([replace(one, run=RUN) for one in group])
    page = client_of(tmp_path / "rlvr" / RUN).get(url(0, 0)).text
    assert "✗ differs from " in page


def test_calls_stand_as_written_and_lead_to_what_was_executed(client):
    page = client.get(url(0, 0)).text
    call = page[page.index('id="c2-0"') :][:900]
    assert "{&#34;query&#34;: &#34;founder of" in call
    assert 'href="#x0"' in call
    executed = page[page.index('id="x0"') :][:600]
    assert 'href="#c2-0"' in executed
    assert "0.004 s" in executed


def test_malformed_and_rolled_back_calls_are_marked(client):
    page = client.get(url(0, 4)).text
    assert "⚠ malformed: names no tool" in page
    assert "{&#34;query&#34;: oops" in page
    assert "malformed: it never reached a tool" in page
    assert "rolled back: the trainer deleted its message" in page
    assert "no call in the conversation" in page
    assert "never shown" in page  # the raw result, which no message holds


def test_bytes_are_named_and_never_loaded_and_nothing_recorded_is_markup(client):
    page = client.get(url(0, 4)).text
    assert "image_url part: image/png, stored as blob abab" in page
    assert "<img" not in page
    assert HOSTILE.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;") in page


def test_siblings_and_steps_are_a_key_away(client):
    page = client.get(url(0, 1)).text
    assert re.search(rf'<a href="{url(0, 2)}" data-key="J">', page)
    assert re.search(rf'<a href="{url(0, 0)}" data-key="K">', page)
    assert re.search(rf'<a href="{url(1, 0)}" data-key="\]">', page)
    assert re.search(rf'<a href="{url(0, 1)}/tokens" data-key="t">', page)
    assert re.search(r'<span aria-current="page">1: <b>', page)
    assert 'data-key="["' not in page


def test_a_departure_leads_to_its_token(client):
    page = client.get(url(0, 4)).text
    assert f'href="{url(0, 4)}/tokens?at=1%3A24&amp;turn=1#s1t24"' in page


def test_a_long_conversation_comes_in_parts_and_a_turn_opens_its_own(client):
    first = client.get(url(1, 0)).text
    assert len(first) < 1_500_000
    assert "602 messages, of them 0 to 449" in first
    assert "10,000,000 characters" in first
    assert "characters cut" in first
    last = client.get(f"{url(1, 0)}?turn=290").text
    assert re.search(r'class="message assistant marked" id="m582"', last)
    assert 'id="turn290"' in last
    assert "turn number 290" in last
    assert "turn number 2<" not in last
    assert "76 of 300 calls" in last


def test_whitespace_can_be_seen(client):
    assert "␣born?" not in client.get(url(0, 0)).text
    assert "␣born?" in client.get(f"{url(0, 0)}?ws=1").text


@pytest.mark.parametrize("place", ["?turn=99", "x", "?m=999"])
def test_what_is_not_there_is_said(client, place):
    at = url(0, 0) + place
    assert client.get(at).status_code in (400, 404)


def test_a_superseded_rollout_says_so(tmp_path):
    for attempt in range(2):
        with Recorder.open(tmp_path, info=run_info(run=RUN), run=RUN) as recorder:
            rollout = trajectory(run=RUN, attempt=attempt)
            recorder.record_batch([rollout])
    page = client_of(tmp_path / "rlvr" / RUN).get(url(0, 0)).text
    assert "Superseded: a later attempt" in page


def test_a_call_that_was_made_again_is_linked_to_what_was_kept():
    call = ToolCall(id="q", name="retrieve", arguments="{}")
    done = ToolResult(turn=0, call_id="q", name="retrieve", arguments="{}", result="found")
    conversation = Conversation(
        trajectory(
            completion=(Message(role="assistant", tool_calls=(call,)),),
            tool_results=(replace(done, rolled_back=True), done),
        )
    )
    (message,) = conversation.messages(2, 3)
    assert message.calls[0].executed == 1
    assert [one.call for one in conversation.results(0, None)] == ["", "c2-0"]
