"""The pages of rollouts, steps, groups, examples and comparisons, as they are answered."""

import re
import time
from dataclasses import replace
from urllib.parse import unquote

import httpx
import pytest

from builders import RUN_ID, run_info, token_details, trajectory, write_run
from odd_groups import HOSTILE, PLANTED_TOKEN, PLANTED_TURN, write_odd_groups
from rlvr.record import TokenDetails
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.views.web import Places
from viewers import client_of, served

PLACES = Places(run=RUN_ID)


@pytest.fixture(scope="session")
def odd(tmp_path_factory):
    """The run of odd groups."""
    return write_odd_groups(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="session")
def two(tmp_path_factory):
    """Two runs below one folder, whose settings differ, and the names of both."""
    folder = tmp_path_factory.mktemp("two")
    write_run(folder, steps=2, run="20260801-120000-aaaa")
    write_run(
        folder,
        steps=2,
        run="20260801-130000-bbbb",
        learns=False,
        sampling={"temperature": 0.3, "max_tokens": 48},
        system_prompt="Answer with retrieve.\nAnd think.",
    )
    return folder, "20260801-120000-aaaa", "20260801-130000-bbbb"


@pytest.fixture(scope="module")
def pages(odd):
    """A function from a URL to the text of its page, once nothing of it is awaited.

    The viewer is asked through a port: a client in the process decodes paths twice.
    """
    with served(odd) as viewer, httpx.Client(base_url=viewer.origin) as client:
        client.get(viewer.url, follow_redirects=True)
        yield asking(client)


def asking(client):
    def page(url, status=200):
        for _ in range(200):
            answer = client.get(url)
            text = answer.text
            if 'http-equiv="refresh"' not in text and "being counted" not in text:
                break
            time.sleep(0.02)
        assert answer.status_code == status, text
        return text

    return page


