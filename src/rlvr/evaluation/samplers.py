"""Who answers in an evaluation: an OpenAI-compatible server, or a model in this process."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rlvr.errors import ConfigurationError, InferenceError
from rlvr.inference.vllm_server import PROBE_TOOL

if TYPE_CHECKING:
    from rlvr.inference.embedded import EmbeddedEngine

__all__ = ["EmbeddedModel", "Endpoint", "Sampler"]

_RETRIES = 3
_PROBE_TOKENS = 1
_BAD_REQUEST = 400
_PASSWORD = re.compile(r"(?<=//)[^/@]*@")


class Sampler(Protocol):
    """Who answers.

    model: its name. label: what the record calls the way of sampling. limit: tokens of prompt and
    answers together, None where nobody says. tokenizer: None where there is none at hand.
    """

    @property
    def model(self) -> str: ...  # noqa: D102  # as the class says
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def limit(self) -> int | None: ...  # noqa: D102
    @property
    def parameters(self) -> int | None: ...  # noqa: D102
    @property
    def tokenizer(self) -> Any: ...  # noqa: D102

    def prepare(self, *, tools: bool) -> None:
        """Fail now where the evaluation would fail later.

        Raises:
            InferenceError: it does not answer.
            ConfigurationError: it can't be used for this.
        """

    def client(self) -> Any:
        """An OpenAI client for one event loop."""

    def arguments(self) -> Mapping[str, Any]:
        """What every request asks for beyond sampling parameters."""


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible server.

    url: its base URL, with /v1. model: as the server names it. tokenizer: to read prompts and
    token ids with; None leaves the chat template unrecorded. A request that fails on its way is
    tried again three times.
    """

    url: str
    model: str
    api_key: str = "EMPTY"
    timeout_s: float = 300.0
    tokenizer: Any = None
    _token_ids: bool = False
    _limit: int | None = None

    @property
    def label(self) -> str:
        """The server's address without a password in it."""
        return f"endpoint {_PASSWORD.sub('', self.url)}"

    @property
    def limit(self) -> int | None:
        """What the server says of the model's length."""
        return self._limit

    @property
    def parameters(self) -> int | None:
        """Nobody says."""
        return None

    def client(self) -> Any:
        """The OpenAI library's own client."""
        from openai import AsyncOpenAI

        return AsyncOpenAI(
            base_url=self.url,
            api_key=self.api_key,
            timeout=self.timeout_s,
            max_retries=_RETRIES,
        )

    def arguments(self) -> Mapping[str, Any]:
        """Token ids and logprobs, where the server gives them."""
        if not self._token_ids:
            return {}
        return {
            "logprobs": True,
            "extra_body": {"return_token_ids": True, "return_tokens_as_token_ids": True},
        }

    def prepare(self, *, tools: bool) -> None:
        """Ask for one token, with a tool if there are tools; learn whether token ids come too.

        Raises:
            InferenceError: the server does not answer, or refuses the key.
            ConfigurationError: it has no such model, or takes no tools.
        """
        from openai import BadRequestError, OpenAI, OpenAIError

        with OpenAI(
            base_url=self.url, api_key=self.api_key, timeout=self.timeout_s, max_retries=1
        ) as client:
            try:
                self._limit = self._known_limit(client)
                try:
                    answer = self._probe(client, tools, {"return_token_ids": True})
                    self._token_ids = getattr(answer, "prompt_token_ids", None) is not None
                except BadRequestError:
                    # It may refuse the wish for token ids; without that wish it says what is wrong.
                    self._probe(client, tools, {})
            except OpenAIError as error:
                raise self.failure(error) from error

    def _known_limit(self, client: Any) -> int | None:
        """What the list of models says; raises where the model is not on it."""
        models = list(client.models.list())
        named = [model for model in models if model.id == self.model]
        if models and not named:
            known = ", ".join(model.id for model in models[:5])
            raise ConfigurationError(
                f"the server at {self.label.split()[1]} serves {known}, not {self.model}: name it"
                " with --model as the server does"
            )
        limit = getattr(named[0], "max_model_len", None) if named else None
        return limit if isinstance(limit, int) else None

    def _probe(self, client: Any, tools: bool, extra: Mapping[str, Any]) -> Any:
        return client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": "."}],
            max_completion_tokens=_PROBE_TOKENS,
            extra_body=dict(extra),
            **({"tools": [PROBE_TOOL]} if tools else {}),
        )

    def failure(self, error: BaseException) -> Exception:
        """An error of the OpenAI library as one of ours, with what to do."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        where = f"the server at {self.label.split()[1]}"
        if isinstance(error, APITimeoutError):
            return InferenceError(
                f"{where} has not answered within {self.timeout_s:g} s: it hangs, or has more to do"
                " than it can; see its log, lower --concurrency, or raise --request-timeout"
            )
        if isinstance(error, APIConnectionError):
            reason = error.__cause__ or error
            return InferenceError(
                f"{where} does not answer ({reason}): start it, or correct --endpoint"
            )
        if isinstance(error, APIStatusError):
            return self._refusal(where, error)
        return InferenceError(f"{where} failed: {type(error).__name__}: {error}")

    def _refusal(self, where: str, error: Any) -> Exception:
        said = " ".join(str(error.message).split())[:500]
        if error.status_code in (401, 403):
            return InferenceError(
                f"{where} refuses the key ({error.status_code}: {said}): put the right one into the"
                " variable that --api-key-env names"
            )
        if "auto-tool-choice" in said:
            return ConfigurationError(
                f"{where} does not parse tool calls: start it with --enable-auto-tool-choice"
                " --tool-call-parser hermes (or the parser of your model)"
            )
        if error.status_code == _BAD_REQUEST:
            return ConfigurationError(f"{where} refuses the request: {said}")
        return InferenceError(f"{where} answered with status {error.status_code}: {said}")


@dataclass(slots=True, kw_only=True)
class EmbeddedModel:
    """A model in this process, which nothing trains meanwhile."""

    model: str
    engine: "EmbeddedEngine"

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        name: str | None = None,
        max_seq_len: int,
        tool_parser: str | None = None,
        cpu: bool = False,
    ) -> "EmbeddedModel":
        """A hub id or a folder; adapters are merged into their model. `name` is for the record.

        Raises:
            ConfigurationError: it can't be loaded, has no chat template, or no such tool_parser.
        """
        import torch

        from rlvr.inference.embedded import EmbeddedEngine
        from rlvr.trainers.policy import load_policy

        cuda = torch.cuda.is_available() and not cpu
        policy, tokenizer = load_policy(model, half=cuda)
        policy = _merged(policy).to("cuda" if cuda else "cpu")
        engine = EmbeddedEngine(
            policy,
            tokenizer,
            max_model_len=max_seq_len,
            tool_parser=tool_parser,
            replicate=False,
        )
        return cls(model=name or str(model), engine=engine)

    @property
    def label(self) -> str:
        """As training calls it."""
        return "embedded"

    @property
    def limit(self) -> int | None:
        """Tokens of prompt and answers."""
        return self.engine.max_model_len

    @property
    def parameters(self) -> int | None:
        """Parameters of the model."""
        return int(self.engine.model.num_parameters())

    @property
    def tokenizer(self) -> Any:
        """The model's."""
        return self.engine.tokenizer

    def prepare(self, *, tools: bool) -> None:
        """Tools need a chat template that shows them.

        Raises:
            ConfigurationError: it does not, or writes calls in a way that is not read here.
        """
        if tools:
            self.engine.check_tools()

    def client(self) -> Any:
        """The engine's client."""
        return self.engine.client()

    def arguments(self) -> Mapping[str, Any]:
        """Nothing: ids and logprobs always come."""
        return {}


def _merged(policy: Any) -> Any:
    """The model with adapters that transformers loaded with it merged into its weights."""
    if "peft_config" not in vars(policy):
        return policy
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in policy.modules():
        if isinstance(module, BaseTunerLayer):
            module.merge()
    return policy


def token_texts_of(sampler: Sampler) -> Sequence[str]:
    """The text of each token id; empty where there is no tokenizer."""
    if sampler.tokenizer is None:
        return ()
    from rlvr.trainers.vocabulary import token_texts

    return token_texts(sampler.tokenizer)
