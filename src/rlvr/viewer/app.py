"""The web application: URLs to pages, pages to responses."""

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from rlvr.errors import ConfigurationError, RecordNotFound, RlvrError, RunNotFound
from rlvr.viewer.asked import Asked
from rlvr.viewer.desk import Desk
from rlvr.viewer.downloads import DOWNLOADS, file_name
from rlvr.viewer.guard import Guard, Rules
from rlvr.viewer.pages.compare import compare_page, compared
from rlvr.viewer.pages.contrast import contrast_page
from rlvr.viewer.pages.diagnosis import diagnosis_page, ledger_page
from rlvr.viewer.pages.group import group_page
from rlvr.viewer.pages.pair import pair_page
from rlvr.viewer.pages.prompts import prompt_page, prompts_page
from rlvr.viewer.pages.rewards import reward_members_page, rewards_page, rewards_picture
from rlvr.viewer.pages.rollouts import rollouts_page
from rlvr.viewer.pages.run import run_page, waiting
from rlvr.viewer.pages.runs import runs_page
from rlvr.viewer.pages.search import search_page
from rlvr.viewer.pages.step import step_page
from rlvr.viewer.pages.tokens import tokens_page
from rlvr.viewer.pages.tools import tool_members_page, tools_page, tools_picture
from rlvr.viewer.pages.trajectory import trajectory_page
from rlvr.viewer.served_runs import ServedRuns
from rlvr.viewer.sharing import SharedFile
from rlvr.views.plots import Picture, PlotFormat, picture_bytes
from rlvr.views.terminal.status import state_line
from rlvr.views.web import Crumb, Frame, Page, Places, render
from rlvr.views.web.assets import TYPES, asset

RunPage = Callable[[Desk, Asked], Page]
PageOfAll = Callable[[ServedRuns, Asked], Page]
RunsOfPage = Callable[[ServedRuns, Asked], Sequence[Desk]]
RunPicture = Callable[[Desk, Asked], Picture | None]

OF_A_RUN: dict[str, RunPage] = {
    "": run_page,
    "/diagnosis": diagnosis_page,
    "/ledger": ledger_page,
    "/t/{id}": trajectory_page,
    "/t/{id}/tokens": tokens_page,
    "/rollouts": rollouts_page,
    "/s/{step}": step_page,
    "/g/{group:any}": group_page,
    "/c": pair_page,
    "/p": prompts_page,
    "/p/{example:any}": prompt_page,
    "/rewards": rewards_page,
    "/rewards/rollouts": reward_members_page,
    "/contrast": contrast_page,
    "/tools": tools_page,
    "/tools/rollouts": tool_members_page,
}
"""The pages below /r/RUN. A part of a path that can hold a slash stands at its end, or before a
word that no name of ours has; it is written {name:any}."""

DRAWN: dict[str, RunPicture] = {
    "/rewards": rewards_picture,
    "/tools": tools_picture,
}
"""The pages below /r/RUN whose plots can be had as a file: the path with .svg or .png."""

OF_ALL: dict[str, PageOfAll] = {
    "/search": search_page,
    "/c": compare_page,
}
"""The pages of several runs."""

SHOWN: dict[str, RunsOfPage] = {
    "/c": compared,
}
"""Those of them that change with some runs alone, and with which."""


_PICTURES = {PlotFormat.SVG: "image/svg+xml", PlotFormat.PNG: "image/png"}


class _Any(StringConvertor):
    """Any text: ids may hold slashes and newlines."""

    regex = "(?s:.*)"


def build(runs: ServedRuns, rules: Rules) -> Guard:
    """The viewer of these runs as an ASGI application, guarded."""
    register_url_convertor("any", _Any())
    routes = [Route("/", _first(runs)), Route("/static/{name}", _static)]
    routes += [Route(path, _of_all(runs, path, page)) for path, page in OF_ALL.items()]
    routes += [
        Route(f"/r/{{run}}{path}", _of_run(runs, path, page)) for path, page in OF_A_RUN.items()
    ]
    routes += [
        Route(f"/r/{{run}}{path}.{form}", _drawn(runs, picture, form))
        for path, picture in DRAWN.items()
        for form in PlotFormat
    ]
    routes.append(Route("/{path:path}", _nowhere))
    return Guard(Starlette(routes=routes), rules)


def _first(runs: ServedRuns) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        if runs.single is not None:
            return RedirectResponse(runs.desk(runs.single).places.of_run(), 303)
        return _answered(request, None, (), lambda: runs_page(runs, _asked(request)))

    return answer


def _of_all(runs: ServedRuns, path: str, page: PageOfAll) -> Callable[[Request], Response]:
    shown = SHOWN.get(path)

    def answer(request: Request) -> Response:
        asked = _asked(request)
        try:
            desks = () if shown is None else shown(runs, asked)
        except RlvrError as error:
            return _responded(request, None, "", _told(error, None))
        return _answered(request, None, desks, lambda: page(runs, asked))

    return answer


def _of_run(runs: ServedRuns, path: str, page: RunPage) -> Callable[[Request], Response]:
    download = DOWNLOADS.get(path)

    def answer(request: Request) -> Response:
        try:
            desk = runs.desk(request.path_params["run"])
        except RlvrError as error:
            return _responded(request, None, "", _told(error, None))
        asked = _asked(request)
        if download is not None and asked.flag("export"):
            return _downloaded(request, desk, lambda: download(desk, asked))
        return _answered(request, desk, (desk,), lambda: page(desk, asked))

    return answer


