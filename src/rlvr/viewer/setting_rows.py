"""What two runs were set to, section by section, where it is not the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlvr.record import Json, RunInfo
from rlvr.record.settings import settings_of
from rlvr.utils.text import one_line
from rlvr.views.web.differing import TextDifference, text_difference

_TEXTS = ("chat_template", "tools", "system_prompt")
_VALUE_CHARS = 200

SECTIONS: Mapping[str, str] = {
    "chat_template": "Chat template",
    "tools": "Tools",
    "sampling": "Sampling",
    "limits": "Limits",
    "system_prompt": "System prompt",
    "packages": "Packages",
    "repairs": "Repairs",
    "config": "Trainer configuration",
    "environment": "Environment",
    "scoring": "Scoring",
    "components": "Component weights",
    "": "Model, data and code",
}
"""In the order in which a reader should rule them out; "" has what no other section has."""

_NOT_A_SETTING = frozenset({"name"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One setting of both, as a line each; None where a run did not record it."""

    name: str
    a: str | None
    b: str | None
    text: TextDifference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The settings of one kind that differ, and how many are the same."""

    title: str
    rows: tuple[SettingRow, ...]
    same: int

    @property
    def recorded(self) -> bool:
        """Whether any run recorded one of the kind."""
        return bool(self.rows or self.same)


def setting_sections(a: RunInfo | None, b: RunInfo | None) -> tuple[Section, ...]:
    """Every section of two runs; of a run without settings all are not recorded."""
    of_a, of_b = (settings_of(info) if info else {} for info in (a, b))
    names = [name for name in dict.fromkeys((*of_a, *of_b)) if name not in _NOT_A_SETTING]
    by_section: dict[str, list[str]] = {section: [] for section in SECTIONS}
    for name in names:
        by_section[_section(name)].append(name)
    return tuple(_compared(SECTIONS[at], own, of_a, of_b) for at, own in by_section.items())


def _section(name: str) -> str:
    head = name.partition(".")[0]
    return head if head in SECTIONS else ""


def _compared(
    title: str, names: Sequence[str], a: Mapping[str, Json], b: Mapping[str, Json]
) -> Section:
    unlike = [name for name in names if name not in a or name not in b or a[name] != b[name]]
    return Section(
        title=title,
        rows=tuple(_row(name, a.get(name), b.get(name)) for name in sorted(unlike)),
        same=len(names) - len(unlike),
    )


def _row(name: str, a: Json, b: Json) -> SettingRow:
    long = name in _TEXTS and a is not None and b is not None
    return SettingRow(
        name=name,
        a=None if a is None else one_line(_said(a), _VALUE_CHARS),
        b=None if b is None else one_line(_said(b), _VALUE_CHARS),
        text=text_difference(_said(a), _said(b)) if long else None,
    )


def _said(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
