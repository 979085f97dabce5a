"""Runs into groups by the settings that differ, seeds aside, and what else differs with them.

A setting is compared as it was recorded. Texts that name a seed ("synthetic,seed-3,train") are the
same where all else is. What a run does not record at all is no difference.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rlvr.errors import ConfigurationError
from rlvr.record import Json

Settings = Mapping[str, Json]
"""Of one run, by dotted name, as `rlvr.record.settings.settings_of` gives them."""

NOT_RECORDED = "not recorded"
_NONE = "none"
SHORT_CHARS = 40
"""Characters of a value that a page shows."""

_SEED = re.compile(r"(seed[-_= ]?)\d+")
_SEEDS = re.compile(r"(?:.*_)?seed")
_NO_SETTING = re.compile(
    r"name|command|run_name|output_dir|logging_.*|log_.*|hub_.*|push_to_hub|project|report_to"
    r"|resume_from_checkpoint|local_rank|overwrite_output_dir|trackio_.*|disable_tqdm|save_.*"
    r"|token_details_every|log_token_details|record_.*|imported_from|vllm_server_.*|host|port"
    r"|base_url|ddp_timeout"
)
"""Names, after the last dot, of what tells runs apart and trains nothing: names, places, logs."""
_PROVENANCE = re.compile(r"commit|dirty|python|packages\..*")
"""What may matter, and rarely is the question: it parts no groups unless asked, and is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Varying:
    """A setting that is not the same in all runs: its value in each, None where not recorded.

    `aliases` are settings that have the same values under other names.
    """

    name: str
    values: tuple[str | None, ...]
    aliases: tuple[str, ...] = ()

    def of(self, runs: Iterable[int]) -> tuple[str, ...]:
        """Its different values in some runs, in order of appearance."""
        found = (self.values[at] for at in runs)
        return tuple(dict.fromkeys(NOT_RECORDED if value is None else value for value in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """Places of the runs in groups, each with the value of every setting of `by`.

    `same` has the settings that all runs record alike. `confounded` differ between the groups, and
    `mixed` within one, though groups are not made by them.
    """

    by: tuple[str, ...]
    groups: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...]
    same: Mapping[str, str]
    confounded: tuple[Varying, ...]
    mixed: tuple[Varying, ...]
    aliases: Mapping[str, tuple[str, ...]]


def group_runs(runs: Sequence[Settings], by: Sequence[str] = ()) -> Grouped:
    """The runs by the named settings, or by all that differ but seeds and versions.

    Raises:
        ConfigurationError: no run has such a setting, or several are meant.
    """
    compared = {name: _values(runs, name) for name in _names(runs)}
    asked = tuple(dict.fromkeys(_named(compared, name) for name in by))
    varying = _varying({name: values for name, values in compared.items() if _is_setting(name)})
    chosen = asked or tuple(one.name for one in varying if not _PROVENANCE.fullmatch(one.name))
    groups: dict[tuple[str, ...], list[int]] = {}
    for at in range(len(runs)):
        key = tuple(_or_none(compared[name][at]) for name in chosen)
        groups.setdefault(key, []).append(at)
    ordered = sorted(groups.items(), key=lambda entry: [_order(value) for value in entry[0]])
    parts = tuple((key, tuple(places)) for key, places in ordered)
    others = [one for one in varying if not {one.name, *one.aliases} & set(chosen)]
    return Grouped(
        by=chosen,
        groups=parts,
        same=_same(compared, len(runs)),
        confounded=tuple(one for one in others if _parts(one, parts)),
        mixed=tuple(one for one in others if any(len(one.of(at)) > 1 for _, at in parts)),
        aliases={one.name: one.aliases for one in varying if one.name in chosen and one.aliases},
    )


def seed_of(settings: Settings) -> str | None:
    """The seed that the run was trained with, None where it was not recorded."""
    names = [name for name in settings if _SEEDS.fullmatch(_leaf(name))]
    first = next((name for name in ("config.seed", *names) if name in settings), None)
    return None if first is None else value_text(settings[first])


def value_text(value: Json) -> str:
    """A setting as one text; numbers that are equal have the same."""
    if isinstance(value, str):
        return _SEED.sub(r"\1*", value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, bool | int | float):
        return f"{value:.12g}" if isinstance(value, float) else str(value).lower()
    return _SEED.sub(r"\1*", json.dumps(value, sort_keys=True, default=str))


def short_value(value: str) -> str:
    """The text, of a long one its beginning and a mark that tells it from others."""
    if len(value) <= SHORT_CHARS:
        return value
    mark = hashlib.sha256(value.encode(errors="backslashreplace")).hexdigest()[:6]
    return f"{value[: SHORT_CHARS - 8]}… #{mark}"


def short_name(name: str) -> str:
    """A setting's name; of the trainer's configuration without saying so."""
    return name.removeprefix("config.")


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def full_name(names: Iterable[str], wanted: str) -> str:
    """The name that is meant by it, whole or without what stands before its last dots.

    Of several, that of the trainer's configuration.

    Raises:
        ConfigurationError: none or several are meant.
    """
    known = list(names)
    if wanted in known:
        return wanted
    meant = [name for name in known if name.endswith(f".{wanted}")]
    if f"config.{wanted}" in meant or len(meant) == 1:
        return f"config.{wanted}" if f"config.{wanted}" in meant else meant[0]
    if meant:
        raise ConfigurationError(f"{wanted!r} may be {', '.join(meant[:5])}; name one of them.")
    known.sort(key=lambda name: name.startswith("config."))  # the last of one leaf stays
    leaves = {_leaf(name): name for name in known} | {name: name for name in known}
    close = [leaves[one] for one in difflib.get_close_matches(wanted, leaves, 3, 0.5)]
    hint = f" Did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    raise ConfigurationError(f"no run has a setting {wanted!r}.{hint}")


def _named(compared: Mapping[str, object], wanted: str) -> str:
    return full_name(compared, wanted)


def _names(runs: Sequence[Settings]) -> list[str]:
    """Names of all settings: the configuration's first, whose names people know."""
    found = dict.fromkeys(name for settings in runs for name in settings)
    return sorted(found, key=lambda name: (not name.startswith("config."), name))


def _values(runs: Sequence[Settings], name: str) -> tuple[str | None, ...]:
    section = name.partition(".")[0] if "." in name else None
    return tuple(_value(settings, name, section) for settings in runs)


def _value(settings: Settings, name: str, section: str | None) -> str | None:
    if name in settings:
        return value_text(settings[name])
    recorded = section and any(other.startswith(f"{section}.") for other in settings)
    return _NONE if recorded else None


def _varying(compared: Mapping[str, tuple[str | None, ...]]) -> list[Varying]:
    """The settings with two values or more, those of equal values as one."""
    found: dict[tuple[str | None, ...], list[str]] = {}
    for name, values in compared.items():
        if len(set(values) - {None}) > 1:
            found.setdefault(values, []).append(name)
    return [
        Varying(name=name, values=values, aliases=tuple(aliases))
        for values, (name, *aliases) in found.items()
    ]


def _parts(one: Varying, groups: Sequence[tuple[tuple[str, ...], tuple[int, ...]]]) -> bool:
    """Whether the groups have other values of it, or not as often."""
    shares = set()
    for _, places in groups:
        values = [_or_none(one.values[at]) for at in places]
        shares.add(tuple(sorted((v, values.count(v) / len(values)) for v in set(values))))
    return len(shares) > 1


def _same(compared: Mapping[str, tuple[str | None, ...]], count: int) -> dict[str, str]:
    found = {}
    for name, values in compared.items():
        value = values[0] if count else None
        if _is_setting(name) and value is not None and len(set(values)) == 1:
            found[name] = value
    return found


def _is_setting(name: str) -> bool:
    last = _leaf(name)
    known = name.startswith(("packages.", "components."))
    return known or not (_NO_SETTING.fullmatch(last) or _SEEDS.fullmatch(last))


def _or_none(value: str | None) -> str:
    return NOT_RECORDED if value is None else value


def _order(value: str) -> tuple[bool, float, str]:
    """Numbers by size, before texts."""
    try:
        return False, float(value), ""
    except ValueError:
        return True, 0.0, value
