"""The shipped checkpoint and the warm start that rebuilds it."""

import json
from dataclasses import asdict

import pytest
import torch

from rlvr.demo.measure import Measured
from rlvr.demo.musique.task import MUSIQUE, measure
from rlvr.demo.policy import build_tokenizer, bundled_checkpoint, load_policy, save_policy
from rlvr.demo.settings import DemoSettings
from rlvr.demo.task import TASK_NAMES, WarmStartSettings, task_named
from rlvr.demo.warm_start import WarmStartFailed, require_success, warm_start
from rlvr.environments.musique.core.loading import load_examples
from rlvr.environments.musique.core.synthetic import rows
from rlvr.errors import ConfigurationError

pytestmark = pytest.mark.train


class Steps:
    """Progress that remembers."""

    def __init__(self):
        self.losses = {}

    def step(self, phase, step, steps, loss):
        self.losses.setdefault(phase, []).append(loss)


@pytest.fixture(scope="module")
def policy():
    return load_policy()


@pytest.fixture(scope="module")
def short_start():
    steps = Steps()
    settings = WarmStartSettings(
        clean_dialogues=48, mixed_dialogues=16, clean_steps=6, mixed_steps=2, warm_up_steps=2
    )
    return warm_start(MUSIQUE, seed=1, progress=steps, settings=settings), steps


def good(**values):
    means = dict.fromkeys(["exact_match", "retrieval_recall", "format"], 1.0)
    return Measured(rollouts=64, outcome="exact_match", reward=1.0, components=means | values)


def test_a_checkpoint_without_a_name_is_the_two_hop_one(policy):
    assert bundled_checkpoint() == bundled_checkpoint("musique")
    assert policy[0].config._name_or_path == "rlvr-demo"


@pytest.mark.parametrize("name", TASK_NAMES)
def test_a_checkpoint_is_small_and_says_how_it_was_made(name):
    task, (model, _) = task_named(name), load_policy(name=name)
    folder = bundled_checkpoint(name)
    made = json.loads((folder / "warm_start.json").read_text())
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    assert 0 < model.num_parameters() == made["parameters"] <= 1_000_000
    assert f"{made['parameters']:,} parameters" in (folder / "README.md").read_text()
    assert model.config.model_type == "qwen3"
    assert model.dtype == torch.float32
    command = f"python -m rlvr.demo.warm_start --task {name} --seed {made['seed']} --out DIR"
    assert made["command"] == command
    assert made["settings"] == asdict(task.settings) | {"quality": asdict(task.quality)}
    assert made["clean_loss"] < task.settings.clean_loss
    assert {"torch", "transformers", "tokenizers", "verifiers", "rlvr"} == made["packages"].keys()
    assert made["sampled"]["rollouts"] >= 256


@pytest.mark.parametrize("name", TASK_NAMES)
def test_a_bundled_tokenizer_is_the_one_that_the_code_builds(name):
    _, bundled = load_policy(name=name)
    built = build_tokenizer(task_named(name).texts())
    assert bundled.get_vocab() == built.get_vocab()
    assert bundled.chat_template == built.chat_template


@pytest.mark.parametrize("ask", [bundled_checkpoint, task_named])
def test_an_unknown_task_is_refused_with_those_there_are(ask):
    with pytest.raises(ConfigurationError, match=r"'chess'.*use one of musique, math_python"):
        ask("chess")


@pytest.mark.slow
def test_the_checkpoint_succeeds_one_time_in_three_when_sampled(policy):
    torch.manual_seed(0)
    sampled = measure(*policy, settings=DemoSettings(), datasets="synthetic,seed-9,train[:256]")
    assert 0.25 <= sampled.success <= 0.45
    require_success(MUSIQUE, sampled)


@pytest.mark.slow
def test_the_checkpoint_can_do_the_task_when_it_is_greedy(policy):
    greedy = measure(
        *policy,
        settings=DemoSettings(),
        datasets="synthetic,seed-9,train[:64]",
        temperature=0.0,
    )
    assert greedy.success >= 0.7
    assert greedy.components["format"] >= 0.9


def test_loading_leaves_the_random_state_alone():
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    load_policy()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_saved_weights_come_back(tmp_path, policy):
    model, tokenizer = policy
    save_policy(model, tokenizer, tmp_path / "copy")
    again, _ = load_policy(tmp_path / "copy")
    for name, weights in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weights), name


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="warm_start --out"):
        load_policy(tmp_path)


def test_a_short_warm_start_learns_something_but_fails_the_gate(short_start):
    made, steps = short_start
    losses = steps.losses["clean demonstrations"]
    assert len(losses) == made.clean_steps == 6
    assert losses[-1] < losses[0]
    measured = measure(
        made.model,
        made.tokenizer,
        settings=DemoSettings(),
        datasets="synthetic,seed-0,validation[:16]",
    )
    with pytest.raises(WarmStartFailed, match="format is not learnt"):
        require_success(MUSIQUE, measured)


def test_equal_seeds_make_equal_policies(short_start):
    made, _ = short_start
    settings = WarmStartSettings(
        clean_dialogues=48, mixed_dialogues=16, clean_steps=6, mixed_steps=2, warm_up_steps=2
    )
    again = warm_start(MUSIQUE, seed=1, progress=Steps(), settings=settings)
    for name, weights in made.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], weights), name


@pytest.mark.parametrize(
    ("measured", "cause"),
    [
        (good(exact_match=0.1, format=0.3, retrieval_recall=0.1), "format is not learnt"),
        (good(exact_match=0.1, retrieval_recall=0.2), "retrieval is not learnt"),
        (good(exact_match=0.1), "copying the answer is not learnt"),
    ],
)
def test_the_gate_names_the_cause(measured, cause):
    with pytest.raises(WarmStartFailed, match=cause):
        require_success(MUSIQUE, measured)


def test_every_prompt_of_a_run_is_unseen_in_the_warm_start():
    warm = WarmStartSettings()
    seen = {
        row["question"]
        for row in rows(seed=0, count=warm.clean_dialogues + warm.mixed_dialogues, split="warm")
    }
    for seed in range(3):
        settings = DemoSettings(seed=seed, steps=100)
        asked = [example.question for example in load_examples(settings.datasets)]
        assert len(asked) == len(set(asked)) == 100 * settings.prompts_per_step
        assert not seen.intersection(asked)


def test_both_runs_of_the_demo_begin_with_the_same_questions():
    settings = DemoSettings()
    whole, upstream = (
        load_examples(spec) for spec in (settings.datasets, settings.upstream_datasets)
    )
    assert whole[: len(upstream)] == upstream
