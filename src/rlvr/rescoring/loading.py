"""The scorer of an environment, found by the module that loads it."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from rlvr.capture.rubrics import recording_rubric
from rlvr.capture.verifiers import ViewSettings, recording_view
from rlvr.errors import ConfigurationError, MissingDependency, RlvrError
from rlvr.rescoring.protocol import Setup

_RUBRIC, _ENVIRONMENT = "load_rubric", "load_environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedScorer:
    """A recording view of a rubric. `as_text`: its environment completes text, not messages.

    `close` ends what the rubric holds.
    """

    rubric: Any
    as_text: bool
    close: Callable[[], None]


def load_scorer(setup: Setup) -> LoadedScorer:
    """The rubric that the module's `load_rubric` makes, else its `load_environment`'s.

    Raises:
        ConfigurationError: no such module, an option that it does not take, or it raised.
        MissingDependency: the module needs a package that is not installed.
    """
    module = _module(setup.loader)
    check_options(module, setup.options, setup.given)
    made = _made(module, setup)
    functions = vars(module)
    if _RUBRIC not in functions:
        view = recording_view(made, ViewSettings(unique_components=setup.unique))
        as_text = view.message_type == "completion"
        return LoadedScorer(rubric=view.rubric, as_text=as_text, close=lambda: None)
    view = recording_rubric(made, unique=setup.unique)
    close = functions.get("close_rubric", lambda _: None)
    return LoadedScorer(rubric=view, as_text=False, close=lambda: close(made))


def check_options(module: ModuleType, options: Mapping[str, Any], given: frozenset[str]) -> None:
    """Refuse an option that the module's loaders do not take.

    Raises:
        ConfigurationError: there is one; the message names those that they take.
    """
    # `load_rubric` may take any, since it is called with all of the environment's.
    environment = vars(module).get(_ENVIRONMENT)
    loaders = [environment] if environment else [vars(module)[_RUBRIC]]
    parameters = [p for loader in loaders for p in inspect.signature(loader).parameters.values()]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3, 0.4) or known
            whose = "" if name in given else ", with which the run was recorded"
            raise ConfigurationError(
                f"{loaders[0].__name__} of {module.__name__} takes no option {name!r}{whose}. Did"
                f" you mean {', '.join(close) or 'none at all'}? To leave the recorded options out,"
                f" name the module with --environment {module.__name__}."
            )


def _module(loader: str) -> ModuleType:
    name = loader.replace("-", "_")  # as verifiers' own load_environment reads it
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"there is no module {name!r} here. Name the one with the environment's"
                " load_environment by --environment, and run in its Python environment, or in the"
                " folder that holds it."
            ) from error
        raise MissingDependency(
            f"{name} needs {error.name}, which is not installed here; run in the Python environment"
            " that trained."
        ) from error
    except RlvrError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"importing {name} raised {type(error).__name__}: {error}. Mend it, or name another"
            " module with --environment."
        ) from error
    if not {_RUBRIC, _ENVIRONMENT} & set(vars(module)):
        raise ConfigurationError(
            f"{name} has neither {_RUBRIC} nor {_ENVIRONMENT}; name the module that has one of them"
            " with --environment."
        )
    return module


def _made(module: ModuleType, setup: Setup) -> Any:
    """The rubric, or else the environment."""
    called = _RUBRIC if _RUBRIC in vars(module) else _ENVIRONMENT
    try:
        return vars(module)[called](**setup.options)
    except RlvrError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"{called} of {module.__name__} raised {type(error).__name__}: {error}. Change its"
            " options with --option NAME=VALUE; they were"
            f" {', '.join(f'{k}={v!r}' for k, v in setup.options.items()) or 'none'}."
        ) from error
