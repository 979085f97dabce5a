"""Sizes in bytes, as people write them."""

import re

from rlvr.errors import ConfigurationError

_UNITS = ("B", "kB", "MB", "GB", "TB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def size_text(size: float) -> str:
    """A number of bytes in decimal units: "812 B", "3.4 MB", "50 GB"."""
    unit = 0
    while abs(size) >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    shown = f"{size:.1f}" if unit and abs(size) < 99.95 else f"{size:.0f}"
    return f"{shown.removesuffix('.0')} {_UNITS[unit]}"


def parse_size(text: str) -> int:
    """The bytes of "10GB", "512 MiB" or "1000000".

    Raises:
        ConfigurationError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{text!r} is no size; write 10GB, 512MiB or a number of bytes.")
    number, unit, binary = found.groups()
    power = " kmgt".index(unit.lower()) if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)
