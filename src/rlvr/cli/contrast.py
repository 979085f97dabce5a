"""`rlvr contrast`: what separates success from failure of the same prompt."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlvr.cli.diagnose import named_runs, title_of
from rlvr.cli.opening import SAMPLES, Opened, announce
from rlvr.cli.output import say, show, show_json
from rlvr.cli.paging import Page
from rlvr.cli.selection import Where, chosen_steps
from rlvr.errors import ConfigurationError
from rlvr.record import Mode

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rlvr.analysis.contrast import Action, Sibling
    from rlvr.questions.contrasting import AlignedPair, Contrasted, Wanted
    from rlvr.questions.siblings import Siblings
    from rlvr.runs import Run
    from rlvr.views.terminal.contrast import Scope, ShownPair


def contrast(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Folder or id of a run; with --sample, its name."),
    ] = None,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Contrast the bundled runs: upstream, repaired.")
    ] = False,
    group: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Show all rollouts of this group, turn by turn."),
    ] = None,
    component: Annotated[
        str | None, typer.Option(metavar="NAME", help="Success is this component, or reward.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="X", help="Success is a value of at least X, not above the mean."),
    ] = None,
    mode: Annotated[Mode | None, typer.Option(help="Training or evaluation.")] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="A:B", help="Of these steps alone, both included.")
    ] = None,
    where: Where = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many features.")] = 20,
    offset: Annotated[
        int, typer.Option(metavar="N", min=0, help="Leave the first N features out.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what separates success from failure within groups, the prompt held constant.

    Tools, arguments, order, lengths, documents, tags, errors and stop reasons of successes beside
    failures of the same prompt; what survives a correction for many comparisons comes first. Then
    typical pairs, action by action, the first that differs marked. None of it proves a cause.

    \b
    Example:
      rlvr contrast outputs/demo                              success: its outcome component
      rlvr contrast outputs/demo --steps 40:                  of the last steps alone
      rlvr contrast outputs/demo --where "tool = 'retrieve'"   of those that retrieved
      rlvr contrast outputs/demo --component f1 --threshold 0.5
      rlvr contrast outputs/demo --group train-a00-b000003-g00001
      rlvr contrast --sample upstream                         a run of ours

    In JSON, NaN and the infinities are strings. Exit codes: 0 compared; 1 no group has both
    successes and failures, or nothing matches; 2 no such run or component, or wrong usage.
    """
    from rlvr.questions.contrasting import Wanted

    if run is None and not sample:
        raise typer.BadParameter("name a run, or use --sample; `rlvr list` shows what there is.")
    asked = Wanted(
        mode=mode,
        steps=chosen_steps(None, steps),
        where=where,
        component=component,
        threshold=threshold,
    )
    opened = named_runs(run, sample=sample)
    if group is not None:
        if run is None:
            raise ConfigurationError("--group is of one run; name it: --sample upstream.")
        if where is not None:
            raise ConfigurationError("--group shows all of a group; leave --where out.")
        _group(opened[0], group, asked, Page(total=0, offset=offset, limit=limit), as_json=as_json)
        return
    found = [_contrasted(one, asked) for one in opened]
    pages = [Page(total=len(one.found.effects), offset=offset, limit=limit) for one in found]
    if as_json:
        values = [_values(one, page) for one, page in zip(found, pages, strict=True)]
        if run is None:
            show_json("contrasts", runs=dict(zip(SAMPLES, values, strict=True)))
        else:
            show_json("contrast", **values[0])
    else:
        for at, (one, page) in enumerate(zip(found, pages, strict=True)):
            show(*[""] * bool(at), contrast_page(opened[at], one, page))
    if not any(one.read for one in found):
        raise typer.Exit(1)


def _contrasted(opened: Opened, asked: "Wanted") -> "Contrasted":
    from rlvr.questions.contrasting import contrast_run

    announce(opened)
    found = contrast_run(opened.run, asked)
    if not found.read:
        why = _why_none(found)
        say(f"rlvr: nothing to compare in {opened.run.id}: {why}.")
    return found


def _why_none(found: "Contrasted") -> str:
    split = found.split
    if split.informative_groups:
        return "the messages of every group with successes and failures were pruned"
    return (
        f"of {split.groups:,} groups none has both successes and failures ({split.equal:,} all"
        f" equal, {split.one_sided:,} on one side, {split.alone:,} without a scored sibling);"
        " --component and --threshold choose another measure"
    )


