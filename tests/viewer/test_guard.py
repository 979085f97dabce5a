"""Whom the viewer answers: its own user, by a name of this machine, from its own pages."""

import socket
import stat

import httpx
import pytest
from starlette.testclient import TestClient

from rlvr.errors import ConfigurationError
from rlvr.runs import open_run
from rlvr.viewer.guard import new_token
from rlvr.viewer.serving import Listening, bind
from viewers import COOKIE, TOKEN, client_of, served, served_at, viewer_of


@pytest.fixture
def stranger(demo):
    """A client that has no token."""
    return TestClient(viewer_of(demo), base_url="http://localhost")


def path_of(demo):
    return f"/r/{open_run(demo).id}"


def test_without_the_token_no_page_and_no_file_is_given(stranger, demo):
    for path in ("/", path_of(demo), "/static/view.js", "/nowhere"):
        answer = stranger.get(path)
        assert answer.status_code == 401
        assert open_run(demo).id not in answer.text.replace(path, "")


@pytest.mark.parametrize("token", ["", "of-a-tes", "of-a-testx", "OF-A-TEST", "ä", "\x00"])
def test_a_wrong_token_is_refused(stranger, token):
    assert stranger.get("/", params={"token": token}).status_code == 401
    stranger.cookies.set(COOKIE, token.encode("ascii", "ignore").decode())
    assert stranger.get("/").status_code == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(stranger, demo):
    path = path_of(demo)
    answer = stranger.get(f"{path}?steps=all&token={TOKEN}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{path}?steps=all"  # the token leaves the address
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert stranger.get(answer.headers["location"]).status_code == 200


def test_a_token_never_leads_to_another_site(stranger):
    url = f"http://localhost//evil.example/x?token={TOKEN}"
    answer = stranger.get(url, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/evil.example/x"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "", "[::1"],
)
def test_a_foreign_host_gets_400(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:1", "[::1]:8421", "LOCALHOST"])
def test_a_forwarded_port_works(client, host):
    answer = client.get("/", headers={"Host": host, "Cookie": f"{COOKIE}={TOKEN}"})
    assert answer.status_code == 200


def test_further_names_are_allowed_when_said(demo):
    client = TestClient(
        viewer_of(demo, hosts=("login7",)), base_url="http://login7", cookies={COOKIE: TOKEN}
    )
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_what_another_page_sends_gets_403(client, headers):
    assert client.get("/", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        },
    ],
)
def test_a_persons_own_visit_is_answered(client, headers):
    assert client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_taken(client, method):
    assert client.request(method, "/").status_code == 405


def test_every_answer_forbids_what_a_page_does_not_need(client, demo):
    nonces = set()
    for path in ("/", path_of(demo), "/static/view.css", "/nowhere", "/r/nobody"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'nonce-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        nonces.add(policy.split("'nonce-")[1].split("'")[0])
    assert len(nonces) == 5  # never the same twice


def test_no_address_that_other_machines_reach_is_taken_unasked():
    with pytest.raises(ConfigurationError, match="--remote"):
        bind(Listening(host="0.0.0.0", port=0))
    bound = bind(Listening(host="0.0.0.0", port=0, remote=True))
    bound.socket.close()
    assert bound.rules.token is not None


def test_a_taken_port_says_so_and_the_default_moves_on():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="--port"):
            bind(Listening(port=taken.getsockname()[1]))
    first, second = bind(Listening()), bind(Listening())
    first.socket.close()
    second.socket.close()
    assert first.port != second.port


def test_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) >= 43 for token in tokens)


def test_a_unix_socket_is_its_users_alone_and_needs_no_token(demo, tmp_path):
    path = tmp_path / "viewer.sock"
    bound = bind(Listening(unix_socket=path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    through = httpx.HTTPTransport(uds=str(path))
    with served_at(demo, bound), httpx.Client(transport=through) as client:
        assert client.get("http://localhost/r/" + open_run(demo).id).status_code == 200
    with pytest.raises(ConfigurationError, match="remove what is there"):
        bind(Listening(unix_socket=path))


def test_the_real_server_says_nothing_of_itself(demo):
    with served(demo) as viewer, httpx.Client(follow_redirects=True) as client:
        answer = client.get(viewer.url)
        assert answer.status_code == 200
        assert "server" not in answer.headers


def test_an_unchanged_page_is_not_sent_again(demo):
    client = client_of(demo)
    while "being judged" in client.get(path_of(demo)).text:
        pass
    first = client.get(path_of(demo))
    again = client.get(path_of(demo), headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.text) == (304, "")


def test_an_unchanged_page_keeps_the_policy_whose_nonces_it_has(client, demo):
    url = f"/r/{open_run(demo).id}/t/train-s000000-b000000-a00-r000-00000"
    first = client.get(url)
    again = client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert "content-security-policy" in first.headers
    assert "content-security-policy" not in again.headers


def test_a_page_does_not_wait_for_more_to_send():
    """asyncio sends at once only on sockets that are named as TCP; on others a page takes 40 ms."""
    bound = bind(Listening(port=0))
    bound.socket.close()
    assert bound.socket.proto == socket.IPPROTO_TCP
