"""A real browser (Debian's chromium) for tests, which notes all that a page should never do."""

import contextlib
import time
from dataclasses import dataclass, field

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"

_WATCH = """
window.violated = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violated.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass
class Visits:
    """What a person does, and `misdeeds`: all that pages did and should not have."""

    page: object
    origin: str
    misdeeds: list = field(default_factory=list)

    def go(self, path):
        """Open a page of the viewer, and look at what it did."""
        answer = self.page.goto(self.origin + path)
        self.look(path)
        return answer

    def look(self, path=""):
        """Note what the page that is open did so far."""
        if self.page.evaluate("'acted' in window"):
            self.misdeeds.append(f"{path}: a payload ran")
        for said in self.page.evaluate("window.violated ?? []"):
            self.misdeeds.append(f"{path}: the policy stopped {said}")


def until(page, expression, *, within_s=20.0):
    """Wait for something to hold in a page: from outside, since its policy forbids `eval`."""
    last = time.monotonic() + within_s
    while not page.evaluate(expression):
        assert time.monotonic() < last, expression
        page.wait_for_timeout(50)


@contextlib.contextmanager
def chromium():
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visiting(browser, viewer, *, sign_in=True, **settings):
    """A person at a viewer, signed in."""
    settings = {"viewport": {"width": 1300, "height": 800}, **settings}
    context = browser.new_context(**settings)
    context.set_default_timeout(20_000)
    context.add_init_script(_WATCH)
    page = context.new_page()
    visits = Visits(page=page, origin=viewer.origin)
    note = visits.misdeeds.append

    def only_ours(route):
        if route.request.url.startswith(viewer.origin + "/"):
            route.continue_()
        else:
            note(f"a request to {route.request.url}")
            route.abort()

    context.route("**/*", only_ours)
    page.on("dialog", lambda dialog: (note(f"a dialog: {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda popup: note(f"a window: {popup.url}"))
    page.on("pageerror", lambda error: note(f"an error of the page: {error}"))
    page.on("download", lambda download: note(f"a download: {download.url}"))
    try:
        if sign_in:
            page.goto(viewer.url)
        yield visits
    finally:
        context.close()
