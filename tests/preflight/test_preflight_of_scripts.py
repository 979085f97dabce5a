"""`rlvr preflight`: a script run up to where it trains, and what is printed."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from verifiers.trainers.grpo_trainer import GRPOTrainer

from rlvr.cli import main
from rlvr.errors import ConfigurationError
from rlvr.preflight.scripts import preflight_script
from warm import warm_python, warm_ranks

pytestmark = pytest.mark.train

SCRIPT = """\
import sys
from pathlib import Path
from trainings import echo_environment, trainer

def reward(completion):
    return {reward}

if __name__ == "__main__":
    print("arguments:", sys.argv[1:])
    trainer(Path(sys.argv[1]), environment=echo_environment(reward)).train()
    print("trained")
"""
TINY = shlex.split("""
    --model demo --datasets synthetic,seed-3,train[:64] --inference embedded --prompt-style brief
    --max-turns 5 --max-tokens 48 --max-seq-len 512 --batch-size 8 --gradient-accumulation-steps 1
    --num-generations 4 --report-to none --no-gradient-checkpointing --max-steps 1
""")
VARIED, CONSTANT = 'float(len(completion[-1]["content"]))', "1.0"


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])

    def write(text):
        path = tmp_path / "train.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def rlvr(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["preflight", *(str(argument) for argument in arguments)])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run


def test_a_script_is_checked_instead_of_trained(tmp_path, script, rlvr):
    argv, path = list(sys.argv), list(sys.path)
    out = tmp_path / "out"
    code, shown, talk = rlvr("--json", script(SCRIPT.format(reward=CONSTANT)), out, "--json")
    report = json.loads(shown)
    assert code == 1
    assert report["kind"] == "preflight"
    failed = [check["name"] for check in report["report"]["checks"] if check["status"] == "fail"]
    assert "groups vary" in failed
    assert report["first_to_mend"] == failed[0]
    assert f"arguments: ['{out}', '--json']" in talk
    assert "trained" not in talk
    assert not out.exists() or list(out.iterdir()) == []
    assert (sys.argv, sys.path) == (argv, path)
    assert "train" not in vars(GRPOTrainer)


def test_a_table_is_printed_and_the_first_thing_to_mend(tmp_path, script, rlvr):
    code, shown, _ = rlvr(script(SCRIPT.format(reward=CONSTANT)), tmp_path / "out")
    assert code == 1
    assert "✗ fail     groups vary" in shown
    assert "── First to mend ──" in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "never called train()"),
        ("raise SystemExit(3)\n", "left with exit code 3"),
        ("raise LookupError('no data')\n", "LookupError: no data"),
        (
            "from verifiers.trainers.grpo_trainer import GRPOTrainer\n"
            "object.__new__(GRPOTrainer).train()\n",
            "EnhancedGRPOTrainer as GRPOTrainer",
        ),
    ],
)
def test_a_script_that_never_trains_is_said_to(script, text, said):
    with pytest.raises(ConfigurationError) as refused:
        preflight_script(script(text), ())
    assert said in str(refused.value)
    assert "train" not in vars(GRPOTrainer)


def test_a_script_that_is_not_there_is_said_to(tmp_path, rlvr):
    code, _, talk = rlvr(tmp_path / "absent.py")
    assert code == 2
    assert "there is no script" in talk


@pytest.mark.parametrize("arguments", [[], ["--demo", "upstream", "train.py"]])
def test_a_script_or_a_demo_is_named(arguments, rlvr):
    code, _, talk = rlvr(*arguments)
    assert code == 2
    assert "name a SCRIPT" in talk


@pytest.mark.slow
@pytest.mark.parametrize(("part", "code"), [("upstream", 1), ("repaired", 0)])
def test_the_demo_s_trainers_are_checked_in_a_process_of_their_own(part, code):
    demo = ("--demo", part)
    done = subprocess.run(
        [warm_python(), "-c", "from rlvr.cli import main; main()", "preflight", "--json", *demo],
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode()
    report = json.loads(done.stdout)["report"]
    failed = {check["code"] for check in report["checks"] if check["status"] == "fail"}
    named = {"context-not-attended", "tokens-not-sampled", "sampler-trainer-gap"}
    assert failed == (named if part == "upstream" else set())
    assert not [check for check in report["checks"] if check["status"] == "unknown"]


@pytest.mark.slow
def test_a_script_s_own_flag_stops_before_a_training_that_a_check_fails(tmp_path):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [warm_python(), root / "scripts" / "train_musique.py", "train", "--preflight", *TINY,
         "--repairs", "all,-attention", "--output-dir", tmp_path],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr[-2000:]
    assert "First to mend ── trainer sees the prompt" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_processes_are_checked_together_and_the_main_one_reports(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(reward=VARIED))
    tests = Path(__file__).parents[1]
    program = tmp_path / "rlvr_main.py"
    program.write_text("from rlvr.cli import main\nmain()\n")
    done = subprocess.run(
        [warm_python(), "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0",
         "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", str(program), "preflight",
         "--json", str(script), str(tmp_path / "out")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tests),
             "CUDA_VISIBLE_DEVICES": "", **warm_ranks()},
        capture_output=True,
        timeout=200,
        check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)["report"]  # one document, of one process
    statuses = {check["name"]: check["status"] for check in report["checks"]}
    assert report["rollouts"] == 16
    assert statuses["weights reach the sampler"] == "pass"
    assert statuses["trainer agrees with sampler"] == "pass"
    assert "fail" not in {s for name, s in statuses.items() if name != "limits fit"}
