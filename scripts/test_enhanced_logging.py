#!/usr/bin/env python
"""Train for three steps with `EnhancedGRPOTrainer`, and check what was recorded and shown in W&B.

    python scripts/test_enhanced_logging.py
    python scripts/test_enhanced_logging.py --vllm http://127.0.0.1:8000 --model NAME

The first line trains the bundled demo policy in this process, without a server, an account or a
download: W&B runs offline, in a temporary folder. Prints the recorded run, the table
`full_trajectories` read back from the offline run's files, and one trajectory. Exits with 1, and
names what is wrong, where one is not what it should be; with 2 where something is missing.
"""

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from typer import Option

import rlvr
from rlvr.cli.output import show
from rlvr.cli.scripts import run_script, script_app
from rlvr.errors import ConfigurationError
from rlvr.trainers.choices import Inference, LossType, Scheduler
from rlvr.trainers.options import Machine, TrainingOptions
from rlvr.utils.logging_helpers import format_conversation

STEPS = 3
SAMPLES = 4
ROLLOUTS = 16
COLUMNS = ("Step", "Sample", "Input", "Prompt", "Full_Trajectory", "Rewards", "Total_Reward",
           "Num_Turns", "Num_Tool_Calls", "Num_Tool_Responses", "Reward_exact_match",
           "Reward_f1", "Reward_format")  # fmt: skip

