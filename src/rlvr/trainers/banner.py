"""What a training says of itself when it starts."""

from collections.abc import Set
from pathlib import Path

from rlvr.trainers.repairs import Repair


def banner(repairs: Set[Repair], *, inference: str, folder: Path | None) -> str:
    """The repairs in force, the defects that stay, and where the run is recorded."""
    where = f"recording every trajectory to {folder}" if folder else "recording nothing"
    lines = [f"rlvr: {where}; inference: {inference}"]
    if repairs:
        lines.append("  repaired in verifiers' GRPO trainer:")
        lines += [f"    {repair}: {repair.defect}" for repair in Repair if repair in repairs]
    left = [repair for repair in Repair if repair not in repairs]
    if left:
        lines.append("  NOT repaired, as the library ships it:")
        lines += [f"    {repair}: {repair.defect}" for repair in left]
    return "\n".join(lines)
