"""A training whose record is mirrored to a store that dies in the midst of it."""

import shlex

import pytest
from transformers import TrainerCallback

from remote_store import make_bucket, serving, wait_until
from rlvr.remote import RemoteFolder
from rlvr.trainers.options import TrainingOptions
from trainings import GROUP, trainer

pytestmark = pytest.mark.train
STEPS = 2
ROWS = 2 * GROUP


class Outage(TrainerCallback):
    """Kills the server after the first step, once something of the run is there."""

    def __init__(self, server):
        self.server = server

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 1:
            wait_until(lambda: any("L0" in name for name in RemoteFolder("s3://runs").list()))
            self.server.kill()


def test_training_goes_on_without_its_mirror_and_says_how_to_complete_it(tmp_path, capsys):
    import rlvr
    from rlvr.cli import main
    from rlvr.runs.behind import open_remote

    def cli(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        assert not stopped.value.code
        return capsys.readouterr().out

    with serving("runs") as server:
        trained = trainer(
            tmp_path / "out",
            say=lambda _: "1",
            max_steps=STEPS,
            record_mirror="s3://runs",
            callbacks=[Outage(server)],
        )
        trained.train()
        assert trained.state.global_step == STEPS
        run = rlvr.open_run(tmp_path / "out")
        assert run.to_arrow().num_rows == STEPS * ROWS
        line = next(part for part in capsys.readouterr().err.splitlines() if "MIRRORED" in part)
        assert line.startswith(f"rlvr: {STEPS * ROWS} trajectories recorded in")
        assert f"NOT MIRRORED to s3://runs/{run.id}: `rlvr mirror " in line
        assert "(RemoteUnavailable: " in line
        said = cli("status", str(tmp_path / "out"))
        assert f"not mirrored to s3://runs/{run.id} since 20" in said
        server.start()
        make_bucket("runs")
        cli(*shlex.split(line.split("`")[1])[1:])
        there = open_remote("s3://runs", cache=tmp_path / "cache")
        assert there.to_arrow().equals(run.to_arrow())
        assert f"mirrored to s3://runs/{run.id} as of 20" in cli("status", str(tmp_path / "out"))


def test_the_scripts_have_a_flag_for_it():
    options = TrainingOptions(record_mirror="s3://runs")
    assert options.recording()["record_mirror"] == "s3://runs"
