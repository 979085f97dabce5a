"""What the training scripts share: flags from dataclasses, and errors said plainly."""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, get_type_hints

import typer

from rlvr.cli.output import say
from rlvr.errors import RlvrError
from rlvr.utils.text import printable

__all__ = ["Launch", "run_script", "script_app", "with_flags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How this process was launched: by hand, by torchrun, or by accelerate."""

    rank: int = 0
    processes: int = 1
    deepspeed: bool = False

    @classmethod
    def here(cls) -> "Launch":
        """Read what the launcher has put into the environment."""
        return cls(
            rank=int(os.environ.get("RANK", "0")),
            processes=int(os.environ.get("WORLD_SIZE", "1")),
            deepspeed=os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true",
        )


def script_app(*, no_args_is_help: bool = True) -> typer.Typer:
    """A Typer application whose commands keep their names, even a single one."""
    app = typer.Typer(
        no_args_is_help=no_args_is_help,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(lambda: None)
    return app


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Let a Typer command take the fields of its dataclass parameters as flags.

    A parameter `training: TrainingOptions` becomes one flag per field, with the field's default and
    its `Annotated` help; the command is called with the dataclass.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _flags(groups[parameter.name])
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))

    @wraps(command)
    def call(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _flags(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]


def run_script(app: typer.Typer) -> None:
    """Run a script's command line. An error of ours is one message, with exit code 2."""
    try:
        app(prog_name=Path(sys.argv[0]).name)
    except RlvrError as error:
        launch = Launch.here()
        of_rank = f" [process {launch.rank}]" if launch.processes > 1 else ""
        say(f"{Path(sys.argv[0]).name}{of_rank}: {printable(str(error))}")
        raise SystemExit(2) from None
