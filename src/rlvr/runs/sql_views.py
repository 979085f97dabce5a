"""The tables that a person's SQL sees, as views of what an index holds."""

import re
from collections.abc import Mapping

from rlvr.runs.filtering.names import REWARDS, SUPERSEDED, quoted
from rlvr.runs.indexed import Held
from rlvr.runs.noted import NEWEST_NOTES
from rlvr.schema import COLUMNS, Kind

ALL_COLUMNS = tuple(c.name for c in COLUMNS if c.kind in (Kind.SCALAR, Kind.DERIVED))
"""The columns of the table of trajectories."""

# What may name columns without their names: *, COLUMNS(...), a FROM without a SELECT, and verbs.
_EVERYTHING = re.compile(
    r"(?<!\()\s*\*|columns\s*\(|(^|\()\s*from\b|\b(summarize|describe|pivot|unpivot|show|natural)\b",
    re.IGNORECASE,
)


def columns_for(query: str) -> list[str]:
    """The columns that a query may mean."""
    words = _words(query)
    everything = _EVERYTHING.search(query) is not None
    return [name for name in ALL_COLUMNS if everything or name in words]


def load_for(held: Held, query: str) -> None:
    """Load the other tables that a query names."""
    words = _words(query)
    if "tool_calls" in words:
        held.load_calls()
    if "components" in words:
        held.load_parts()
    if "annotations" in words:
        held.load_notes()
    if "metrics" in words:
        held.load_metrics()


def make_views(held: Held, run: str, outdated: str) -> None:
    """Make the views of a run; `outdated` is the condition that a row is superseded."""
    rewards = f"{rewards_struct(held.components)} AS {REWARDS}"
    cells = [f"'{run.replace(chr(39), chr(39) * 2)}' AS run"] + [
        rewards if name == REWARDS else quoted(name) for name in held.columns if name != "run"
    ]
    every = f"SELECT {', '.join(cells)}, ({outdated}) AS {SUPERSEDED} FROM held.rollouts"
    current = f"JOIN held.rollouts USING (rid) WHERE NOT ({outdated})"
    views = {
        "all_trajectories": every,
        "trajectories": f"{every} WHERE NOT ({outdated})",
        "tool_calls": "SELECT id, turn, name AS tool, seconds, error, malformed, rolled_back"
        f" FROM held.calls {current}",
        "components": f"SELECT id, name, value, weight, status FROM held.parts {current}",
        "annotations": NEWEST_NOTES,
        "metrics": f"SELECT * FROM held.logged WHERE NOT ({outdated})",
    }
    for name, view in views.items():
        held.database.execute(f"CREATE OR REPLACE VIEW {name} AS {view}")


def rewards_struct(components: Mapping[str, str]) -> str:
    """The components as one struct; of names that SQL can't tell apart the first.

    A NUL, at which Arrow would end a name, is shown as its escape.
    """
    fields: dict[str, str] = {}
    for written, column in components.items():
        name = written.replace("\0", "\\x00")
        if name and name.lower() not in fields:
            fields[name.lower()] = f"{quoted(name)} := {column}"
    return f"struct_pack({', '.join(fields.values())})" if fields else "NULL"


def _words(query: str) -> set[str]:
    return {word.lower() for word in re.findall(r"\w+", query)}