def contrast_page(opened: Opened, found: "Contrasted", page: Page) -> "RenderableType":
    """What the terminal shows of a contrast: of its effects those that survive the correction, and
    at least five; on a later page the rest too."""
    from rlvr.views.terminal.contrast import contrast_view

    effects = found.found.effects[page.offset : page.offset + page.limit]
    if page.offset == 0:
        surviving = len(found.found.surviving)
        effects = effects[: max(min(surviving, page.limit), 5)]
    pairs = [_shown(opened, pair) for pair in found.pairs]
    return contrast_view(_scope(opened, found), found.found, pairs, shown=effects)


def _scope(opened: Opened, found: "Contrasted") -> "Scope":
    from rlvr.views.terminal.contrast import Scope

    return Scope(
        title=title_of(opened, found.where),
        mode=found.mode,
        measure=found.measure,
        recorded=found.rollouts,
        unscored=found.unscored,
        split=found.split,
        read=found.read,
        rollouts=found.read_rollouts,
        steps=found.read_steps,
        prompts=found.prompts,
        remarks=found.remarks,
    )


def _shown(opened: Opened, pair: "AlignedPair") -> "ShownPair":
    from rlvr.views.terminal.contrast import ShownPair

    return ShownPair(
        run=opened.argument,
        group_id=pair.group_id,
        step=pair.step,
        success=pair.success,
        failure=pair.failure,
        rows=pair.rows,
        first_difference=pair.first_difference,
    )


def _values(found: "Contrasted", page: Page) -> dict[str, Any]:
    split, effects = found.split, found.found
    return {
        "run": found.run,
        "mode": found.mode,
        "where": found.where,
        "measure": found.measure,
        "rollouts": found.rollouts,
        "unscored": found.unscored,
        "groups": {
            "all": split.groups,
            "informative": split.informative_groups,
            "equal": split.equal,
            "one_sided": split.one_sided,
            "alone": split.alone,
        },
        "read": {
            "groups": found.read,
            "rollouts": found.read_rollouts,
            "steps": found.read_steps,
            "prompts": found.prompts,
        },
        "surviving": len(effects.surviving),
        **page.values,
        "effects": effects.effects[page.offset : page.offset + page.limit],
        "sparse": effects.sparse,
        "constant": effects.constant,
        "rare": effects.rare,
        "pairs": [_pair_values(pair) for pair in found.pairs],
        "remarks": found.remarks,
    }


def _pair_values(pair: "AlignedPair") -> dict[str, Any]:
    return {
        "group_id": pair.group_id,
        "step": pair.step,
        "distance": pair.distance,
        "success": _sibling_values(pair.success),
        "failure": _sibling_values(pair.failure),
        "rows": [
            {"success": _action(row.left), "failure": _action(row.right), "same": row.same}
            for row in pair.rows
        ],
        "first_difference": pair.first_difference,
    }


def _sibling_values(sibling: "Sibling") -> dict[str, Any]:
    return {
        "id": sibling.id,
        "sample": sibling.sample,
        "success": sibling.success,
        "value": sibling.value,
        "reward": sibling.reward,
    }


def _action(action: "Action | None") -> dict[str, Any] | None:
    if action is None:
        return None
    return {"turn": action.turn, "call": action.call, "name": action.name, "shown": action.shown}


def _group(opened: Opened, named: str, asked: "Wanted", page: Page, *, as_json: bool) -> None:
    from dataclasses import replace

    from rlvr.analysis.contrast import by_turn, common_prefix

    found = _siblings(opened.run, named, asked)
    page = replace(page, total=len(found.siblings))
    some = found.siblings[page.offset : page.offset + page.limit]
    if as_json:
        show_json(
            "siblings",
            run=opened.run.id,
            group_id=found.group_id,
            measure=found.measure,
            common_turns=common_prefix([by_turn(sibling.actions) for sibling in some]),
            **page.values,
            siblings=[
                {**_sibling_values(sibling), "actions": list(map(_action, sibling.actions))}
                for sibling in some
            ],
        )
        return
    from rlvr.views.terminal.siblings import ShownGroup, siblings_view

    group = ShownGroup(
        group_id=found.group_id,
        run=opened.argument,
        question=found.question,
        measure=found.measure,
        siblings=some,
        total=page.total,
    )
    show(siblings_view(group))


def _siblings(run: "Run", group: str, asked: "Wanted") -> "Siblings":
    """The rollouts of one group, named by its id or the only beginning of one, best first.

    Raises:
        ConfigurationError: it is a trajectory's id, or several ids begin so.
        RecordNotFound: there is no such group.
    """
    from rlvr.cli.selection import find
    from rlvr.questions.siblings import judged_siblings

    members = find(run, group)
    if not isinstance(members, list):
        raise ConfigurationError(
            f"{group!r} is a trajectory; its group is {members.group_id}, so write --group"
            f" {members.group_id}."
        )
    return judged_siblings(run, members, component=asked.component, threshold=asked.threshold)
