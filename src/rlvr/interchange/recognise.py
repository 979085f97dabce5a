"""Which format lies at a path, by what its files hold."""

from dataclasses import dataclass
from pathlib import Path

from rlvr.errors import ConfigurationError, RunNotFound
from rlvr.interchange.atif import AtifTrajectories
from rlvr.interchange.foreign import Format, Options, Source
from rlvr.interchange.inspect_log import InspectLogs
from rlvr.interchange.openai import OpenAIJsonl
from rlvr.interchange.prime_rl import PrimeRlRun
from rlvr.interchange.traces import VerifiersTraces
from rlvr.interchange.trl import TrlCompletions
from rlvr.interchange.verifiers_results import VerifiersResults
from rlvr.interchange.verl import VerlGenerations

FORMATS = (
    TrlCompletions,
    PrimeRlRun,
    VerifiersTraces,
    VerifiersResults,
    VerlGenerations,
    InspectLogs,
    AtifTrajectories,
    OpenAIJsonl,
)
"""Every format, the most particular first: the first that recognises a path reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """The format that was found, its files, and other formats that were found there too."""

    source: Source
    format: Format
    others: tuple[Format, ...] = ()


def recognise(path: Path, options: Options, *, named: str | None = None) -> Recognised:
    """The format at a path, or the one that is named.

    Raises:
        RunNotFound: no format that we know lies there.
        ConfigurationError: there is no format of that name.
    """
    wanted: list[Format] = [
        known(options) for known in FORMATS if named is None or known.name == named
    ]
    if not wanted:
        names = ", ".join(known.name for known in FORMATS)
        raise ConfigurationError(f"there is no format {named!r}; the formats are {names}.")
    found = [(known, known.files(path)) for known in wanted]
    fitting = [(known, files) for known, files in found if files]
    if not fitting:
        raise RunNotFound(_unrecognised(path, wanted))
    (first, files), *others = fitting
    return Recognised(
        source=Source(path=path, files=files),
        format=first,
        others=tuple(known for known, of_it in others if not set(of_it) <= set(files)),
    )


def _unrecognised(path: Path, wanted: list[Format]) -> str:
    if not path.exists():
        return f"{path} does not exist, or can't be looked into."
    looked_for = "; ".join(f"{known.name}: {known.title}" for known in wanted)
    return (
        f"nothing at {path} is recognised as a foreign format, or no line of it can be read."
        f" Known are {looked_for}. For JSON lines of another form, say where the fields stand with"
        " --mapping, as in `--mapping messages=chat.turns`."
    )
