"""Every page in a real browser: without JavaScript, by keyboard, and for assistive tools."""

import re
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from browsing import chromium, until, visiting
from rlvr.cli.opening import sample_folder
from rlvr.runs import open_run
from rlvr.views.web import Places
from viewers import served

DOCS = Path(__file__).parents[2] / "docs" / "view.md"
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def viewer():
    """The bundled runs, both."""
    with served(sample_folder(), only=False) as viewer:
        yield viewer


def sample(name):
    return open_run(sample_folder() / name)


def pages():
    """A page of each kind by its name."""
    upstream, repaired = sample("upstream"), sample("repaired")
    places = Places(run=upstream.id)
    first = next(iter(upstream.trajectories(step=3, tokens=False)))
    detailed = next(one for one in upstream.trajectories() if one.tokens)
    return {
        "runs": "/",
        "run": places.of_run(),
        "rollouts": places.of_rollouts(),
        "step": places.of_step(3),
        "group": places.of_group(first.group_id),
        "trajectory": places.of_trajectory(first.id),
        "tokens": places.of_tokens(detailed.id),
        "no tokens": places.of_tokens(first.id),
        "rewards": places.of_rewards(),
        "contrast": places.of_contrast(),
        "tools": places.of_tools(),
        "prompts": places.of_prompts(),
        "prompt": places.of_prompt(first.example_id),
        "diagnosis": places.of_diagnosis(),
        "search": places.of_search(q="born"),
        "comparison": places.of_comparison(repaired.id),
        "nothing": "/nowhere",
        "no rollouts": places.of_rollouts(where="step > 9000"),
        "nothing to contrast": places.of_contrast(where="reward > 9000"),
        "wrong": places.of_rollouts(where="rewrd > 1"),
    }


PAGES = pages()


def opened(visits, name):
    """The page, once what it awaits is there."""
    visits.go(PAGES[name])
    while visits.page.locator("meta[http-equiv=refresh]").count():
        visits.page.wait_for_timeout(200)
        visits.go(PAGES[name])
    return visits.page


def test_nothing_serious_stands_in_the_way_of_assistive_tools(browser, viewer):
    """By axe's rules in one theme, and by those of contrast in the other."""
    contrast = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    with visiting(browser, viewer, color_scheme="light") as visits:
        for name in PAGES:
            page = opened(visits, name)
            found = Axe().run(page).response["violations"]
            page.emulate_media(color_scheme="dark")
            found += Axe().run(page, options=contrast).response["violations"]
            page.emulate_media(color_scheme="light")
            serious = [
                (one["id"], one["nodes"][0]["target"], one["nodes"][0]["failureSummary"])
                for one in found
                if one["impact"] in SERIOUS
            ]
            assert not serious, (name, serious)
        assert visits.misdeeds == []


def test_every_page_is_readable_without_javascript(browser, viewer):
    with visiting(browser, viewer) as visits:
        with_script = {name: text_of(opened(visits, name)) for name in PAGES}
    with visiting(browser, viewer, java_script_enabled=False) as visits:
        for name, expected in with_script.items():
            visits.page.goto(viewer.origin + PAGES[name])
            shown = text_of(visits.page)
            assert len(shown) >= 0.9 * len(expected), name
            assert visits.page.locator("h1").count() == 1, name
            for button in visits.page.locator("[data-act]").all():
                assert not button.is_visible()  # it would do nothing


def text_of(page):
    return page.locator("main").inner_text()


def is_at(visits, path):
    """Whether the browser is at that path, whatever the URL says after it."""
    whole = visits.origin + path
    return visits.page.url.startswith(whole) and visits.page.url[len(whole) :][:1] in ("", "?", "#")


def press(visits, *keys, leads_to=None):
    """Press keys; where they lead to, once one is there."""
    for key in keys:
        visits.page.keyboard.press(key)
    last = time.monotonic() + 15
    while leads_to is not None and not is_at(visits, leads_to):
        assert time.monotonic() < last, (keys, visits.page.url, leads_to)
        visits.page.wait_for_timeout(50)
    visits.page.wait_for_load_state()


