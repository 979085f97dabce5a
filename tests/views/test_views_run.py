import json
import math
from dataclasses import replace

from rich.console import Console

from builders import batches, odd_trajectory, run_info, trajectory
from rlvr.analysis import summarise, tool_use
from rlvr.codec.trajectories import to_table
from rlvr.record import Mode
from rlvr.views.document import document
from rlvr.views.terminal.listing import RunLine, RunList, TrajectoryLine, TrajectoryList
from rlvr.views.terminal.live import LiveTraining
from rlvr.views.terminal.run import comparison_view, run_view


def rollouts(steps: int = 15, **options):
    made = [rollout for batch in batches(steps, **options) for rollout in batch]
    return [replace(rollout, id=f"id-{at:05d}") for at, rollout in enumerate(made)]


def piped(*parts, width: int = 2_000) -> str:
    console = Console(width=width, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part, soft_wrap=width > 200)
    return capture.get()


def page(made, **options):
    return run_view(summarise(to_table(made)), info=run_info(), run="out", **options)


def test_the_whole_page_of_a_run(snapshot):
    made = rollouts()
    made[20] = replace(odd_trajectory(), step=2, reward=0.1, id="odd")
    made += [replace(r, mode=Mode.EVAL, id="e" + r.id) for r in made[:8]]
    tools = {"step 0": tool_use(made[:8]), "step 14": tool_use(made[-16:-8])}
    shown = piped(page(made, tools=tools, damaged=["x.parquet is torn"], place="out/rlvr/x"))
    assert shown == snapshot


def test_the_page_of_a_run_fits_eighty_columns():
    shown = piped(page(rollouts(), place="out/rlvr/x"), width=80)
    assert max(map(len, shown.splitlines())) <= 80


def test_a_run_without_its_settings_or_trajectories_still_has_a_page():
    shown = piped(run_view(summarise(to_table([]))))
    assert "run.json is missing" in shown
    assert "no trajectories yet" in shown


def test_repairs_that_were_off_are_flagged():
    shown = piped(page(rollouts(2)))
    assert "2 on: attention, sequences" in shown
    assert "⚠ 1 off: sharding" in shown


def test_wrong_tokens_are_flagged_and_right_ones_are_not():
    made = rollouts(2)
    assert "⚠ in" not in piped(page(made))
    wrong = [
        replace(r, evidence=replace(r.evidence, ids_match=False, attended_share=0.4)) for r in made
    ]
    shown = piped(page(wrong))
    assert "⚠ in 0% of the rollouts" in shown
    assert "⚠ 40% of the tokens" in shown


def test_settings_of_a_run_are_not_read_as_markup_or_control_sequences():
    info = run_info(
        run="\x1b[b]",
        name="[red]x",
        command="\x1b",
        model="\x1b[2J",
        repairs={"[b]": True},
        config={"lora": "[/]"},
    )
    shown = piped(run_view(summarise(to_table(rollouts(2))), info=info))
    assert "[red]x" in shown
    assert "\x1b" not in shown


def test_two_runs_are_compared_in_one_plot(snapshot):
    runs = {
        "upstream": summarise(to_table(rollouts(8, learns=False))),
        "repaired": summarise(to_table(rollouts(15))),
    }
    assert piped(comparison_view(runs, [("rlvr show out", "it")]), width=80) == snapshot


LINE = RunLine(
    id="20260801-120000-ab12", place="out", steps=60, trajectories=3840, state="complete",
    name="two-hop", model="tiny", trainer="EnhancedGRPOTrainer", started_at=1785585600.0,
    size_bytes=127_000_000, first_reward=0.2, last_reward=0.9, repairs_on=11, repairs_off=0,
    kind="training",
)  # fmt: skip


def test_a_list_of_runs_is_one_line_each_in_a_pipe_and_fits_a_terminal(snapshot):
    odd = RunLine(
        id="20260801-130000-cd34", place="x", steps=0, trajectories=0, state="empty", size_bytes=812
    )
    wide = piped(RunList([LINE, odd]))
    assert len(wide.splitlines()) == 3
    narrow = piped(RunList([LINE, odd]), width=80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert wide + narrow == snapshot


def test_a_list_of_trajectories_says_how_many_there_are_and_fits_a_terminal():
    made = [
        TrajectoryLine(
            id=f"train-s000003-b000003-a00-r000-0000{at}", mode="train", step=3, group_id="g",
            sample=at, reward=0.5, advantage=-1.25, turns=10, tool_calls=12, tool_errors=at,
            stop_reason="max_turns_reached",
        )
        for at in range(3)
    ]  # fmt: skip
    assert "3 of 1,000 trajectories" in piped(TrajectoryList(made, 1000))
    assert "--limit" not in piped(TrajectoryList(made, 3))
    narrow = piped(TrajectoryList(made, 3), width=80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert all(line.id in narrow for line in made)


def test_a_document_is_json_whatever_it_holds():
    odd = replace(odd_trajectory(), question="\ud800\x1b\u202e", info={"n": math.inf, "big": 2**70})
    text = document("trajectory", trajectory=odd, low=-math.inf)
    assert text.isascii()
    loaded = json.loads(text, parse_constant=lambda name: 1 / 0)
    assert (loaded["version"], loaded["kind"]) == (1, "trajectory")
    assert loaded["trajectory"]["reward"] == "NaN"
    assert loaded["low"] == "-Infinity"
    assert loaded["trajectory"]["info"] == {"n": "Infinity", "big": 2**70}
    assert loaded["trajectory"]["advantage"] is None
    assert loaded["trajectory"]["question"] == "\ud800\x1b\u202e"


def test_a_pipe_gets_a_line_every_few_steps_and_the_last(capsys):
    with LiveTraining("repaired", total_steps=12, every=5) as live:
        for step in range(12):
            live.update(step, step / 12, {"exact_match": step / 12}, 0.5)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("(")[1].split("/")[0] for line in lines] == ["1", "5", "10", "12"]
    assert "exact_match 0.917" in lines[-1]
    assert len(live.points) == 12


def test_a_terminal_gets_a_bar_and_both_curves():
    console = Console(width=80, force_terminal=True, color_system="standard", record=True)
    with console.capture() as capture:  # noqa: SIM117 - the capture outlives the display
        with LiveTraining(
            "repaired", total_steps=3, earlier={"upstream": [(0, 0.2), (2, 0.2)]}, console=console
        ) as live:
            for step in range(3):
                live.update(step, 0.3 * step, {"[red]f1": math.nan}, 0.5)
    shown = capture.get()
    assert "3/3 steps" in shown
    assert "upstream" in shown
    assert "[red]f1 NaN" in shown


def test_training_that_fails_leaves_the_terminal_in_order():
    console = Console(width=80, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        try:
            with LiveTraining("x", total_steps=3, console=console) as live:
                live.update(0, 0.1, {}, 0.1)
                raise RuntimeError("out of memory")
        except RuntimeError:
            pass
    assert capture.get().rstrip().endswith("\x1b[?25h")
    assert trajectory().reward is not None
