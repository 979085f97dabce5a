"""Which failures of an evaluation are data of one rollout, and which end it."""

from dataclasses import dataclass

from rlvr.errors import InferenceError
from rlvr.evaluation.samplers import Endpoint, Sampler

__all__ = ["Failures"]

_IN_A_ROW = 8


@dataclass(slots=True)
class Failures:
    """Rollouts that failed one after the other.

    A server that can't be reached or refuses everything ends an evaluation at once, and so do
    eight failed rollouts in a row, whatever they failed of: going on would only record failures.
    """

    _count: int = 0

    def note(self, error: Exception | None, sampler: Sampler) -> None:
        """Take notice of how a rollout ended.

        Raises:
            InferenceError: the evaluation should end.
            ConfigurationError: the same, since the server refuses what it is asked.
        """
        if error is None:
            self._count = 0
            return
        self._count += 1
        said = _of_sampler(error, sampler)
        if said is not None and _for_good(error):
            raise said from error
        if self._count < _IN_A_ROW:
            return
        if said is not None:
            raise said from error
        raise InferenceError(
            f"{_IN_A_ROW} rollouts in a row failed, the last with {type(error).__name__}: {error}"
        ) from error


def _of_sampler(error: Exception, sampler: Sampler) -> Exception | None:
    """The error as the endpoint explains it; None where it is not the sampler's."""
    from openai import OpenAIError

    if isinstance(error, OpenAIError) and isinstance(sampler, Endpoint):
        return sampler.failure(error)
    return None


def _for_good(error: Exception) -> bool:
    """Whether the next request would fail the same way: not one that took too long, say."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, APITimeoutError):
        return False
    if isinstance(error, APIStatusError):
        return error.status_code in (401, 403, 404, 429) or error.status_code >= 500
    return isinstance(error, APIConnectionError)
