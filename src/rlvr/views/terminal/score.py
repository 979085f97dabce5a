"""The reward and the advantage of one trajectory, with their arithmetic."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from rlvr.analysis.advantage import AdvantageArithmetic
from rlvr.analysis.reward import RewardArithmetic
from rlvr.record import Component, Mode, ScoreStatus
from rlvr.views.terminal import layout
from rlvr.views.terminal.text import heading, number, one_line, plural, seconds, untrusted


def reward_section(reward: RewardArithmetic) -> Iterator[RenderableType]:
    """Value x weight = contribution per component, and their sum against the recorded total."""
    yield heading("Reward", "value × weight = contribution")
    shown = layout.table(
        "component", "value", "weight", "contribution", "status", left=("component", "status")
    )
    for component, weight, contribution in zip(
        reward.components, reward.weights, reward.contributions, strict=True
    ):
        shown.add_row(
            Text(one_line(component.name, 40)),
            number(component.value),
            number(weight),
            number(contribution),
            _status(component),
        )
    shown.add_row("sum", "", "", number(reward.total), "", style="bold")
    shown.add_row("recorded total", "", "", number(reward.recorded), _total_verdict(reward))
    yield shown
    for component in reward.components:
        if component.error:
            yield untrusted(f"{component.name}: {component.error}", limit=2_000, style="yellow")


def advantage_section(advantage: AdvantageArithmetic, mode: Mode) -> Iterator[RenderableType]:
    """The formula with its numbers, and what it gives against what was recorded."""
    yield heading("Advantage")
    if mode is Mode.EVAL and advantage.recorded is None:
        yield Text("An evaluation: nothing was trained on this rollout.", style="dim")
        return
    if advantage.obstacle is not None:
        yield Text(f"recorded {number(advantage.recorded, sign=True)}")
        yield Text(f"can't be recomputed: {advantage.obstacle}", style="dim")
        return
    yield layout.facts(_steps(advantage))
    if advantage.flat:
        same = plural(len(advantage.rewards), "reward")
        yield layout.warning(f"all {same} are equal: this group moved the policy nowhere")


def _steps(advantage: AdvantageArithmetic) -> Iterator[tuple[str, RenderableType]]:
    rewards = "  ".join(number(value) for value in advantage.rewards)
    yield f"group rewards ({len(advantage.rewards)})", Text(rewards)
    yield "mean", Text(number(advantage.mean, 4))
    yield "standard deviation", Text(f"{number(advantage.std, 4)}  (denominator n − 1)")
    yield "advantage", Text(advantage_formula(advantage))
    if advantage.assumed:
        yield "", Text("whether rewards were scaled is not recorded; this fits best", "dim")
    checked = layout.verdict(advantage.agrees, _disagreement(advantage))
    recorded = Text(number(advantage.recorded, sign=True))
    yield "recorded", recorded.append("  ").append_text(checked)


def advantage_formula(advantage: AdvantageArithmetic) -> str:
    """The formula, with the numbers that it was computed from."""
    difference = f"{number(advantage.reward, 4)} − {number(advantage.mean, 4)}"
    result = number(advantage.recomputed, sign=True)
    if not advantage.scaled:
        return f"reward − mean = {difference}\n= {result}  (scale_rewards off)"
    divisor = f"{number(advantage.std, 4)} + 1e-4"
    return f"(reward − mean) / (std + 1e-4)\n= ({difference}) / ({divisor})\n= {result}"


def _disagreement(advantage: AdvantageArithmetic) -> str:
    if advantage.recorded is None:
        return "not recorded"
    return f"differs from {number(advantage.recomputed, sign=True)}"


def _total_verdict(reward: RewardArithmetic) -> Text:
    if reward.agrees is None:
        missing = "no total recorded" if reward.recorded is None else "no weights recorded"
        return layout.verdict(None, missing)
    difference = number(reward.difference, sign=True)
    return layout.verdict(reward.agrees, f"differs from the sum by {difference}")


def _status(component: Component) -> Text:
    if component.status is ScoreStatus.OK:
        took = "" if component.duration_s is None else f" in {seconds(component.duration_s)}"
        return Text(f"ok{took}", style="dim")
    return Text(component.status.value.replace("_", " "), style=layout.BAD)
