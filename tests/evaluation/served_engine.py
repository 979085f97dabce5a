"""A real HTTP server over an engine, which answers as an OpenAI-compatible server does."""

import asyncio
import contextlib
import http.server
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from openai import BadRequestError

HANG_S = 5.0


@dataclass
class Served:
    """What is served, and the chat requests that came.

    token_ids: whether the answers hold ids, as those of vLLM do. fault: what becomes of the n-th
    chat request, from 0: None to answer it, a status to refuse it with, "hang", or "close".
    """

    engine: Any
    model: str = "m"
    token_ids: bool = True
    fault: Any = lambda number, request: None
    asked: list[Any] = field(default_factory=list)
    url: str = ""

    def answer(self, request):
        """Status and document of a chat request."""
        options = {name: request.get(name) for name in ("messages", "tools", "temperature")}
        limit = request.get("max_completion_tokens")
        client = self.engine.client()
        try:
            done = asyncio.run(
                client.create(model=self.model, max_completion_tokens=limit, **options)
            )
        except BadRequestError as refused:
            return 400, {"error": {"message": str(refused)}}
        said = done.model_dump()
        if not self.token_ids:
            said.pop("prompt_token_ids")
            said["choices"][0].pop("token_ids")
        return 200, said


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def do_GET(self):
        self._say(200, {"object": "list", "data": [{"id": self.served.model, "object": "model"}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request["authorization"] = self.headers.get("Authorization")
        self.served.asked.append(request)
        became = self.served.fault(len(self.served.asked) - 1, request)
        if became in ("hang", "close"):
            time.sleep(HANG_S if became == "hang" else 0)
            self.close_connection = True
        elif became is not None:
            self._say(became, {"error": {"message": f"status {became} on purpose"}})
        else:
            self._say(*self.served.answer(request))

    def _say(self, status, document):
        text = json.dumps(document).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(served):
    """Serve on a free port of the loopback; `served.url` is the base URL."""
    handler = type("Handler", (_Handler,), {"served": served})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
