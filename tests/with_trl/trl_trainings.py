"""Small real trainings with TRL: the demo's policy, or one whose words a test chooses."""

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from trl import GRPOConfig
from trl.chat_template_utils import qwen3_template

import rlvr
from rlvr.demo.policy import load_policy
from rlvr.environments.musique.core.completions import shown_documents
from rlvr.environments.musique.core.examples import parse_example, to_row
from rlvr.environments.musique.core.loading import load_examples
from rlvr.environments.musique.core.prompts import prompt_messages
from rlvr.environments.musique.core.retrieval import make_retriever, search
from rlvr.environments.musique.core.rewards import read_outcome, scorers
from rlvr.environments.settings import PromptStyle, Rewards
from rlvr.trainers.recording_grpo_trainer import RecordingGRPOTrainer
from trainings import tiny_policy

GROUP = 4
CUT = "[cut]"
"""At the end of what a test says: the model stops here without an end of its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training that is over: its trainer and the run that it recorded."""

    trainer: Any
    run: Any
    rows: list[Any]


class Retrieve:
    """MuSiQue's tool over the paragraphs of one row."""

    def __init__(self):
        self._retriever = make_retriever("lexical")

    def reset(self, info, **_):
        self._example, self._results = parse_example(info), []

    def retrieve(self, query: str) -> str:
        """Find documents about one query.

        Args:
            query: a few words
        """
        shown = shown_documents(self._results)
        found = search(self._retriever, query, self._example, shown=shown, top_k=1)
        self._results.append({"role": "tool", "content": found})
        return found


def musique(count=24, seed=5):
    """Questions of two hops, as TRL wants them."""
    examples = load_examples(f"synthetic,seed-{seed},train[:{count}]")
    return datasets.Dataset.from_list(
        [
            {
                "prompt": prompt_messages(example.question, PromptStyle.BRIEF),
                "id": example.id,
                "answer": example.answer,
                "info": to_row(example),
            }
            for example in examples
        ]
    )


def exact_match(completions, info, **_):
    score = scorers(Rewards.REVISED)["exact_match"]
    return [_scored(score, *pair) for pair in zip(completions, info, strict=True)]


def retrieval_recall(completions, info, **_):
    score = scorers(Rewards.REVISED)["retrieval_recall"]
    return [_scored(score, *pair) for pair in zip(completions, info, strict=True)]


def _scored(score, completion, info):
    return score(read_outcome(completion, parse_example(info)))


def demo_policy():
    """The demo's policy, whose calls TRL can parse."""
    model, tokenizer = load_policy()
    return model, readable(tokenizer)


def referable_policy(folder):
    """The demo's policy under a name that TRL can load a reference from."""
    model, tokenizer = demo_policy()
    model.save_pretrained(folder)
    model.config._name_or_path = str(folder)
    return model, tokenizer


def readable(tokenizer):
    tokenizer.response_template = qwen3_template
    return tokenizer


def spoken(say, policy=None):
    """A policy that says what a test wants: `say` makes an answer of the text so far."""
    model, tokenizer = policy or tiny_policy()
    readable(tokenizer)

    def generate(input_ids, attention_mask, generation_config, **_):
        answers = []
        for ids, mask in zip(input_ids, attention_mask, strict=True):
            said = say(tokenizer.decode(ids[mask.bool()]))
            answer = tokenizer.encode(said.removesuffix(CUT), add_special_tokens=False)
            if said.endswith(CUT):  # it goes on until the limit
                answer += [answer[-1]] * generation_config.max_new_tokens
            answers.append([*answer, tokenizer.eos_token_id][: generation_config.max_new_tokens])
        longest = max(map(len, answers))
        padded = [a + [tokenizer.pad_token_id] * (longest - len(a)) for a in answers]
        return torch.cat([input_ids, torch.tensor(padded)], dim=1)

    model.generate = generate
    return model, tokenizer


def config(folder, **changes):
    """A configuration for the CPU: 2 prompts, 4 rollouts each, one step unless said."""
    chosen = {
        "output_dir": str(folder),
        "learning_rate": 3e-4,
        "lr_scheduler_type": "constant",
        "max_steps": 1,
        "per_device_train_batch_size": 2 * GROUP,
        "num_generations": GROUP,
        "max_completion_length": 200,
        "max_tool_calling_iterations": 4,
        "beta": 0.0,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "seed": 1,
    }
    return GRPOConfig(**(chosen | changes))


_OWN = (
    "log_full_trajectories",
    "log_token_details",
    "token_details_every",
    "record_max_gb",
    "record_compact",
    "record_mirror",
    "record_to",
    "outcome",
    "dataset_spec",
    "callbacks",
    "peft_config",
    "tools",
    "environment_factory",
    "rollout_func",
    "eval_dataset",
    "reward_processing_classes",
)


def trainer(folder, *, policy=None, rewards=None, data=None, kind=RecordingGRPOTrainer, **options):
    """A trainer, ready to train; options that it does not take go to its configuration."""
    own = {name: options.pop(name) for name in _OWN if name in options}
    torch.manual_seed(0)
    model, tokenizer = policy or demo_policy()
    return kind(
        model,
        rewards or [exact_match, retrieval_recall],
        config(folder, **options),
        train_dataset=data if data is not None else musique(),
        processing_class=tokenizer,
        **own,
    )


def train(folder, **options):
    """Train and read the record."""
    trained = trainer(folder, **options)
    trained.train()
    return Training(trainer=trained, run=rlvr.open_run(folder), rows=record_of(folder))


def retrieving(folder, **options):
    """Train the demo's policy with its tool, from an environment of TRL."""
    return train(folder, environment_factory=Retrieve, **options)


def questions(count=8):
    """Numbered questions without a tool."""
    rows = [{"prompt": [{"role": "user", "content": f"Say {n}."}], "n": n} for n in range(count)]
    return datasets.Dataset.from_list(rows)


def record_of(folder):
    """Every trajectory of the run in a folder: there are some, and none was lost."""
    run = rlvr.open_run(folder)
    for rank in run.status().ranks:
        assert rank.recorded == rank.offered
    assert not run.damaged
    found = list(run.trajectories())
    assert found
    return found


def check_groups(rows, *, size=GROUP, scaled=True):
    """Groups are whole, of one prompt, and each advantage follows from the recorded rewards."""
    groups = defaultdict(list)
    for row in rows:
        groups[row.group_id].append(row)
    for group in groups.values():
        assert sorted(row.sample for row in group) == list(range(size))
        assert len({row.prompt for row in group}) == 1
        rewards = [row.reward for row in group]
        spread = statistics.stdev(rewards) + 1e-4 if scaled else 1.0
        for row in group:
            weighted = [c.value * c.weight for c in row.components if c.value is not None]
            assert row.reward == _near(sum(weighted))
            assert row.advantage == _near((row.reward - statistics.fmean(rewards)) / spread)
    assert len({row.id for row in rows}) == len(rows)
    return groups


def _near(value):
    import pytest

    return pytest.approx(value, abs=1e-3)


def fresh_logprobs(model, ids, temperature=1.0):
    """Logprob and entropy of every token of a sequence but the first, in nats."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(ids)])).logits[0, :-1].float() / temperature
    logprobs = torch.log_softmax(logits, dim=-1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    chosen = logprobs.gather(1, torch.tensor(list(ids))[1:, None])[:, 0]
    return [math.nan, *chosen.tolist()], [math.nan, *entropy.tolist()]


def whole_path(script):
    return Path(__file__).parent / script
