"""Files for others in a real browser without a network: nothing runs, nothing loads, links land."""

import pytest

from browsing import chromium
from hostile import write_hostile_run
from rlvr.viewer.sharing import Options, records_file, report_file
from viewers import desk_of

WATCH = """
window.violated = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violated.push(`${event.effectiveDirective} ${event.blockedURI}`);
});
"""
DANGLING = """
[...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"))
  .filter((href) => !href.startsWith("#") || !document.getElementById(href.slice(1)))
"""
LANDED = "document.querySelector(':target').getBoundingClientRect().top"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return desk_of(write_hostile_run(tmp_path_factory.mktemp("hostile") / "run"))


@pytest.fixture(scope="module")
def files(hostile, tmp_path_factory):
    """The report on a run in which everything wants to act, and a group of it with its rollouts."""
    group = next(iter(hostile.run.trajectories(tokens=False))).group_id
    made = {
        "report": report_file(hostile, Options()),
        "group": records_file(hostile, [], {group: {}}, Options()),
    }
    folder = tmp_path_factory.mktemp("files")
    for name, shared in made.items():
        (folder / f"{name}.html").write_text(shared.text)
    return folder, made


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser):
    """Opens a file offline; returns the page and all that it asked for or complained of."""
    context = browser.new_context(offline=True)
    context.add_init_script(WATCH)

    def open_file(path):
        page, heard = context.new_page(), []
        page.on("request", lambda request: heard.append(request.url))
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.goto(path.as_uri())
        return page, heard

    yield open_file
    context.close()


@pytest.mark.parametrize("name", ["report", "group"])
def test_it_asks_for_nothing_runs_nothing_and_its_style_holds(files, opened, name):
    path = files[0] / f"{name}.html"
    page, heard = opened(path)
    page.mouse.move(200, 200)
    for key in ("j", "Tab", "Enter"):
        page.keyboard.press(key)
    assert heard == [path.as_uri()]
    assert page.evaluate("window.violated") == []
    assert page.evaluate("'acted' in window") is False
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.part')).borderTopWidth") == "3px"
    )
    assert page.evaluate(DANGLING) == []
    assert page.url.startswith(path.as_uri())


@pytest.mark.parametrize("name", ["report", "group"])
def test_every_element_is_one_of_ours(files, opened, name):
    page, _ = opened(files[0] / f"{name}.html")
    counted = "(names) => document.querySelectorAll(names).length"
    assert page.evaluate(counted, "img,iframe,object,embed,form,input,button,link,base,video") == 0
    assert page.evaluate(counted, "script") == 1
    assert page.evaluate("JSON.parse(document.getElementById('data').textContent).version") == 1
    assert page.evaluate(counted, "[style],[onload],[onerror],[onclick],[src],[srcset]") == 0


def test_the_evidence_that_is_cited_is_a_click_away(files, opened):
    page, _ = opened(files[0] / "group.html")
    page.click("#g1 a[href^='#r']")
    assert abs(page.evaluate(LANDED)) < 200
    assert "#r" in page.url
