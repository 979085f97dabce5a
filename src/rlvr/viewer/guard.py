"""Who may ask, and what a browser may do with an answer.

Loopback is not private: on a login node every user reaches it, and every page that a browser shows
can send requests to it. So a request must name a loopback host, come from the viewer's own pages or
from no page at all, and carry the viewer's token.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_CSP = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_UNCHANGED = 304
_HEADERS = (
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-cache, private"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Whom a viewer answers.

    `token` is its secret, None where the socket's own permissions keep others out. `hosts` are
    names beside those of loopback by which it may be called. `cookie` names the cookie that holds
    the token; it tells viewers on other ports apart, whose cookies a browser does not.
    """

    token: str | None
    cookie: str
    hosts: Collection[str] = field(default=())


def new_token() -> str:
    """A secret of 256 bits, as text for a URL."""
    return secrets.token_urlsafe(32)


class Guard:
    """The ASGI application behind it sees only requests that may be answered.

    Each gets a fresh nonce for the page's own style and script, in `scope["state"]["nonce"]`.
    """

    def __init__(self, app: App, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        nonce = secrets.token_urlsafe(16)
        scope = {**scope, "path": _path(scope), "state": {"nonce": nonce}}
        guarded = _with_headers(send, nonce)
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal.send(guarded)
        else:
            await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Mapping[bytes, str]) -> "_Reply | None":
        host = headers.get(b"host", "")
        if not self._is_ours(host):
            return _Reply(400, "the Host of this request is no name of this machine's loopback.")
        if scope["method"] not in ("GET", "HEAD"):
            return _Reply(405, "the viewer only shows; it takes GET and HEAD.")
        if _is_foreign(headers, host):
            return _Reply(403, "this request comes from another page than the viewer's own.")
        return self._without_token(scope, headers)

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and name in {*LOOPBACK, *self._rules.hosts}

    def _without_token(self, scope: Scope, headers: Mapping[bytes, str]) -> "_Reply | None":
        """What is said to a request that has not shown the token as a cookie; None: it has."""
        token = self._rules.token
        if token is None:
            return None
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in asked if name == "token"), None)
        if given is not None and _same(given, token):
            rest = urlencode([(name, value) for name, value in asked if name != "token"])
            path = _quoted(scope["path"])
            cookie = f"{self._rules.cookie}={token}; HttpOnly; SameSite=Strict; Path=/"
            place = f"{path}?{rest}" if rest else path
            return _Reply(303, "", (("location", place), ("set-cookie", cookie)))
        if _same(_cookie(headers.get(b"cookie", ""), self._rules.cookie), token):
            return None
        return _Reply(401, _ASKS_TOKEN, again=scope["path"])


_ASKS_TOKEN = (
    "this viewer answers its own user only. Open the address with ?token=... that `rlvr view`"
    " printed; the browser then stays signed in. If it is already, because you came here by a link"
    " from another site, open this page again:"
)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    said: str
    headers: tuple[tuple[str, str], ...] = ()
    again: str | None = None

    async def send(self, send: Send) -> None:
        link = ""
        if self.again is not None:
            link = f' <a href="{escape(_quoted(self.again))}">again</a>'
        body = f"<!doctype html><title>rlvr</title><p>rlvr: {escape(self.said)}{link}</p>".encode()
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in self.headers]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _quoted(path: str) -> str:
    """The path as a URL of this viewer: with one slash at its start, since two name a host."""
    return "/" + quote(path.lstrip("/"), safe="/~@:+,=", errors="surrogatepass")


def _path(scope: Scope) -> str:
    """The path as it was meant: an id may hold half a surrogate pair, which servers replace."""
    path: str = scope["path"]
    try:
        return unquote_to_bytes(scope["raw_path"]).decode("utf-8", "surrogatepass")
    except (KeyError, UnicodeDecodeError):
        return path


def _is_foreign(headers: Mapping[bytes, str], host: str) -> bool:
    """Whether another site's page sent it. A link that a person follows is none: it shows a page,
    to that person alone."""
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return True
    site = headers.get(b"sec-fetch-site", "none")
    followed = (
        headers.get(b"sec-fetch-mode") == "navigate"
        and headers.get(b"sec-fetch-dest") == "document"
    )
    return site not in ("none", "same-origin") and not followed


def _cookie(cookies: str, name: str) -> str:
    pairs = (pair.strip().partition("=") for pair in cookies.split(";"))
    return next((value for key, _, value in pairs if key == name), "")


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _with_headers(send: Send, nonce: str) -> Send:
    async def guarded(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = list(_HEADERS)
            # An unchanged page is shown as it was kept, with the nonces that it has: another policy
            # would leave it without its style.
            if message["status"] != _UNCHANGED:
                own.append((b"content-security-policy", _CSP.format(nonce=nonce).encode()))
            names = {name for name, _ in own}
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return guarded
