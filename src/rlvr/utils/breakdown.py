"""A reward, taken apart: what each component contributed, and whether the parts make the total."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rlvr.record import Component, ScoreStatus
from rlvr.utils.messages import field_of
from rlvr.utils.text import as_text, one_line, printable

__all__ = ["as_number", "format_reward_components"]

_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    name: str
    value: float | None
    weight: float | None
    note: str = ""

    @property
    def contribution(self) -> float | None:
        if self.weight is None or self.value is None:
            return None
        return self.value * self.weight


def format_reward_components(
    components: object,
    weights: Mapping[str, float] | None = None,
    total: object = None,
) -> str:
    """A readable breakdown, one component a line: value x weight = contribution, then the total.

    `components` maps names to values (numbers, None, exceptions, `Component`s or their fields), or
    is a collection of `Component`s. `weights` are used where a component has none of its own; a
    component without any shows its value alone. NaN, infinities, missing values and errors are
    shown as what they are and never count as 0. `total` is the reward that was trained on: a
    difference to the sum is said. Never raises and never changes its arguments.
    """
    try:
        lines = _lines(components, weights)
    except Exception as error:  # noqa: BLE001 - foreign containers; the rest of the table stands
        return f"{type(components).__name__} that can't be shown: {type(error).__name__}"
    shown = [_shown(line, _width(lines)) for line in lines] or ["no components"]
    return printable("\n".join([*shown, *_totals(lines, as_number(total), _width(lines))]))


def as_number(value: object) -> float | None:
    """The value as a float, NaN and infinities included; None for what is no number."""
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - arrays and foreign numbers fail in their own ways
        return None


def _lines(components: object, weights: Mapping[str, float] | None) -> list[_Line]:
    if components is None:
        return []
    if isinstance(components, Component):
        components = (components,)
    if isinstance(components, Mapping):
        pairs = [(as_text(name), value) for name, value in components.items()]
    elif isinstance(components, Collection) and not isinstance(components, str | bytes):
        pairs = [
            (as_text(field_of(value, "name") or place), value)
            for place, value in enumerate(components)
        ]
    else:
        pairs = [("reward", components)]
    return [_line(name, value, weights) for name, value in pairs]


def _line(name: str, value: object, weights: Mapping[str, float] | None) -> _Line:
    weight = as_number(field_of(value, "weight")) if _is_scored(value) else None
    if weight is None and weights is not None:
        weight = as_number(field_of(weights, name))
    name = one_line(name, 60)
    if _is_scored(value):
        note = _status(value)
        return _Line(name=name, value=_ok_value(value), weight=weight, note=note)
    if isinstance(value, BaseException):
        return _Line(name=name, value=None, weight=weight, note=_error(value))
    number = as_number(value)
    note = "" if number is not None or value is None else f"{one_line(as_text(value))} (no number)"
    return _Line(name=name, value=number, weight=weight, note=note)


def _is_scored(value: object) -> bool:
    return isinstance(value, Component) or (isinstance(value, Mapping) and "value" in value)


def _ok_value(value: object) -> float | None:
    return as_number(field_of(value, "value"))


def _status(value: object) -> str:
    status, error = field_of(value, "status"), field_of(value, "error")
    if isinstance(error, BaseException):
        return _error(error)
    if status in (None, ScoreStatus.OK) and error is None:
        return ""
    name = str(status.value) if isinstance(status, ScoreStatus) else as_text(status or "error")
    label = name.replace("_", " ")
    return f"{label}: {one_line(as_text(error))}" if error is not None else label


def _error(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception whose text fails is still an error
        text = ""
    return f"error: {type(error).__name__}: {one_line(text)}"


def _width(lines: list[_Line]) -> int:
    return max([len("total"), *(len(line.name) for line in lines)])


def _shown(line: _Line, width: int) -> str:
    name = line.name.ljust(width)
    weight = "" if line.weight is None else f" x {_number(line.weight)}"
    if line.value is None:
        return f"{name}  {line.note or 'no value'}{weight and f'  (weight {_number(line.weight)})'}"
    note = f"  ({line.note})" if line.note else ""
    contribution = line.contribution
    product = "" if contribution is None else f" = {_number(contribution)}"
    return f"{name}  {_number(line.value)}{weight}{product}{note}"


def _totals(lines: list[_Line], total: float | None, width: int) -> list[str]:
    weighted = [line for line in lines if line.weight is not None]
    parts = [line.contribution for line in weighted if line.contribution is not None]
    shown = []
    if parts:
        missing = len(lines) - len(parts)
        note = f"  (without {missing} of {len(lines)})" if missing else ""
        shown.append(f"{'sum'.ljust(width)}  {_number(sum(parts))}{note}")
    if total is not None:
        shown.append(f"{'total'.ljust(width)}  {_number(total)}{_difference(parts, total)}")
    return shown


def _difference(parts: list[float], total: float) -> str:
    whole = sum(parts) if parts else total
    if (math.isnan(whole) and math.isnan(total)) or whole == total:
        return ""
    difference = total - whole
    if not math.isfinite(difference):
        return "  (differs from the sum)"
    if abs(difference) <= _TOLERANCE * max(1.0, abs(total)):
        return ""
    return f"  (differs from the sum by {_number(difference)})"


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return f"{value:.4g}"