def plain(text):
    """What a person reads of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text))


def test_rollouts_come_in_any_order_with_their_exact_number_and_what_follows(demo):
    client = client_of(demo)
    client.get(f"/r/{RUN_ID}/rollouts")
    text = client.get(f"/r/{RUN_ID}/rollouts?order=reward&descending=0").text
    ids = re.findall(r'id="r-(train-[^"]*)"', text)
    run = open_run(demo)
    expected = run.index.page(order_by="reward").rows
    assert ids == [row["id"] for row in expected]
    assert len(ids) == run.index.count() == 48
    assert "48 rollouts" in plain(text)


def test_a_page_of_rollouts_leads_to_the_next_without_a_gap(tmp_path):
    folder = write_run(tmp_path, steps=8)
    client, seen = client_of(folder), []
    url = f"/r/{RUN_ID}/rollouts"
    while url:
        text = client.get(url).text
        seen += re.findall(r'id="r-(train-[^"]*)"', text)
        found = re.search(r'<a href="([^"]*)" data-key="l">', text)
        url = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 64


def test_a_wrong_expression_stands_beside_its_field_with_the_remedy(pages):
    text = pages(PLACES.of_rollouts(where="reward < banana"), 400)
    assert 'value="reward &lt; banana"' in text
    assert 'aria-invalid="true"' in text
    assert "nothing is named &#39;banana&#39;" in text
    assert "A text stands in single quotes" in text


def test_the_command_of_a_filter_is_quoted_for_a_shell(pages):
    text = pages(PLACES.of_rollouts(where="stop_reason = 'answered'"))
    assert "--where &#39;stop_reason = &#39;&#34;&#39;&#34;&#39;answered" in text


def test_a_step_says_which_share_gave_no_gradient_and_why(pages):
    text = plain(pages(PLACES.of_step(1)))
    assert "100% of 4 rollouts gave no gradient" in text
    assert "zero-variance group: all solved" in text
    assert "= flat, no signal" in text


def test_a_partial_group_and_rewards_that_are_none_show_as_such(pages):
    text = plain(pages(PLACES.of_step(0)))
    assert "1 partial" in text
    assert "3/4" in text
    assert "2 without a finite reward" in text
    assert "without a bar: 1 NaN, 1 not recorded" in text


def test_a_bar_opens_exactly_its_rollouts(pages):
    text = pages(PLACES.of_step(2))
    bars = re.findall(r'<a href="([^"]*)" aria-label="([^:]*): (\d+) rollout', text)
    assert bars
    for url, _, count in bars:
        assert f"{count} rollout" in plain(pages(url.replace("&amp;", "&")))
    assert sum(int(count) for *_, count in bars) == 4


def test_a_step_links_to_its_neighbours_and_to_the_same_step_in_evaluation(pages):
    text = pages(PLACES.of_step(2, split="train"))
    assert f'<a href="{PLACES.of_step(1, split="train")}" data-key="[">' in text
    assert f'<a href="{PLACES.of_step(3, split="train")}" data-key="]">' in text
    assert f'<a href="{PLACES.of_step(2, split="eval")}">' in text
    assert "nothing is learnt from it" in plain(pages(PLACES.of_step(2, split="eval")))


@pytest.mark.parametrize("step", ["7", "x", "99999999999999999999"])
def test_a_step_that_is_not_there_says_which_are(pages, step):
    text = plain(pages(f"/r/{RUN_ID}/s/{step}", 404))
    assert "the nearest is 3" in text or "is no step" in text


def test_a_divergence_is_marked_at_its_turn_and_its_token(pages):
    text = pages(PLACES.of_group("g2"))
    assert f'<tr id="turn-{PLANTED_TURN}" class="parting">' in text
    assert text.count('class="cell-parts" data-stop') == 3
    assert "1 turn that all have alike" in plain(text)
    id = "train-s000002-b000002-a00-r000-00001"
    url = PLACES.of_tokens(id, f"t{PLANTED_TOKEN}", at=f"0:{PLANTED_TOKEN}")
    assert f'href="{url}"' in text
    assert f"token {PLANTED_TOKEN}, turn 0: id 7" in plain(text)


def test_a_divergence_in_a_later_sequence_is_named_and_opens_there(tmp_path):
    whole = token_details(20).sequences[0]
    parted = replace(whole, ids=(*whole.ids[:9], 7, *whole.ids[10:]))
    rows = [
        trajectory(sample=at, group_id="g", tokens=TokenDetails(sequences=sequences))
        for at, sequences in enumerate([(whole, whole), (whole, parted), (whole,)])
    ]
    with Recorder.open(tmp_path, info=run_info(), run=RUN_ID) as recorder:
        recorder.record_batch(rows)
    client = client_of(tmp_path / "rlvr" / RUN_ID)
    ids = open_run(tmp_path).index.ids()
    page = client.get(PLACES.of_pair(ids[0], ids[1]))
    url = PLACES.of_tokens(ids[1], "s1t9", at="1:9")
    assert f'href="{url}">sequence 1, token 9, turn 0</a>: id 7' in page.text
    assert client.get(url).status_code == 200
    shorter = client.get(PLACES.of_pair(ids[0], ids[2])).text
    assert f'href="{PLACES.of_tokens(ids[2])}">sequence 1, token 0, turn 0</a>: the end' in shorter


def test_identical_siblings_say_so(pages):
    text = plain(pages(PLACES.of_group("g1")))
    assert "All 4 did the same, word for word" in text
    assert text.count("does the same as sample 0") == 3
    assert "parts here" not in text


def test_another_result_of_the_same_call_is_shown_with_whose_it_is(pages):
    text = plain(pages(PLACES.of_group("g3")))
    assert "the same call, 2 different results" in text
    assert "sample 1: another document" in text
    assert "but not the same came back to them" in text


def test_a_reward_or_an_advantage_that_does_not_follow_is_flagged(pages):
    text = plain(pages(PLACES.of_group("g3")))
    assert "0.500 ≠ 1.000" in text
    assert "+9.000 ≠ +" in text


def test_attempts_that_were_superseded_stay_open_to_view(pages):
    newest = pages(PLACES.of_group("g3"))
    older = PLACES.of_group("g3", split="train", step=3, attempt=0)
    assert older.replace("&", "&amp;") in newest
    assert "superseded: a newer attempt" not in plain(newest)
    assert "superseded: a newer attempt" in plain(pages(older))


def test_hostile_ids_round_trip_and_stay_inert(pages):
    group, example = PLACES.of_group(HOSTILE), PLACES.of_prompt(HOSTILE)
    assert unquote(group) == f"/r/{RUN_ID}/g/{HOSTILE}"
    for url in (group, example):
        text = pages(url)
        assert "<script>" not in text
        assert "\u202e" not in text
    step = pages(PLACES.of_step(0))
    assert f'href="{PLACES.of_group(HOSTILE, split="train", step=0)}"'.replace("&", "&amp;") in step
    assert "3 rollouts" in plain(pages(PLACES.of_rollouts(where=_example(HOSTILE))))


def _example(name):
    return "example = '" + name.replace("'", "''") + "'"


@pytest.mark.parametrize("id", ["%", "a%2Fb", "/", "a/", " x ", "\n", "ü", "g?x#y", "+"])
def test_any_id_reaches_its_page_as_it_is(pages, id):
    for url in (PLACES.of_group(id), PLACES.of_prompt(id)):
        text = pages(url, 404)
        assert "no group" in text or "no example" in text


def test_examples_are_listed_found_and_followed_with_intervals(pages):
    listed = plain(pages(PLACES.of_prompts()))
    assert "2 examples" in listed
    assert "1 example of 2" in plain(pages(PLACES.of_prompts(q="q0")))
    text = pages(PLACES.of_prompt("q0-0"))
    assert "3 visits" in plain(text)
    assert "4/4" in plain(text)
    assert 'class="whisker' in text
    visit = PLACES.of_group("g2", split="train", step=2)
    assert f'href="{visit}"'.replace("&", "&amp;") in text


def test_settings_stand_before_scores_and_say_what_differs(two):
    folder, a, b = two
    client = client_of(folder, only=False)
    for _ in range(100):
        text = client.get(f"/c?a={a}&b={b}").text
        if 'http-equiv="refresh"' not in text:
            break
    order = [
        text.index(f"<h3>{title}")
        for title in ("Chat template", "Tools", "Sampling", "Limits", "System prompt", "Packages",
                      "Repairs", "Trainer configuration")
    ]  # fmt: skip
    assert order == sorted(order)
    assert order[-1] < text.index("mean reward, train")
    assert "<code>1.0</code></td><td><code>0.3</code>" in text
    assert "B And think." in plain(text)
    assert "the account of" in plain(text)


def test_two_trajectories_of_one_run_or_of_two_stand_side_by_side(two):
    folder, a, b = two
    client = client_of(folder, only=False)
    first, second = (open_run(folder / "rlvr" / name).index.ids()[0] for name in (a, b))
    one_run = client.get(Places(run=a).of_pair(first, first.replace("-00000", "-00001")))
    assert one_run.status_code == 200
    assert "Siblings: both answer the same prompt" in one_run.text
    text = client.get(f"/c?a={a}:{first}&b={b}:{second}").text
    assert Places(run=b).of_trajectory(second) in text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("a={a}&b=nope", 404, "no run &#39;nope&#39;"),
        ("a={a}&b={b}:train-s000000-b000000-a00-r000-00000", 400, "a run and a trajectory"),
        ("a={a}:x&b={b}:y", 404, "no trajectory &#39;x&#39;"),
        ("a={a}", 200, "Compare two runs"),
    ],
)
def test_what_can_not_be_compared_says_why(two, query, status, said):
    folder, a, b = two
    answer = client_of(folder, only=False).get("/c?" + query.format(a=a, b=b))
    assert answer.status_code == status
    assert said in answer.text
