"""The python tool: what the model sends, and what it is shown of what came back."""

import json

from rlvr.errors import ConfigurationError
from rlvr.sandbox import Execution, Limits

ERROR = "Error:"
"""How every result begins that is no success, for the model and for the counters."""
NOTHING = "(nothing was printed; use print to see a value)"
_USAGE = 'write {"code": "a whole program"}'


def read_call(name: str, written: str) -> str:
    """The code of a call. The error's text is meant for the model.

    Raises:
        ConfigurationError: an unknown tool, or arguments that hold no code.
    """
    if name != "python":
        raise ConfigurationError(f"there is no tool {name!r}; call python")
    try:
        arguments = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the arguments are not valid JSON; {_USAGE}") from error
    if not isinstance(arguments, dict) or not isinstance(arguments.get("code"), str):
        raise ConfigurationError(f"the arguments have no text under code; {_USAGE}")
    if len(arguments) > 1:
        raise ConfigurationError(f"code is the only argument; {_USAGE}")
    code: str = arguments["code"]
    return code


def shown_result(execution: Execution, limits: Limits, *, max_characters: int) -> str:
    """What the model sees of an execution: what went wrong, if anything, then the output.

    Above `max_characters` the middle of the output is left out, since a program's result stands at
    its end and so does a traceback's reason.
    """
    output = "\n".join(
        stream.text.rstrip("\n")
        for stream in (execution.stdout, execution.stderr)
        if stream.text.strip()
    )
    wrong = _what_went_wrong(execution, limits)
    if wrong:
        return f"{ERROR} {wrong}\n{clipped(output, max_characters)}".rstrip("\n")
    return clipped(output, max_characters) or NOTHING


def recorded_result(execution: Execution, limits: Limits) -> str:
    """All of an execution, for the record: what went wrong on a line, if anything, then JSON.

    The time is not in it, since a record has that beside each result.
    """
    wrong = _what_went_wrong(execution, limits)
    return f"{ERROR} {wrong}\n{execution.to_json()}" if wrong else execution.to_json()


def read_result(text: str) -> Execution:
    """The execution in what `recorded_result` wrote. Raises ValueError for other text."""
    try:
        # Within the JSON text every quote is escaped, so that this stands at its start only.
        return Execution.from_json(text[text.rindex('{"stdout": {') :])
    except (TypeError, KeyError) as error:
        raise ValueError(f"{text[:80]!r} is no recorded execution") from error


def clipped(text: str, limit: int) -> str:
    """The text, or its two ends with a line in between that says how much is missing."""
    if len(text) <= limit:
        return text
    head = limit // 2
    tail = limit - head
    return f"{text[:head]}\n[... {len(text) - limit} characters left out ...]\n{text[-tail:]}"


def _what_went_wrong(execution: Execution, limits: Limits) -> str | None:
    if execution.failure is not None:
        return f"the code could not be run: {execution.failure}"
    if execution.timed_out:
        return f"stopped after {limits.wall_s:g} seconds"
    if execution.memory_exceeded:
        return f"out of memory (the limit is {limits.memory_bytes >> 20} MB)"
    if execution.signal is not None:
        return f"ended by {execution.signal}"
    return None if execution.ok else f"exit status {execution.exit_status}"
