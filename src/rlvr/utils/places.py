"""The URLs of what was recorded: one for each run, step, group, trajectory and piece of evidence.

They stay the same as long as the run does, so that a link in a note opens on its evidence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote, urlencode

PORT = 8421
"""The port that a viewer takes unless told or taken; URLs printed where none runs have it."""

Asked = Mapping[str, str | int | float | None]
"""Parameters of a URL; those that are None are left out."""


class Spot(Protocol):
    """A trajectory, or a turn or a token of it, all counted from 0: an example of a finding."""

    @property
    def id(self) -> str:
        """The trajectory."""

    @property
    def turn(self) -> int | None:
        """The assistant turn."""

    @property
    def token(self) -> int | None:
        """The token of a training sequence."""

    @property
    def sequence(self) -> int:
        """That sequence."""


def on_this_machine(place: str, port: int = PORT) -> str:
    """The whole URL of a viewer's page, as its user opens it here or through a tunnel."""
    return f"http://localhost:{port}{place}"


def marked_name(id: str, place: str) -> str:
    """How a viewer calls a run at `place` beside another of the same id, whichever it met first."""
    return f"{id}~{sha256(place.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"


_OF_TRAJECTORY = re.compile(r"-r\d+(-p\d+)?-\d{5,}$")
"""How an id ends that the store gave to a trajectory; an example may be a group, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The URLs of one run, by the name that the viewer calls it.

    In a file that is read without a server (`offline`) there are no pages to go to: a URL is ""
    unless the file has it itself, as `within` says: of the path, without parameters, the "#anchor"
    of its section, with which the anchors in it begin.
    """

    run: str
    offline: bool = False
    within: Mapping[str, str] = field(default_factory=dict)

    def of_run(self, **asked: str | int | None) -> str:
        """Its page."""
        return self._url("", asked)

    def of_rollouts(self, **asked: str | int | None) -> str:
        """Its rollouts, by `where`, `order`, `descending` and `after`."""
        return self._url("/rollouts", asked)

    def of_step(self, step: int, **asked: str | int | None) -> str:
        """One step; `split` is train or eval."""
        return self._url(f"/s/{step}", asked)

    def of_group(self, group: str, **asked: str | int | None) -> str:
        """The rollouts of one prompt, side by side."""
        return self._url(f"/g/{_part(group)}", asked)

    def of_trajectory(self, id: str, anchor: str = "", **asked: str | int | None) -> str:
        """One trajectory; an anchor names a place in it: m12, t4096-4120, r-format."""
        return self._url(f"/t/{_part(id)}", asked, anchor)

    def of_tokens(self, id: str, anchor: str = "", **asked: str | int | None) -> str:
        """Its tokens, in a channel `ch`."""
        return self._url(f"/t/{_part(id)}/tokens", asked, anchor)

    def of_example(self, example: Spot) -> str:
        """The place that shows a finding: a token, a turn, a trajectory, or a whole group."""
        if not _OF_TRAJECTORY.search(example.id):
            return self.of_group(example.id)
        if example.token is not None:
            at = f"{example.sequence}:{example.token}"
            anchor = token_anchor(example.sequence, example.token)
            return self.of_tokens(example.id, anchor, at=at, turn=example.turn)
        if example.turn is not None:
            return self.of_trajectory(example.id, turn_anchor(example.turn), turn=example.turn)
        return self.of_trajectory(example.id)

    def of_tools(self, drawn: str = "", **asked: str | int | None) -> str:
        """How tools are used over time; `drawn` is svg or png, of the picture of it."""
        return self._url(f"/tools{_suffix(drawn)}", asked)

    def of_rewards(self, drawn: str = "", **asked: str | int | None) -> str:
        """The reward's components over time; `drawn` as of the tools."""
        return self._url(f"/rewards{_suffix(drawn)}", asked)

    def of_members(self, page: str, **asked: str | int | None) -> str:
        """The rollouts behind a number of the page of tools or rewards: `what` it counts, `of`."""
        return self._url(f"/{page}/rollouts", asked)

    def of_contrast(self, **asked: str | int | float | None) -> str:
        """What separates success from failure of the same prompt."""
        return self._url("/contrast", asked)

    def of_prompt(self, example: str, **asked: str | int | None) -> str:
        """The attempts at one example over the steps."""
        return self._url(f"/p/{_part(example)}", asked)

    def of_prompts(self, **asked: str | int | None) -> str:
        """The examples of the run."""
        return self._url("/p", asked)

    def of_diagnosis(self, code: str = "", **asked: str | int | None) -> str:
        """The verdict; the anchor is a finding's code."""
        return self._url("/diagnosis", asked, code)

    def of_ledger(self, line: str, **asked: str | int | None) -> str:
        """The rollouts on one line of the ledger."""
        return self._url("/ledger", {"line": line, **asked})

    def of_fate(self, fate: str, **asked: str | int | None) -> str:
        """The rollouts of all lines of the ledger of one fate."""
        return self._url("/ledger", {"fate": fate, **asked})

    def of_search(self, **asked: str | int | None) -> str:
        """The search in this run, of `q`."""
        if self.offline:
            return ""
        return search_place(run=self.run, **asked)

    def of_comparison(self, other: str, **asked: str | int | None) -> str:
        """This run beside another."""
        if self.offline:
            return ""
        return "/c" + _query({"a": self.run, "b": other, **asked})

    def of_choice(self) -> str:
        """The choice of a run to set beside this one."""
        return "" if self.offline else "/c" + _query({"a": self.run})

    def of_pair(self, a: str, b: str, **asked: str | int | None) -> str:
        """Two of its trajectories side by side."""
        return self._url("/c", {"a": a, "b": b, **asked})

    def _url(self, path: str, asked: Asked, anchor: str = "") -> str:
        after = f"#{quote(anchor, errors='surrogatepass')}" if anchor else ""
        if self.offline:
            own = self.within.get(path, "")
            return f"{own}-{quote(anchor)}" if own and anchor else own
        return f"/r/{_part(self.run)}{path}{_query(asked)}{after}"


def search_place(**asked: str | int | None) -> str:
    """The search of `q`, in one `run` or, without it, in all that are served."""
    return "/search" + _query(asked)


def token_anchor(sequence: int, token: int) -> str:
    """The anchor of a token: t117, or s1t117 in another training sequence than the first."""
    return f"t{token}" if sequence == 0 else f"s{sequence}t{token}"


def turn_anchor(turn: int) -> str:
    """The anchor of an assistant turn; that of a message, m12, counts all messages."""
    return f"turn{turn}"


def _suffix(drawn: str) -> str:
    return f".{drawn}" if drawn else ""


def _part(text: str) -> str:
    """One part of a path. The server decodes it once; a slash in it stays a part of the name."""
    return quote(text, safe="~", errors="surrogatepass")


def _query(asked: Asked) -> str:
    known = {name: value for name, value in asked.items() if value is not None}
    return f"?{urlencode(known, errors='surrogatepass')}" if known else ""
