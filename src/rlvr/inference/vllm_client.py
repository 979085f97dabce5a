"""The OpenAI client of a vLLM server, whose failures are errors of ours."""

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
from openai import (
    APIConnectionError,
    APITimeoutError,
    AsyncOpenAI,
    InternalServerError,
    NotFoundError,
    Timeout,
)

from rlvr.errors import InferenceError

if TYPE_CHECKING:
    from rlvr.inference.vllm_server import VllmServer

__all__ = ["VllmClient"]

_CONNECT_S = 10.0
_RETRY_S = (0.5, 1.0)  # a connection that was idle may be closed just as it is used
_AFTER_FIRST_S = 5.0


class VllmClient(AsyncOpenAI):
    """`AsyncOpenAI` for one event loop and one server.

    A request that can't be sent is tried three times within 1.5 s; one that was sent is waited for
    as long as the server's `request_timeout_s` says, once. Of several requests that fail together
    the first one speaks; the others wait some seconds, so that who hears it can cancel them.

    Raises:
        InferenceError: the server is gone, hangs, or fails.
    """

    def __init__(self, server: "VllmServer") -> None:
        self._server = server
        self._failed = False
        patience = server.request_timeout_s
        super().__init__(
            base_url=f"{server.url}/v1",
            api_key="EMPTY",
            timeout=Timeout(patience, connect=min(_CONNECT_S, patience)),
            max_retries=0,
        )

    async def request(self, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        """As the parent, but for its errors."""
        try:
            return await self._tried(cast_to, options, **kwargs)
        except InferenceError:
            if self._failed:
                await asyncio.sleep(_AFTER_FIRST_S)
            self._failed = True
            raise

    async def _tried(self, cast_to: Any, options: Any, **kwargs: Any) -> Any:
        path = f"/v1{options.url}"
        for pause in (*_RETRY_S, None):
            try:
                return await super().request(cast_to, options, **kwargs)
            except APITimeoutError as error:
                connecting = isinstance(error.__cause__, httpx2.ConnectTimeout)
                waited = _CONNECT_S if connecting else self._server.request_timeout_s
                raise self._server.too_slow(path, waited) from error
            except APIConnectionError as error:
                if pause is None:
                    cause = error.__cause__ or error
                    raise self._server.silence(path, cause, 0.0) from error
                await asyncio.sleep(pause)
            except (InternalServerError, NotFoundError) as error:
                said = error.response.text
                raise self._server.refusal(path, error.status_code, said) from error
        raise AssertionError("the last try returns or raises")