def _drawn(
    runs: ServedRuns, picture: RunPicture, form: PlotFormat
) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        try:
            desk = runs.desk(request.path_params["run"])
            drawn = picture(desk, _asked(request))
        except RlvrError as error:
            return _responded(request, None, "", _told(error, None))
        if drawn is None:
            return _responded(request, desk, "", waiting(desk, "reading the run", tab=""))
        named = request.url.path.rpartition("/")[2]
        headers = {"content-disposition": f'attachment; filename="{named}"'}
        return Response(picture_bytes(drawn, form), 200, headers, _PICTURES[form])

    return answer


def _downloaded(
    request: Request, desk: Desk, download: Callable[[], tuple[str, SharedFile]]
) -> Response:
    """The file, to be saved; an error is a page."""
    try:
        name, shared = download()
    except RlvrError as error:
        return _responded(request, desk, "", _told(error, desk))
    except Exception:  # noqa: BLE001 - a fault of ours ends one page, not the viewer
        traceback.print_exc(file=sys.stderr)
        return _responded(request, desk, "", _broken(desk))
    headers = {"content-disposition": f'attachment; filename="{file_name(name)}.html"'}
    return Response(shared.text, 200, headers, "text/html; charset=utf-8")


def _nowhere(request: Request) -> Response:
    error = RecordNotFound("the viewer has no such page.")
    return _responded(request, None, "", _told(error, None))


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in TYPES:
        return _nowhere(request)
    return Response(asset(name), media_type=TYPES[name])


def _asked(request: Request) -> Asked:
    query = request.scope["query_string"].decode("latin-1")
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogatepass")
    return Asked(
        path={name: str(value) for name, value in request.path_params.items()}, query=dict(pairs)
    )


def _answered(
    request: Request, desk: Desk | None, shown: Sequence[Desk], page: Callable[[], Page]
) -> Response:
    """The page; one is not made again while the runs that it shows are unchanged, an error is a
    page that says what to do."""
    version = _etag(request, shown) if shown else ""
    if version and request.headers.get("if-none-match") == version:
        return Response(status_code=304, headers={"etag": version})
    try:
        return _responded(request, desk, version, page())
    except RlvrError as error:
        return _responded(request, desk, version, _told(error, desk))
    except Exception:  # noqa: BLE001 - a fault of ours ends one page, not the viewer
        traceback.print_exc(file=sys.stderr)
        return _responded(request, desk, version, _broken(desk))


def _responded(request: Request, desk: Desk | None, version: str, page: Page) -> Response:
    settled = page.status == 200 and page.refresh_s is None
    body = render(page, _frame(request, desk, version if settled else ""))
    headers = {"etag": version} if version and settled else {}
    return Response(body, page.status, headers, "text/html; charset=utf-8")


def _frame(request: Request, desk: Desk | None, version: str) -> Frame:
    from rlvr import __version__

    nonce: str = request.state.nonce
    if desk is None:
        return Frame(version=__version__, nonce=nonce, etag=version)
    return Frame(
        version=__version__,
        nonce=nonce,
        state=state_line(desk.run.status()),
        damaged=len(desk.run.damage_met),
        alike=tuple(_alike(request, desk)),
        etag=version,
    )


def _alike(request: Request, desk: Desk) -> Iterator[tuple[str, str]]:
    """The same page of the other runs of its id: a URL that was printed elsewhere names the id."""
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    rest = "".join(f"/{part}" for part in path.split("/")[3:])
    query = f"?{request.url.query}" if request.url.query else ""
    for name, place in desk.alike.items():
        yield f"{Places(run=name).of_run()}{rest}{query}", place


def _etag(request: Request, shown: Sequence[Desk]) -> str:
    """The state of the runs as this URL shows them, and of the answers that are still awaited."""
    states = " ".join(f"{desk.version()} {desk.answers.count} {[*desk.alike]}" for desk in shown)
    known = f"{request.url.path}?{request.url.query} {states}"
    return f'"{sha256(known.encode("utf-8", "surrogatepass")).hexdigest()[:20]}"'


def _told(error: RlvrError, desk: Desk | None) -> Page:
    missing = isinstance(error, RecordNotFound | RunNotFound)
    wrong = isinstance(error, ConfigurationError)
    status, title = (404, "not here") if missing else (400, "not a question") if wrong else (
        500, "can't be read"
    )  # fmt: skip
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return _message(desk, title, str(said), status)


def _broken(desk: Desk | None) -> Page:
    said = "rlvr failed on this page; the terminal in which `rlvr view` runs says how."
    return _message(desk, "a fault of rlvr", said, 500)


def _message(desk: Desk | None, title: str, said: str, status: int) -> Page:
    crumbs = (Crumb("runs", url="/"),) if desk is None else desk.crumbs
    values: dict[str, Any] = {"said": said, "remedy": ""}
    return Page(
        template="message.html",
        title=title,
        places=desk.places if desk else None,
        crumbs=crumbs,
        values=values,
        status=status,
    )