app = script_app(no_args_is_help=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a training run left behind. `tables` holds the W&B tables in the order of the steps."""

    run: Any
    trajectories: Sequence[Any]
    tables: Sequence[dict[str, Any]]


def train(options: TrainingOptions, model: str) -> None:
    """Train as `scripts/train_musique.py` does, with W&B offline in the output folder."""
    from rlvr.demo.policy import bundled_checkpoint
    from rlvr.environments.musique.verifiers import load_environment
    from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
    from rlvr.trainers.policy import load_policy
    from rlvr.trainers.starting import check_start

    check_start(options, model=model)
    machine = Machine.here()
    if not machine.wandb:
        raise ConfigurationError("this check needs W&B: pip install 'rlvr[wandb]'")
    brief = model == "demo"
    env = load_environment(
        "synthetic,seed-0,train[:64]",
        prompt_style="brief" if brief else "full",
        max_turns=5,
    )
    policy, tokenizer = load_policy(bundled_checkpoint() if brief else model, half=False)
    EnhancedGRPOTrainer(
        policy, env, options.config(machine), tokenizer, **options.recording()
    ).train()


def options_for(folder: Path, vllm: str | None) -> TrainingOptions:
    """A training run of a minute at most: three steps of four groups."""
    server = urlsplit(vllm or "http://127.0.0.1:8000")
    return TrainingOptions(
        output_dir=folder,
        run_name="test-enhanced-logging",
        report_to="wandb",
        log_trajectory_samples=SAMPLES,
        inference=Inference.VLLM if vllm else Inference.EMBEDDED,
        vllm_host=server.hostname or "127.0.0.1",
        vllm_port=server.port or 8000,
        max_steps=STEPS,
        batch_size=ROLLOUTS,
        num_generations=4,
        gradient_accumulation_steps=1,
        max_tokens=256 if vllm else 48,
        max_seq_len=2048 if vllm else 512,
        loss_type=LossType.BNPO,
        lr_scheduler=Scheduler.CONSTANT,
        save_steps=0,
        gradient_checkpointing=False,
    )


def read_back(folder: Path) -> Recorded:
    """The recorded run, and the W&B tables from the files of the offline run."""
    run = rlvr.open_run(folder)
    files = folder.glob("wandb/offline-run-*/files/media/table/full_trajectories_[0-9]*.table.json")
    tables = [json.loads(file.read_text("utf-8")) for file in files]
    steps = {id(table): table["data"][0][table["columns"].index("Step")] for table in tables}
    return Recorded(
        run=run,
        trajectories=list(run.trajectories()),
        tables=sorted(tables, key=lambda table: steps[id(table)]),
    )


def check_every_trajectory_is_recorded(recorded: Recorded) -> None:
    """Every rollout of every step is recorded, with its groups complete."""
    from rlvr.cli.opening import Opened
    from rlvr.cli.pages import load_page
    from rlvr.views.terminal.run import run_view

    page = load_page(Opened(run=recorded.run, argument=str(recorded.run.path)))
    show(run_view(page.summary, info=page.info, run=str(recorded.run.path), place=page.place,
                  state=page.state, tools=page.tools, damaged=page.damaged))  # fmt: skip
    assert recorded.run.steps() == list(range(STEPS)), "a step has no trajectories"
    assert len(recorded.trajectories) == STEPS * ROLLOUTS, "a rollout is missing"
    groups = {row.group_id for row in recorded.trajectories}
    assert len(groups) == STEPS * ROLLOUTS // 4, "groups are incomplete"
    assert all(row.advantage is not None for row in recorded.trajectories), "no advantage"


def check_tables_are_as_specified(recorded: Recorded) -> None:
    """W&B has one table per logged step, with the specification's columns."""
    assert len(recorded.tables) == STEPS, f"{len(recorded.tables)} tables for {STEPS} steps"
    for table in recorded.tables:
        print(f"step {table['data'][0][0]}: {len(table['data'])} rows")
        missing = [name for name in COLUMNS if name not in table["columns"]]
        assert not missing, f"the table lacks {missing}"
        assert len(table["data"]) == SAMPLES, "the table has not the rows that were asked for"
    print("columns: " + ", ".join(recorded.tables[0]["columns"]))
    row = dict(zip(recorded.tables[0]["columns"], recorded.tables[0]["data"][0], strict=True))
    for name in ("Input", "Rewards", "Total_Reward", "Num_Turns", "Num_Tool_Calls"):
        print(f"\n{name}:\n{row[name]}")


def check_tool_calls_are_whole(recorded: Recorded) -> None:
    """A trajectory shows its tool calls and what they returned."""
    called = [row for row in recorded.trajectories if row.tool_results]
    assert called, "no trajectory calls the tool"
    best = max(called, key=lambda row: row.reward or 0.0)
    text = format_conversation(best.prompt, best.completion)
    print(f"{best.id}, reward {best.reward}\n\n{text}")
    for shown in ("🤖 ASSISTANT:", "📞 TOOL CALLS:\n  • retrieve(", "🔧 TOOL [retrieve]:\n"):
        assert shown in text, f"the text of a trajectory lacks {shown!r}"
    assert all(result.result or result.error for row in called for result in row.tool_results), (
        "a tool result is empty"
    )


def check_table_and_record_agree(recorded: Recorded) -> None:
    """The table's rows are the recorded trajectories, found by the command they name."""
    by_id = {row.id: row for row in recorded.trajectories}
    for table in recorded.tables:
        place = {name: number for number, name in enumerate(table["columns"])}
        for cells in table["data"]:
            named = [word for word in cells[place["Record"]].split() if word in by_id]
            assert named, f"no recorded trajectory is named in {cells[place['Record']]!r}"
            reward = by_id[named[0]].reward
            assert cells[place["Total_Reward"]] == reward, "a reward differs from the record's"
    print(f"{sum(len(table['data']) for table in recorded.tables)} rows agree with the record.")


CHECKS: tuple[Callable[[Recorded], None], ...] = (
    check_every_trajectory_is_recorded,
    check_tables_are_as_specified,
    check_tool_calls_are_whole,
    check_table_and_record_agree,
)


def failures_of(recorded: Recorded) -> list[str]:
    """Run every check, and name those that fail."""
    failures = []
    for check in CHECKS:
        print(f"\n# {check.__doc__}\n")
        try:
            check(recorded)
        except AssertionError as error:
            failures.append(f"{check.__name__}: {error}")
    return failures


@app.callback(invoke_without_command=True)
def main(
    vllm: Annotated[str | None, Option(help="URL of a vLLM server to sample from.")] = None,
    model: Annotated[str, Option(help="Model that is trained; the server's own.")] = "demo",
) -> None:
    """Train for three steps, and check what was recorded and shown in W&B.

    \b
    Example:
      python scripts/test_enhanced_logging.py

    Exit codes: 0 all is well; 1 a check fails; 2 something is missing.
    """
    if vllm and model == "demo":
        raise ConfigurationError("--vllm needs --model: the model that the server has loaded")
    with tempfile.TemporaryDirectory(prefix="rlvr-") as folder:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_DIR": folder, "WANDB_SILENT": "true"}
        train(options_for(Path(folder), vllm), model)
        failures = failures_of(read_back(Path(folder)))
    print("\n" + "\n".join(failures or [f"All {len(CHECKS)} checks hold."]))
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal of another encoding has no emoji
        sys.stdout.reconfigure(errors="backslashreplace")
    run_script(app)