def test_a_run_is_read_by_keyboard_alone(browser, viewer):
    run = sample("upstream")
    places = Places(run=run.id)
    step = list(run.trajectories(step=3, tokens=False))
    first, second = step[0], step[1]
    with visiting(browser, viewer) as visits:
        visits.go("/")
        press(visits, "j")
        focused = visits.page.evaluate("document.activeElement.getAttribute('href')")
        press(visits, "Enter", leads_to=focused)
        opened(visits, "group")
        press(visits, "j")
        assert visits.page.locator(".here").count() == 1
        opened(visits, "trajectory")
        press(visits, "t", leads_to=places.of_tokens(first.id))
        opened(visits, "trajectory")
        press(visits, "J", leads_to=places.of_trajectory(second.id))
        press(visits, "K", leads_to=places.of_trajectory(first.id))
        press(visits, "c", leads_to=f"/r/{run.id}/c")
        assert visits.page.locator("h1").inner_text() == "Two trajectories"
        opened(visits, "group")
        following = visits.page.locator("[data-key=']']").get_attribute("href")
        press(visits, "]", leads_to=following.partition("?")[0])
        assert "step 4" in visits.page.locator("h1").inner_text()
        press(visits, "c", leads_to=f"/r/{run.id}/c")
        opened(visits, "trajectory")
        press(visits, "g", "s", leads_to=f"/r/{run.id}/s/3")
        press(visits, "]", leads_to=f"/r/{run.id}/s/4")
        press(visits, "[", leads_to=f"/r/{run.id}/s/3")
        press(visits, "g", "d", leads_to=places.of_diagnosis())
        opened(visits, "diagnosis")
        press(visits, "n")
        assert visits.page.locator("[data-stop].here").count() == 1
        press(visits, "g", "o", leads_to=places.of_run())
        press(visits, "n")
        assert visits.page.locator("[data-stop].here").count() == 1
        press(visits, "c", leads_to="/c")
        opened(visits, "run")
        press(visits, "/")
        assert visits.page.evaluate("document.activeElement.id") == "find"
        visits.page.keyboard.type("born")
        press(visits, "Enter", leads_to="/search")
        opened(visits, "run")
        press(visits, "?")
        assert visits.page.locator("#keys").is_visible()
        press(visits, "Escape")
        assert visits.misdeeds == []


def test_the_help_names_the_keys_that_the_documentation_has(browser, viewer):
    table = DOCS.read_text().partition("## Keys")[2].partition("\n\nEvery page")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {key for cell in cells for key in re.findall("`([^`]+)`", cell)}
    with visiting(browser, viewer) as visits:
        opened(visits, "run")
        press(visits, "?")
        shown = visits.page.locator("#keys kbd").all_inner_texts()
    keys = {one for said in shown for one in ([said] if said.startswith("g ") else said.split())}
    assert keys == documented


def test_what_is_typed_into_a_field_is_no_key(browser, viewer):
    with visiting(browser, viewer) as visits:
        opened(visits, "trajectory")
        before = visits.page.url
        visits.page.locator("#find").focus()
        visits.page.keyboard.type("tJg d?")
        assert visits.page.url == before
        assert visits.page.locator("#find").input_value() == "tJg d?"


def test_the_link_that_is_copied_opens_where_the_reader_was(browser, viewer):
    with visiting(browser, viewer, permissions=["clipboard-read", "clipboard-write"]) as visits:
        page = opened(visits, "trajectory")
        for key in ("j", "j", "j", "y"):
            page.keyboard.press(key)
        until(page, "document.getElementById('toast').textContent === 'copied'")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(viewer.origin)
        assert "#" in copied
        page.goto(copied)
        assert page.locator(":target").count() == 1
