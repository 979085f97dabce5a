"""`scripts/train_musique.py`: its flags, a real training run, resuming, launching, and errors."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rlvr
from warm import warm_python, warm_ranks

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_musique.py"
TINY = shlex.split("""
    --model demo --datasets synthetic,seed-3,train[:64] --inference embedded --prompt-style brief
    --max-turns 5 --max-tokens 48 --max-seq-len 512 --learning-rate 3e-4 --lr-scheduler constant
    --batch-size 8 --gradient-accumulation-steps 1 --num-generations 4 --report-to none
    --no-gradient-checkpointing
""")
FLAGS = shlex.split("""
    model datasets eval-datasets retriever top-k rewards noise max-hops prompt-style max-turns
    log-full-trajectories no-log-full-trajectories log-trajectory-samples log-token-details
    logging-steps inference vllm-host vllm-port repairs lora no-lora lora-r lora-alpha
    lora-targets beta loss-type learning-rate warmup-steps lr-scheduler max-seq-len
    max-prompt-length max-tokens batch-size num-generations gradient-accumulation-steps
    num-iterations scale-rewards max-grad-norm temperature num-batches-ahead max-steps epochs
    bf16 no-bf16 gradient-checkpointing save-steps resume eval-steps report-to run-name
    output-dir seed cpu diagnose-every stop-without-signal token-details-every preflight
