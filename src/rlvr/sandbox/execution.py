"""What one call of a python tool may use, and what came of it."""

import json
import re
import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from rlvr.errors import ConfigurationError

_MEMORY_ERROR = re.compile(r"(\w+\.)*\w*MemoryError\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one call may use.

    wall_s: seconds from its start; it may compute for as many, and one more.
    memory_bytes: address space. scratch_bytes: all files in its scratch folder together.
    file_bytes: one file. output_bytes: kept of each stream, half from its start, half from its end.
    open_files: descriptors.
    """

    wall_s: float = 10.0
    memory_bytes: int = 1 << 30
    scratch_bytes: int = 64 << 20
    file_bytes: int = 16 << 20
    output_bytes: int = 64 << 10
    open_files: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise ConfigurationError(f"{name} is {value}; a limit is above 0")

    @property
    def rlimits(self) -> Mapping[int, int]:
        """Limits that the kernel holds for a process, by number."""
        return {
            resource.RLIMIT_AS: self.memory_bytes,
            resource.RLIMIT_CPU: int(self.wall_s) + 1,
            resource.RLIMIT_FSIZE: self.file_bytes,
            resource.RLIMIT_NOFILE: self.open_files,
            resource.RLIMIT_CORE: 0,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One stream: its text, and how many bytes it had.

    Bytes that are no UTF-8 are replaced in the text. Of a stream above the limit the middle is
    left out, with a line in its place that says how much.
    """

    text: str = ""
    size_bytes: int = 0
    truncated: bool = False

    @classmethod
    def of(cls, head: bytes, tail: bytes, size: int) -> "Output":
        """The stream of `size` bytes of which the beginning and the end were kept."""
        missing = size - len(head) - len(tail)
        mark = f"\n[... {missing} bytes left out ...]\n".encode() if missing > 0 else b""
        text = (head + mark + tail).decode("utf-8", "replace")
        return cls(text=text, size_bytes=size, truncated=missing > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What came of one call.

    exit_status: as a program's; None where a signal ended it. signal: its name ("SIGKILL").
    timed_out: it was stopped after the time limit. memory_exceeded: it ended because memory was
    refused to it, as far as that can be told: an uncaught MemoryError, or a kill that was not ours.
    duration_s: from its start to its end, without waiting for a free sandbox.
    failure: why the sandbox itself gave no answer, where it did not.
    """

    stdout: Output
    stderr: Output
    exit_status: int | None
    signal: str | None = None
    timed_out: bool = False
    memory_exceeded: bool = False
    duration_s: float | None = None
    failure: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the code ran to its end with status 0."""
        return self.exit_status == 0

    @property
    def truncated(self) -> bool:
        """Whether a part of the output was not kept."""
        return self.stdout.truncated or self.stderr.truncated

    def to_json(self) -> str:
        """Everything but the time, as JSON text: so that equal outcomes are equal texts."""
        fields = asdict(self)
        del fields["duration_s"]
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Execution":
        """What `to_json` wrote. Raises ValueError, TypeError or KeyError for other text."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("stdout", "stderr"):
            fields[name] = Output(**fields[name])
        return cls(**fields)


class Sandbox(Protocol):
    """Runs a piece of Python in a fresh world; from any thread."""

    def run(self, code: str) -> Execution:
        """Run the code to its end or its limits.

        Raises:
            SandboxUnavailable: the code could not be run at all.
        """

    def close(self) -> None:
        """Stop what is running, and free everything."""


def ran_out_of_memory(stderr: Output, *, signal: str | None, timed_out: bool) -> bool:
    """Whether memory was refused: by its traceback, or by a kill that nobody else ordered."""
    if timed_out:
        return False
    lines = stderr.text.rstrip().rsplit("\n", 1)
    return signal == "SIGKILL" or bool(_MEMORY_ERROR.match(lines[-1]))
