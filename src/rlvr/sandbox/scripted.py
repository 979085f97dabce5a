"""A fake sandbox for tests: it runs nothing, and answers what it was told to."""

from collections.abc import Callable

from rlvr.sandbox.execution import Execution, Output


class ScriptedSandbox:
    """Gives each piece of code to a function, and keeps it. A text stands for printed output."""

    def __init__(self, script: Callable[[str], str | Execution]) -> None:
        self._script = script
        self.codes: list[str] = []

    def run(self, code: str) -> Execution:
        """What the script answers; see `Sandbox.run`."""
        self.codes.append(code)
        answer = self._script(code)
        return answer if isinstance(answer, Execution) else printed(answer)

    def close(self) -> None:
        """Nothing to stop."""


def printed(text: str, *, duration_s: float = 0.001) -> Execution:
    """An execution that printed a text and ended well."""
    output = Output(text=text, size_bytes=len(text.encode()))
    return Execution(stdout=output, stderr=Output(), exit_status=0, duration_s=duration_s)