""")


def run(arguments, launcher=(), python=None, **environment):
    return subprocess.run(
        [python or warm_python(), *launcher, str(SCRIPT), "train", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200",
             "CUDA_VISIBLE_DEVICES": "", **environment},
    )  # fmt: skip


def train(folder, *arguments, **more):
    done = run([*TINY, "--output-dir", str(folder), *arguments], **more)
    assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, train(folder, "--max-steps", "2", "--run-name", "tiny", "--seed", "7",
                         python=sys.executable)  # fmt: skip


@pytest.fixture(scope="module")
def help_text():
    return run(["--help"]).stdout


@pytest.mark.parametrize("flag", FLAGS)
def test_every_documented_flag_exists_and_has_help(help_text, flag):
    lines = help_text.splitlines()
    place = next(n for n, line in enumerate(lines) if re.search(rf"--{flag}(\s|$)", line))
    described = re.sub(r"^\s+(--[\w-]+( / )?)+(\s<[^>]*>)?", "", lines[place])
    assert described.strip() or lines[place + 1].strip()


def test_the_defaults_are_those_of_the_specification(help_text):
    text = "".join(help_text.split())  # a value may be broken over two lines
    for default in ("Qwen/Qwen2.5-7B-Instruct", "bdsaglam/musique-mini,answerable,train",
                    "log-full-trajectories", "no-log-token-details", "vllm"):  # fmt: skip
        assert f"[default:{default}]" in text
    assert "perloggedstep.[default:5;x>=0]" in text
    assert "Logeverysomanysteps.[default:1;x>=1]" in text


def test_help_loads_no_torch():
    code = (
        "import sys, runpy; sys.argv = ['t', 'train', '--help']\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit: print(sorted({'torch', 'transformers', 'verifiers', 'pyarrow',"
        " 'pandas', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_script_is_executable():
    assert SCRIPT.read_text("utf-8").startswith("#!/usr/bin/env python\n")
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.train
def test_a_training_run_is_recorded_with_its_settings(trained):
    folder, done = trained
    recorded = rlvr.open_run(folder)
    assert recorded.steps() == [0, 1]
    assert len(list(recorded.trajectories())) == 16
    info = recorded.info
    assert info.name == "tiny"
    assert info.inference == "embedded"
    assert info.dataset == "synthetic,seed-3,train[:64]"
    assert info.world_size == 1
    assert info.components["exact_match"] > 0.5
    assert all(info.repairs.values())
    chosen = {"learning_rate": 3e-4, "beta": 0.0, "loss_type": "dr_grpo", "seed": 7,
              "num_generations": 4, "num_batches_ahead": 0, "bf16": False}  # fmt: skip
    assert {name: info.config[name] for name in chosen} == chosen
    assert "16 trajectories recorded" in done.stderr


@pytest.mark.train
def test_without_cuda_it_says_so_and_trains_on_the_cpu(trained):
    folder, done = trained
    said = "rlvr: training on the CPU since there is no CUDA device, without bfloat16"
    assert done.stderr.count(said) == 1
    assert rlvr.open_run(folder).info.config["use_cpu"] is True


@pytest.mark.train
def test_a_resumed_training_continues_the_run(tmp_path):
    train(tmp_path, "--max-steps", "1")
    train(tmp_path, "--max-steps", "2", "--resume", "latest")
    recorded = rlvr.open_run(tmp_path)
    assert not recorded.others
    assert [attempt.first_step for attempt in recorded.attempts] == [0, 1]
    assert recorded.steps() == [0, 1]
    first, second = ({row.example_id for row in recorded.trajectories(step=n)} for n in (0, 1))
    assert first.isdisjoint(second)


@pytest.mark.train
def test_original_rewards_adapters_and_token_details_together(tmp_path):
    train(tmp_path, "--max-steps", "1", "--rewards", "original", "--lora", "--lora-r", "4",
          "--log-token-details", "--beta", "0.1", "--repairs", "all,-train_again")  # fmt: skip
    recorded = rlvr.open_run(tmp_path)
    weights = recorded.info.components
    assert {name for name, weight in weights.items() if weight} == {"reward_original"}
    assert recorded.info.repairs["train_again"] is False
    assert all(row.tokens is not None for row in recorded.trajectories())
    checkpoint = tmp_path / "checkpoint-1"
    assert (checkpoint / "adapter_config.json").exists()


@pytest.mark.train
def test_nothing_is_recorded_where_it_is_switched_off(tmp_path):
    train(tmp_path, "--max-steps", "1", "--no-log-full-trajectories", "--save-steps", "0")
    assert list(tmp_path.glob("rlvr/*")) == []


@pytest.mark.train
def test_two_processes_train_together_on_different_prompts(tmp_path):
    launcher = ["-m", "accelerate.commands.launch", "--num-processes", "2",
                "--main_process_port", "0", "--config-file", "configs/ddp.yaml"]  # fmt: skip
    done = train(tmp_path, "--max-steps", "1", "--cpu", launcher=launcher, **warm_ranks())
    recorded = rlvr.open_run(tmp_path)
    assert recorded.info.world_size == 2
    rows = list(recorded.trajectories())
    assert len(rows) == 16
    assert len({row.example_id for row in rows}) == 4
    assert done.stderr.count("rlvr: training on the CPU as --cpu asks") == 1


OFFLINE_MODEL = ["--datasets", "synthetic,seed-0,train[:64]", "--inference", "embedded"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--inference", "embedded"], "the hub can't be reached"),
        (OFFLINE_MODEL, "the model Qwen/Qwen2.5-7B-Instruct can't be loaded"),
        (["--inference", "embedded", "--datasets", "nonsense"], "write path,name,split"),
        (["--inference", "embedded", "--resume", "latest"], "no checkpoint in"),
        ([*OFFLINE_MODEL, "--rewards", "mine"], "use revised or original"),
        ([*OFFLINE_MODEL, "--model", "demo", "--batch-size", "3"], "--num-generations"),
        ([*TINY, "--repairs", "most"], "no repair is named 'most'"),
        ([*TINY, "--datasets", "synthetic,,train[:1]"], "the dataset fills no batch"),
        ([*TINY, "--datasets", "tests/fixtures/musique_oddities.jsonl,,train", "--eval-steps", "1",
          "--max-hops", "0"], "--eval-datasets"),
    ],
)  # fmt: skip
def test_what_can_not_work_ends_with_one_message_and_code_2(tmp_path, arguments, expected):
    done = run(["--output-dir", str(tmp_path), *arguments])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert expected in done.stderr.splitlines()[-1] or expected in done.stderr.splitlines()[-2]


def test_a_missing_vllm_names_both_remedies(tmp_path):
    done = run(["--output-dir", str(tmp_path)])  # the lock holds no vllm
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "pip install vllm" in done.stderr
    assert "--inference embedded" in done.stderr


def test_an_output_folder_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    done = run([*TINY, "--output-dir", str(tmp_path / "file" / "out")])
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "name another folder with --output-dir" in done.stderr
