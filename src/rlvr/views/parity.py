"""A comparison as values, for JSON documents."""

import shlex
from typing import Any

from rlvr.parity import Account, Difference, Parity
from rlvr.views.document import plain


def rollout_command(run: str, id: str) -> str:
    """The command that opens a whole rollout; `run` is how commands call the run."""
    return f"rlvr show {run} {shlex.quote(id)}"


def parity_values(parity: Parity) -> dict[str, Any]:
    """All of a comparison, with the command of each example; texts are whole."""
    called = {"A": parity.a.called, "B": parity.b.called}
    return {
        **plain(parity),
        "explained": parity.explained,
        "account": account_values(parity.account),
        "total": None if parity.total is None else account_values(parity.total),
        "differences": [_difference(one, called) for one in parity.differences],
    }


def account_values(account: Account) -> dict[str, Any]:
    """An account, and whether its gap is beyond chance."""
    return {**plain(account), "real": account.real}


def _difference(one: Difference, called: dict[str, str]) -> dict[str, Any]:
    examples = [
        {**plain(example), "command": rollout_command(called[example.side], example.id)}
        for example in one.examples
    ]
    return {**plain(one), "examples": examples}
