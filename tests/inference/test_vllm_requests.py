"""Requests to a server that answers like vLLM, refuses, hangs or is gone."""

import asyncio
import contextlib
import http.server
import json
import threading
import time

import pytest
import torch

from rlvr.errors import ConfigurationError, InferenceError
from rlvr.inference.vllm import VllmAdapter, VllmFiles, VllmSampler
from rlvr.inference.vllm_server import VllmServer
from rlvr.trainers.parameter_names import checkpoint_names, sent_names, tied_names
from trainings import tiny_policy

pytestmark = pytest.mark.train

MESSAGES = [{"role": "user", "content": "Say 1."}]
NO_PARSER = {"error": {"message": '"auto" tool choice requires --enable-auto-tool-choice'}}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "prompt_token_ids": [1],
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "1"}}
    ],
}
GOOD = {
    "GET /health": (200, None),
    "GET /v1/models": (200, {"data": [{"id": "m", "max_model_len": 64}]}),
    "GET /server_info?config_format=json": (
        200,
        {
            "vllm_config": {
                "model_config": {"logprobs_mode": "raw_logprobs", "hf_overrides": {}},
                "device_config": {"device": "cpu"},
            }
        },
    ),
    "POST /v1/chat/completions": (200, COMPLETION),
    "POST /collective_rpc": (200, {"results": [None]}),
    "POST /reset_prefix_cache": (200, {"success": True}),
    "POST /v1/load_lora_adapter": (200, "Success"),
}


