"""Requests to a vLLM server, whose failures say what happened and what to do."""

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr.errors import ConfigurationError, InferenceError

if TYPE_CHECKING:
    from rlvr.inference.vllm_client import VllmClient

__all__ = ["PROBE_TOOL", "REQUEST_TIMEOUT_S", "VllmServer"]

PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": "probe",
        "description": "Does nothing.",
        "parameters": {"type": "object", "properties": {}},
    },
}
"""What a server is asked with to find out whether it takes tools at all."""

REQUEST_TIMEOUT_S = 300.0
_RETRY_S = 1.0
_PROBE_S = 10.0
_CONFIG_S = 60.0  # the first such answer takes long: the server looks its whole machine over
_NOT_FOUND = 404
_DEV_MODE = "start the server with VLLM_SERVER_DEV_MODE=1 in its environment"
_ADAPTERS = (
    "start the server with --enable-lora and with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 in its"
    " environment"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmServer:
    """A server at `url` ("http://host:port", without /v1).

    request_timeout_s: how long one answer may take, also that to new weights.
    """

    url: str
    request_timeout_s: float = REQUEST_TIMEOUT_S

    def client(self) -> "VllmClient":
        """A client for one event loop."""
        from rlvr.inference.vllm_client import VllmClient

        return VllmClient(self)

    def get(self, path: str, *, timeout_s: float | None = None) -> Any:
        """What a GET answers, as JSON; None for an empty answer.

        Raises:
            InferenceError: no answer, or one that is an error.
        """
        return self._ask(urllib.request.Request(f"{self.url}{path}"), timeout_s)

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float | None = None
    ) -> Any:
        """What a POST answers, as JSON or text; None for an empty answer.

        Raises:
            InferenceError: no answer, or one that is an error.
        """
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=json.dumps(body or {}).encode(),
            headers={"Content-Type": "application/json"},
        )
        return self._ask(request, timeout_s)

    def _ask(self, request: urllib.request.Request, timeout_s: float | None) -> Any:
        patience = timeout_s or self.request_timeout_s
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise self.refusal(request.selector, error.code, error.read().decode()) from error
        except (OSError, http.client.HTTPException) as error:
            raise self.silence(request.selector, error, patience) from error
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text

    def refusal(self, path: str, status: int, said: str) -> InferenceError:
        """The error of an answer with a status that is none of success."""
        return InferenceError(
            f"the vLLM server at {self.url} answered {path} with status {status}:"
            f" {_message_of(said)}"
        )

    def silence(self, path: str, error: BaseException, patience_s: float) -> InferenceError:
        """The error of a request without an answer."""
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return self.too_slow(path, patience_s)
        return InferenceError(
            f"the vLLM server at {self.url} does not answer ({path}: {reason}); it has died, or it"
            " can't be reached any more: see its log"
        )

    def too_slow(self, path: str, patience_s: float) -> InferenceError:
        """The error of a request whose answer took too long."""
        return InferenceError(
            f"the vLLM server at {self.url} has not answered {path} within {patience_s:g} s: it"
            " hangs, or has more to do than it can; see its log, or allow it more time with"
            " request_timeout (--request-timeout)"
        )

    # What must hold before training

    def wait(self, *, timeout_s: float, start: str) -> None:
        """Wait until the server says that it is healthy. `start` is the command that starts one.

        Raises:
            InferenceError: it has not after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        while (reason := self._unhealthy()) is not None:
            if time.monotonic() + _RETRY_S > deadline:
                raise InferenceError(
                    f"no vLLM server answers at {self.url} ({reason}; waited {timeout_s:g} s)."
                    f" Start it on a GPU of its own: {start}; or name it with --vllm-host and"
                    " --vllm-port; or sample in this process with --inference embedded"
                )
            time.sleep(_RETRY_S)

    def _unhealthy(self) -> str | None:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                return None
        except urllib.error.HTTPError as error:
            return f"it answers with status {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            return str(getattr(error, "reason", error))

    def check_model(self, model: str, *, longest: int) -> None:
        """The server must serve the model by this name, with a context of `longest` tokens.

        Raises:
            ConfigurationError: it does not.
        """
        served = {
            entry["id"]: entry for entry in self.get("/v1/models", timeout_s=_PROBE_S)["data"]
        }
        if model not in served:
            raise ConfigurationError(
                f"the vLLM server at {self.url} serves {', '.join(served)}, and {model} is to be"
                f" trained: start it with {model}, or with --served-model-name {model}"
            )
        context = served[model].get("max_model_len")
        if context is not None and context < longest:
            raise ConfigurationError(
                f"the vLLM server at {self.url} takes {context} tokens of prompt and answer, and"
                f" training sequences may have {longest}: start it with --max-model-len {longest},"
                " or lower max_seq_len (--max-seq-len)"
            )

    def check_dev_mode(self) -> None:
        """The server must have the routes that reload weights and empty the prefix cache.

        Raises:
            ConfigurationError: it has not.
        """
        self._check_route("/collective_rpc", "weight_sync='files'", _DEV_MODE)

    def check_adapters(self) -> None:
        """The server must have the routes that load adapters and empty the prefix cache.

        Raises:
            ConfigurationError: it has not.
        """
        self._check_route("/v1/load_lora_adapter", "weight_sync='adapter'", _ADAPTERS)
        self._check_route("/collective_rpc", "weight_sync='adapter'", _DEV_MODE)

    def _check_route(self, path: str, needed_by: str, remedy: str) -> None:
        """A POST without a body is refused by a route that is there, and not found by none."""
        try:
            self.post(path, timeout_s=_PROBE_S)
        except InferenceError as error:
            cause = error.__cause__
            if not isinstance(cause, urllib.error.HTTPError):
                raise
            if cause.code == _NOT_FOUND:
                raise ConfigurationError(
                    f"the vLLM server at {self.url} has no route {path}, which {needed_by} needs:"
                    f" {remedy}"
                ) from error

    def check_answers(self, model: str, *, tools: bool, temperature: float) -> None:
        """One token must come with its ids, with tools on offer if `tools`.

        Raises:
            ConfigurationError: the server does not parse tool calls, says no ids, or says logprobs
                that belong to another temperature than the trainer's.
            InferenceError: it does not answer.
        """
        asked: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": "."}],
            "max_completion_tokens": 1,
            "temperature": temperature,
            "logprobs": True,
            "return_token_ids": True,
        }
        if tools:
            asked["tools"] = [PROBE_TOOL]
        try:
            answer = self.post("/v1/chat/completions", asked)
        except InferenceError as error:
            if tools and "auto-tool-choice" in str(error):
                raise ConfigurationError(
                    f"the vLLM server at {self.url} does not parse tool calls: start it with"
                    " --enable-auto-tool-choice --tool-call-parser hermes (or the parser of your"
                    " model)"
                ) from error
            raise
        if answer.get("prompt_token_ids") is None:
            raise ConfigurationError(
                f"the answers of the vLLM server at {self.url} hold no token ids, so what was"
                " sampled can't be trained on exactly: use vLLM >= 0.10.2"
            )
        if temperature not in (0.0, 1.0):
            self._check_logprobs_mode()

    def on_cpu(self) -> bool:
        """Whether the server computes on a CPU; False where it does not say."""
        device = self._config().get("device_config")
        return isinstance(device, Mapping) and device.get("device") == "cpu"

    def check_untied(self, model: str) -> None:
        """A server on a CPU must keep the output weights of tied embeddings by themselves.

        vLLM's layers for CPUs hold a packed copy of the output weights, which a reload refreshes
        only where a tensor of their own is loaded.

        Raises:
            ConfigurationError: it ties them.
        """
        overrides = self._config()["model_config"].get("hf_overrides") or {}
        if overrides.get("tie_word_embeddings") is not False:
            raise ConfigurationError(
                f"the vLLM server at {self.url} runs on a CPU, where new weights do not reach the"
                f" output layer of {model} as long as it is tied to the embeddings: start it with"
                " --hf-overrides '{\"tie_word_embeddings\": false}', from a checkpoint that holds"
                " lm_head.weight too (docs/vllm.md has the lines that write one)"
            )

    def _config(self) -> Mapping[str, Any]:
        """The server's configuration; empty where it does not say (no dev mode, or an old one)."""
        try:
            known = self.get("/server_info?config_format=json", timeout_s=_CONFIG_S)
        except InferenceError as error:
            if not isinstance(error.__cause__, urllib.error.HTTPError):
                raise
            return {}
        config = known.get("vllm_config") if isinstance(known, Mapping) else None
        return config if isinstance(config, Mapping) else {}

    def _check_logprobs_mode(self) -> None:
        mode = self._config().get("model_config", {}).get("logprobs_mode")
        if mode is not None and mode != "processed_logprobs":
            raise ConfigurationError(
                f"the vLLM server at {self.url} says logprobs before temperature ({mode}), and the"
                " trainer's are after it: start it with --logprobs-mode processed_logprobs, or"
                " train with a temperature of 1"
            )


def _message_of(said: str) -> str:
    """The message in vLLM's error, or all that was said, on one line."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(said)["error"]["message"]
    return " ".join(str(said).split())[:500] or "no reason"
