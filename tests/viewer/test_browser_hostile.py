"""A hostile run in a real browser: nothing that a model wrote ever runs, loads, or leads away."""

import pytest

from browsing import chromium, until, visiting
from hostile import write_hostile_run
from rlvr.runs import open_run
from rlvr.views.web import Places
from viewers import served


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_hostile_run(tmp_path_factory.mktemp("hostile") / "run")


@pytest.fixture(scope="module")
def visits(folder):
    with chromium() as browser, served(folder) as viewer, visiting(browser, viewer) as visits:
        yield visits


def paths_of(folder):
    """A page of each kind, and the pages of some names that are payloads."""
    run = open_run(folder)
    places = Places(run=run.id)
    rollouts = list(run.trajectories(tokens=False))
    first = rollouts[0]
    yield "/"
    yield from (
        places.of_run(),
        places.of_rollouts(),
        places.of_rollouts(where=f"stop_reason = '{first.stop_reason}'"),
        places.of_rollouts(where=first.stop_reason),
        places.of_step(0),
        places.of_contrast(),
        places.of_contrast(component=first.stop_reason),
        places.of_tools(),
        places.of_rewards(),
        places.of_prompts(),
        places.of_diagnosis(),
        places.of_search(q="window.acted"),
        places.of_search(q=first.stop_reason),
        places.of_trajectory(first.id),
        places.of_tokens(first.id),
    )
    for rollout in rollouts[:: len(rollouts) // 6]:
        yield places.of_group(rollout.group_id)
        yield places.of_prompt(rollout.example_id)
        yield places.of_trajectory(rollout.id)


def test_no_payload_acts_on_any_page_nor_by_any_key_or_pointer(visits, folder):
    for path in paths_of(folder):
        answer = visits.go(path)
        assert answer.status in (200, 400), path  # 400: a payload is no question
        for key in ("j", "j", "k", "n", "p", "?", "Escape"):
            visits.page.keyboard.press(key)
        visits.page.evaluate("document.querySelectorAll('details').forEach(d => (d.open = true))")
        visits.page.mouse.move(300, 300)
        visits.look(path)
    assert visits.misdeeds == []


def test_a_policy_violation_would_be_seen(visits, folder):
    """The test above can fail: what it looks for is noticed when it is done."""
    visits.go("/")
    visits.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"http://elsewhere.invalid/\">')"
    )
    until(visits.page, "window.violated.length > 0")
    visits.look("/")
    assert visits.misdeeds
    visits.misdeeds.clear()