@contextlib.contextmanager
def serving(answers, *, pause_s=0.0):
    """A server with these answers, by method and path; (requests it got, its address)."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.path, json.loads(body) if body else None))
            time.sleep(pause_s)
            status, said = answers.get(f"{self.command} {self.path}", (404, {"detail": "no"}))
            text = b"" if said is None else json.dumps(said).encode()
            with contextlib.suppress(BrokenPipeError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        def do_GET(self):
            self.answer()

        def do_POST(self):
            self.answer()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield asked, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sampler_at(url, **options):
    chosen = {"model": "m", "longest": 64, "start_timeout_s": 0.0}
    return VllmSampler(server=VllmServer(url=url, request_timeout_s=5), **(chosen | options))


async def ask(client, count=1):
    """The outcome of `count` requests at once: the first error cancels the others."""
    async with client:
        create = client.chat.completions.create
        tasks = [create(model="m", messages=MESSAGES) for _ in range(count)]
        return await asyncio.gather(*tasks)


def test_a_server_that_is_gone_is_an_error_of_ours_after_three_tries():
    client = VllmServer(url="http://127.0.0.1:1").client()
    began = time.monotonic()
    with pytest.raises(InferenceError, match=r"127\.0\.0\.1:1 does not answer"):
        asyncio.run(ask(client, count=8))
    assert time.monotonic() - began >= 1.5


def test_a_server_that_hangs_is_asked_once_and_given_up_in_time():
    with serving(GOOD, pause_s=2.0) as (asked, url):
        client = VllmServer(url=url, request_timeout_s=0.5).client()
        with pytest.raises(InferenceError, match=r"within 0\.5 s.*--request-timeout"):
            asyncio.run(ask(client))
    assert len(asked) == 1


@pytest.mark.parametrize("status", [404, 500, 503])
def test_what_a_failing_server_says_is_in_the_error(status):
    failing = {"POST /v1/chat/completions": (status, {"error": {"message": "EngineCore died"}})}
    expected = pytest.raises(InferenceError, match=f"status {status}: EngineCore died")
    with serving(failing) as (_, url), expected:
        asyncio.run(ask(VllmServer(url=url).client()))


def test_weights_are_loaded_from_the_folder_and_the_cache_is_emptied_after(tmp_path):
    with serving(GOOD) as (asked, url):
        engine = VllmFiles(sampler=sampler_at(url), folder=tmp_path)
        engine.init_communicator()
        del asked[:]
        engine.update_named_param("w", torch.ones(2))
        engine.reset_prefix_cache()
    (load, order), (reset, _) = asked
    assert (load, reset) == ("/collective_rpc", "/reset_prefix_cache")
    assert order["method"] == "reload_weights"
    assert order["kwargs"]["weights_path"].startswith(str(tmp_path))


def test_a_cache_that_requests_hold_is_emptied_when_they_let_go(tmp_path):
    held = GOOD | {"POST /reset_prefix_cache": (200, {"success": False})}
    with serving(held) as (_, url):
        engine = VllmFiles(sampler=sampler_at(url), folder=tmp_path, cache_timeout_s=0.3)
        engine.update_named_param("w", torch.ones(2))
        with pytest.raises(InferenceError, match="would go on from the old weights"):
            engine.reset_prefix_cache()


def test_refused_weights_are_an_error_with_the_servers_reason(tmp_path):
    refusing = GOOD | {"POST /collective_rpc": (500, {"error": {"message": "no such tensor"}})}
    with serving(refusing) as (_, url):
        engine = VllmFiles(sampler=sampler_at(url), folder=tmp_path)
        engine.update_named_param("w", torch.ones(2))
        with pytest.raises(InferenceError, match=r"did not reach the sampler.*no such tensor"):
            engine.reset_prefix_cache()
    assert not list(tmp_path.glob("*/unfinished"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"GET /v1/models": (200, {"data": [{"id": "n"}]})}, "--served-model-name m"),
        (
            {"GET /v1/models": (200, {"data": [{"id": "m", "max_model_len": 8}]})},
            "--max-model-len 64",
        ),
        ({"POST /collective_rpc": (404, None)}, "VLLM_SERVER_DEV_MODE=1"),
        (
            {
                "POST /v1/chat/completions": (
                    400,
                    {"error": {"message": "--enable-auto-tool-choice"}},
                )
            },
            "does not parse tool calls",
        ),
        (
            {"POST /v1/chat/completions": (200, COMPLETION | {"prompt_token_ids": None})},
            "hold no token ids",
        ),
    ],
)
def test_a_server_started_otherwise_than_training_needs_is_told_how(tmp_path, changed, said):
    with serving(GOOD | changed) as (_, url):
        engine = VllmFiles(sampler=sampler_at(url, tools=True), folder=tmp_path)
        with pytest.raises(ConfigurationError, match=said):
            engine.init_communicator()


def test_logprobs_before_temperature_and_tied_weights_on_a_cpu_are_refused(tmp_path):
    with serving(GOOD) as (_, url):
        warm = VllmFiles(sampler=sampler_at(url, temperature=0.7), folder=tmp_path)
        with pytest.raises(ConfigurationError, match="--logprobs-mode processed_logprobs"):
            warm.init_communicator()
        tied = VllmFiles(sampler=sampler_at(url), folder=tmp_path, tied={"head": "embedding"})
        with pytest.raises(ConfigurationError, match="tie_word_embeddings"):
            tied.init_communicator()


def test_an_adapter_is_loaded_in_place_from_a_new_folder_each_time(tmp_path):
    with serving(GOOD) as (asked, url):
        engine = VllmAdapter(sampler=sampler_at(url), folder=tmp_path)
        engine.init_communicator()
        del asked[:]
        for _ in range(2):
            engine.update_adapter({"a": torch.ones(1)}, {"r": 1})
    loads = [body for path, body in asked if path == "/v1/load_lora_adapter"]
    assert [body["load_inplace"] for body in loads] == [True, True]
    assert loads[0]["lora_path"] != loads[1]["lora_path"]
    assert [path for path, _ in asked].count("/reset_prefix_cache") == 2


def test_names_are_those_of_the_checkpoint_and_tied_ones_are_known(tmp_path):
    model, _ = tiny_policy()
    model.save_pretrained(tmp_path)
    assert sent_names(model) == checkpoint_names(str(tmp_path))
    assert tied_names(model) == {"lm_head.weight": "model.embed_tokens.weight"}
    assert checkpoint_names("no/such-model") is None
