"""`/r/RUN/contrast`: what `rlvr contrast` says, each difference with rollouts that show it."""

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from builders import RUN_ID, write_run
from rlvr.questions.contrasting import Wanted, contrast_run
from rlvr.record import Mode
from rlvr.runs import open_run
from rlvr.views.web import Places
from viewers import client_of

AT = f"/r/{RUN_ID}/contrast"
PLACES = Places(run=RUN_ID)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("contrast") / "run", steps=12)


@pytest.fixture(scope="module")
def found(folder):
    """What the command compares."""
    return contrast_run(open_run(folder), Wanted(mode=Mode.TRAIN))


@pytest.fixture
def page(folder):
    """The text of a page, once its answer is there."""
    client = client_of(folder)

    def read(query="", status=200):
        for _ in range(100):
            answer = client.get(AT + query)
            if 'http-equiv="refresh"' not in answer.text:
                assert answer.status_code == status
                return answer.text
        raise AssertionError("it is awaited for ever")

    return read


def test_every_feature_stands_with_the_numbers_of_the_command(page, found):
    text = page("?all=1")
    effects = found.found.effects
    assert effects
    rows = re.findall(r'id="feature-\d+"><th scope="row">(.*?)(?: <span|</th>)', text)
    assert list(map(html.unescape, rows)) == [one.feature.name for one in effects]
    surviving = len(found.found.surviving)
    assert f"{surviving} of {len(effects)} features differ" in text
    assert f"{found.read_rollouts} rollouts of {found.read_steps} steps" in text


def test_each_difference_opens_a_success_and_a_failure_of_one_group(page, found, folder):
    text = page("?all=1")
    run = open_run(folder)
    shown = re.findall(r'<a href="([^"]+)" data-key="c">both</a>', text)
    assert len(shown) == len(found.shown_by)
    assert shown
    client = client_of(folder)
    for url in shown:
        ids = parse_qs(urlsplit(html.unescape(url)).query)
        won, lost = (run.trajectory(ids[side][0]) for side in "ab")
        assert won.group_id == lost.group_id
        assert found.measure.component is None or (
            won.component(found.measure.component).value
            > lost.component(found.measure.component).value
        )
        assert client.get(html.unescape(url)).status_code == 200


def test_typical_pairs_lead_to_the_turn_that_differs(page, found):
    text = page()
    assert text.count("A typical pair") == len(found.pairs) > 0
    pair = next(one for one in found.pairs if one.first_difference is not None)
    action = pair.rows[pair.first_difference].left
    url = PLACES.of_trajectory(pair.success.id, f"turn{action.turn}", turn=action.turn)
    assert f'href="{url}">turn {action.turn}</a>' in text
    assert text.count("they part") == sum(one.first_difference is not None for one in found.pairs)


def test_the_number_of_rollouts_opens_as_many(page, found, folder):
    url = re.search(r'rollouts</dt><dd><a href="([^"]+)">(\d+) rollouts', page("?steps=2:5"))
    where = parse_qs(urlsplit(html.unescape(url[1])).query)["where"][0]
    assert open_run(folder).index.count(where) == int(url[2]) < found.rollouts


def test_it_asks_of_what_passes_and_of_another_success(page, folder):
    text = page("?steps=2:9&component=reward&threshold=0.5")
    expected = contrast_run(
        open_run(folder), Wanted(steps=range(2, 10), component="reward", threshold=0.5)
    )
    assert f"{expected.rollouts} rollouts" in text
    assert "at least 0.500" in text
    assert "--steps 2:9 --component reward --threshold 0.5" in text


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("?component=nobody", 400, "nobody"),
        ("?threshold=high", 400, "write a number such as 0.5"),
        ("?threshold=nan", 400, "write a number such as 0.5"),
        ("?where=reward+%3E+9000", 200, "has no train rollouts that pass"),
        ("?threshold=9000", 200, "No group has both successes and failures"),
    ],
)
def test_what_can_not_be_compared_says_why(page, query, status, said):
    assert said in html.unescape(page(query, status))


def test_it_is_linked_from_the_run_and_its_rewards(folder):
    client = client_of(folder)
    for at in (PLACES.of_run(), PLACES.of_rewards()):
        for _ in range(100):
            text = client.get(at).text
            if 'http-equiv="refresh"' not in text:
                break
        main = text.partition("<main")[2]
        assert f'href="{AT}' in main
