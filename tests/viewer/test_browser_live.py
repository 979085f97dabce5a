"""A run that is being recorded, followed in a real browser without losing place."""

from dataclasses import replace

import pytest

from browsing import chromium, until, visiting
from builders import batches, run_info
from rlvr.recorder import Recorder
from rlvr.views.web import Places
from viewers import served


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def recorder(tmp_path):
    info = run_info(run="20260801-120000-ab12")
    with Recorder.open(tmp_path / "live", info=info, run=info.run) as recorder:
        yield recorder


def record(recorder, steps):
    """Record these steps, and wait until they are on disk."""
    for step, batch in enumerate(batches(12)):
        if step in steps:
            recorder.record_batch([replace(one, run="20260801-120000-ab12") for one in batch])
    assert recorder.flush(30.0)


def test_a_run_that_grows_keeps_scroll_focus_and_open_parts(browser, recorder, tmp_path):
    record(recorder, range(8))
    places = Places(run="20260801-120000-ab12")
    folder = tmp_path / "live" / "rlvr" / places.run
    viewing = served(folder)
    with viewing as viewer, visiting(browser, viewer) as visits:
        page = visits.page
        page.set_viewport_size({"width": 1000, "height": 400})
        visits.go(places.of_run())
        page.wait_for_selector("#steps")
        page.locator("details > summary", has_text="all settings").click()
        row = page.locator("#steps tbody tr").nth(5)
        row.locator("a").first.focus()
        row.scroll_into_view_if_needed()
        row.evaluate("row => row.classList.add('here')")
        before = row.evaluate("row => [scrollY, row.getBoundingClientRect().top]")
        record(recorder, range(8, 10))
        page.wait_for_selector("button.fresh")
        assert page.locator("button.fresh").inner_text() == "show 2 new rows"
        assert "step 9" in page.locator("#reward").inner_html()  # what stands in its place moved on
        assert row.evaluate("row => row.classList.contains('here')")
        after = row.evaluate("row => [scrollY, row.getBoundingClientRect().top]")
        assert after[1] == pytest.approx(before[1], abs=60)  # the button's own height
        focused = "document.activeElement.closest('tr')?.id"
        assert page.evaluate(focused) == "s2-train"
        page.locator("button.fresh").evaluate("button => button.click()")
        until(page, "document.querySelectorAll('#steps tbody tr').length === 10")
        assert page.evaluate(focused) == "s2-train"  # the rows that came stand above it
        assert page.locator("details[open] > summary", has_text="all settings").count() == 1
        assert visits.misdeeds == []


def test_a_hidden_page_asks_for_nothing(browser, recorder, tmp_path):
    record(recorder, range(2))
    places = Places(run="20260801-120000-ab12")
    viewing = served(tmp_path / "live" / "rlvr" / places.run)
    with viewing as viewer, visiting(browser, viewer) as visits:
        visits.go(places.of_run())
        asked = []
        visits.page.evaluate(
            "Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })"
        )
        visits.page.on("request", lambda request: asked.append(request.url))
        visits.page.wait_for_timeout(3_500)
        assert asked == []
        visits.page.evaluate("delete document.hidden")
        visits.page.wait_for_event("request", timeout=5_000)
