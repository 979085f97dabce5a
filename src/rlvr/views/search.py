"""Where what a search found is shown."""

from rlvr.runs.search import SearchHit
from rlvr.utils.places import Places, turn_anchor


def hit_place(places: Places, hit: SearchHit) -> str:
    """The page of the trajectory, at the message that matches, or at its turn."""
    if hit.message is not None:
        return places.of_trajectory(hit.id, f"m{hit.message}")
    return places.of_trajectory(hit.id, "" if hit.turn is None else turn_anchor(hit.turn))
