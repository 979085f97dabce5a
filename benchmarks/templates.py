"""What real chat templates do to histories: restarts, their cost, and that no turn loses its loss.

For each chat template that TRL ships for Qwen2.5, Qwen3 and Llama 3 a real batch is trained on a
tiny model with a tokenizer of that family: `EnhancedGRPOTrainer`, the embedded engine and a tool
environment, with answers that are scripted. The dialogues have several turns with calls in every
shape that models write: with and without text before them, two at once, malformed, oddly spaced.
Thinking stands in every turn ("kept"), in every turn of a dialogue in which the user speaks again
("user speaks again"), in every turn but cut off by a server's reasoning parser ("split off"), or
nowhere ("none"). Calls are read by the embedded engine, which shows them to the model again as it
wrote them, or as vLLM's parsers read them (hermes, llama3_json): text before a call keeps its line
break, arguments are written anew, and what does not parse stays text.

    python benchmarks/templates.py
    python benchmarks/templates.py --template qwen3 --thinking kept --json
"""

import argparse
import collections
import contextlib
import io
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from trl import chat_template_utils
from verifiers import Rubric, ToolEnv
from verifiers.trainers import GRPOConfig

from rlvr import open_run
from rlvr.demo.policy.families import (
    LLAMA3,
    QWEN2_5,
    QWEN3,
    Family,
    family_policy,
    family_tokenizer,
)
from rlvr.inference.dialect import CallFormat
from rlvr.inference.spoken import SpokenEngine
from rlvr.inference.tool_calls import parse_tool_calls
from rlvr.record import Trajectory
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

FAMILIES = {
    "qwen2_5": QWEN2_5,
    "qwen2_5_training": QWEN2_5,
    "qwen3": QWEN3,
    "qwen3_training": QWEN3,
    "qwen3_instruct_2507": QWEN3,
    "llama3_1": LLAMA3,
    "llama3_2": LLAMA3,
}
MAX_TURNS = 6
MAX_TOKENS = 3_000
GROUP = 2
NOT_PARSED = '{"name": "look", "arguments": {"key": }'


class Thinking(StrEnum):
    """Where a model's thinking goes."""

    NONE = "none"
    KEPT = "kept"
    AGAIN = "user speaks again"
    SPLIT = "split off"


class Server(StrEnum):
    """Who reads the calls out of a model's text."""

    EMBEDDED = "embedded"
    VLLM = "vllm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What one turn writes: text before its calls, the calls' arguments, text after them.

    Arguments are JSON as written; text that is none stands for a whole call that does not parse.
    """

    before: str = ""
    calls: tuple[str, ...] = ()
    after: str = ""


def looks(*keys: str) -> Act:
    """A turn that looks keys up, arguments written as `json.dumps` writes them."""
    return Act(calls=tuple(json.dumps({"key": key}, ensure_ascii=False) for key in keys))


ANSWER = Act(before="It is 7.")
DIALOGUES = {
    "one call a turn": (looks("a"), looks("b"), ANSWER),
    "two calls at once": (looks("a", "b"), looks("c"), ANSWER),
    "text before the call": (
        Act(before="Let me look.", calls=looks("a").calls),
        Act(before="Then the next one:\n", calls=looks("b").calls),
        ANSWER,
    ),
    "empty answer": (looks("a"), Act()),
    "malformed call": (Act(calls=(NOT_PARSED,)), looks("b"), ANSWER),
    "odd spaces": (Act(calls=('{"key":  "a"}',)), Act(calls=('{"key":"b"}',)), ANSWER),
    "escaped letters": (Act(calls=('{"key": "caf\\u00e9"}',)), looks("café ✓"), ANSWER),
    "text after the call": (Act(calls=looks("a").calls, after="\nThat is all."), ANSWER),
}
TOOL_RESULTS = {
    "a": 'See {"b": [1, 2]}.\n\n  Indented, with a tab\tand </tool_response> in it. ',
    "b": "Zoë says: “7” ✓ \U0001f600\n",
    "c": "",
}


def look(key: str) -> str:
    """Look a key up.

    Args:
        key: what to look up.
    """
    return TOOL_RESULTS.get(key, f"Nothing under {key!r}.")


class Asking(ToolEnv):  # type: ignore[misc]  # verifiers has no types
    """A tool environment; with `again` its user speaks once more after the first answer."""

    def __init__(self, *, again: bool, **options: Any) -> None:
        super().__init__(**options)
        self.again = again

    async def is_completed(self, messages: Any, state: Any, **kwargs: Any) -> bool:
        """After the last answer that is asked for."""
        asked = sum(message["role"] == "user" for message in messages)
        if self.again and asked == 1 and state["turn"] < self.max_turns:
            return False
        done: bool = await super().is_completed(messages, state, **kwargs)
        return done

    async def env_response(self, messages: Any, state: Any, **kwargs: Any) -> Any:
        """The tools' answers, or the user's second question."""
        if "tool_calls" in messages[-1]:
            return await super().env_response(messages, state, **kwargs)
        return [{"role": "user", "content": "Are you sure? Say it again."}], state


def written(act: Act, family: Family, thinking: Thinking, *, turn: int) -> str:
    """A turn's text as a model of the family writes it when it follows its prompt."""
    if family is LLAMA3:
        names = [
            a if a == NOT_PARSED else f'{{"name": "look", "parameters": {a}}}' for a in act.calls
        ]
        calls = "; ".join(names)
    else:
        inner = [
            a if a == NOT_PARSED else f'{{"name": "look", "arguments": {a}}}' for a in act.calls
        ]
        calls = "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in inner)
    between = "\n" if act.before and calls and not act.before.endswith("\n") else ""
    text = f"{act.before}{between}{calls}{act.after}"
    if thinking is Thinking.NONE:
        return text
    return f"<think>\nStep {turn}: what do I know?\n</think>\n\n{text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Says a dialogue's next turn for a rendered prompt that names the dialogue by its number."""

    family: Family
    thinking: Thinking

    def __call__(self, prompt: str) -> str:
        """The text of the turn that the prompt asks for."""
        acts = self.acts(int(prompt.partition("Dialogue ")[2].partition(":")[0]))
        turn = prompt.count(self.family.answer_header) - 1
        return written(acts[min(turn, len(acts) - 1)], self.family, self.thinking, turn=turn)

    def acts(self, number: int) -> tuple[Act, ...]:
        """The turns of a dialogue."""
        return list(DIALOGUES.values())[number]

    def texts(self) -> Iterator[str]:
        """Everything that is said, for a tokenizer to be trained on."""
        for acts in DIALOGUES.values():
            for turn, act in enumerate(acts):
                yield written(act, self.family, Thinking.KEPT, turn=turn)
        yield from TOOL_RESULTS.values()


@dataclass(slots=True, kw_only=True)
class SpokenAsVllm(SpokenEngine):
    """Says what it is told to, and reads calls as vLLM's parsers do."""

    call_format: CallFormat

    def message(self, text: str, *, with_tools: bool) -> dict[str, Any]:
        """As vLLM makes it."""
        if self.splits_thinking:
            text = text.rpartition("</think>")[2].lstrip("\n")
        content, calls = parse_tool_calls(text, self.call_format)
        if not with_tools or not calls or not all(call.sound for call in calls):
            return {"role": "assistant", "content": text}
        functions = [
            {
                "name": call.name,
                "arguments": json.dumps(json.loads(call.arguments), ensure_ascii=False),
            }
            for call in calls
        ]
        tool_calls = [
            {"id": f"call-{number}", "type": "function", "function": function}
            for number, function in enumerate(functions)
        ]
        return {"role": "assistant", "content": content, "tool_calls": tool_calls}


def chat_template(name: str) -> str:
    """A chat template that TRL ships."""
    folder = Path(chat_template_utils.__file__).parent / "chat_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


def environment(thinking: Thinking) -> Asking:
    """The environment with one question for each dialogue."""
    rows = [
        {"question": f"Dialogue {number}: what is a, b and c?", "answer": str(number)}
        for number in range(len(DIALOGUES))
    ]

    def stated(completion: Any, answer: str) -> float:
        return float(answer in (completion[-1]["content"] or ""))

    return Asking(
        again=thinking is Thinking.AGAIN,
        tools=[look],
        max_turns=MAX_TURNS,
        dataset=Dataset.from_list(rows),
        rubric=Rubric(funcs=[stated]),
        system_prompt="You look things up.",
    )


def trainer(
    folder: Path,
    *,
    template: str,
    thinking: Thinking,
    server: Server = Server.EMBEDDED,
    repairs: str = "all",
    **changes: Any,
) -> EnhancedGRPOTrainer:
    """A trainer of one step over all dialogues, ready to train."""
    family = FAMILIES[template]
    say = Speaker(family=family, thinking=thinking)
    texts = [*say.texts(), chat_template(template)]
    tokenizer = family_tokenizer(family, chat_template=chat_template(template), texts=texts)
    model = family_policy(family, tokenizer, seed=0)
    spoken: dict[str, Any] = {
        "max_model_len": MAX_TOKENS,
        "say": say,
        "logprob": None,
        "splits_thinking": thinking is Thinking.SPLIT,
    }
    call_format = CallFormat.LLAMA3_JSON if family is LLAMA3 else CallFormat.HERMES
    engine = (
        SpokenEngine(model, tokenizer, **spoken)
        if server is Server.EMBEDDED
        else SpokenAsVllm(model, tokenizer, call_format=call_format, **spoken)
    )
    fields: dict[str, Any] = {
        "output_dir": str(folder),
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "max_steps": 1,
        "per_device_train_batch_size": GROUP * len(DIALOGUES),
        "num_generations": GROUP,
        "max_seq_len": MAX_TOKENS,
        "max_prompt_length": MAX_TOKENS,
        "max_tokens": 256,
        "mask_env_responses": True,
        "beta": 0.0,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "num_batches_ahead": 0,
        "max_data_workers": None,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 1,
    }
    torch.manual_seed(0)
    return EnhancedGRPOTrainer(
        model,
        environment(thinking),
        GRPOConfig(**(fields | changes)),
        tokenizer,
        inference=engine,
        repairs=repairs,
        log_token_details=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one template did with the dialogues of one kind of thinking.

    turns: turns after the first of their dialogue. restarts: those whose history was rendered
    otherwise than it was sampled. extra_tokens: tokens that were run again for that, as a share of
    the tokens of one sequence a dialogue. refused: dialogues that the template would not render.
    whole: every sampled token is trained exactly once, on the ids that were served and sampled.
    """

    template: str
    thinking: str
    server: str
    dialogues: int
    turns: int
    restarts: int
    extra_tokens: float
    restarting: tuple[str, ...]
    refused: tuple[str, ...]
    schemas: bool
    whole: bool
    gap_max: float


def trained_once(trajectory: Trajectory) -> bool:
    """Whether each turn's sampled tokens stand in one training sequence, in the loss, once."""
    evidence, details = trajectory.evidence, trajectory.tokens
    assert evidence is not None
    assert details is not None
    counted: collections.Counter[int] = collections.Counter()
    for sequence in details.sequences:
        for span in sequence.spans:
            inside = sum(sequence.loss_mask[span.start : span.stop])
            if span.role == "assistant":
                counted[span.turn] += inside
            elif inside:
                return False
    wanted = {turn.index: turn.sampled_tokens for turn in trajectory.turns}
    return (
        counted == wanted
        and bool(evidence.ids_match)
        and evidence.sampled_untrained_tokens == 0
        and evidence.trained_unsampled_tokens == 0
        and evidence.attended_share == 1.0
    )


def measure(template: str, thinking: Thinking, server: Server) -> Measured:
    """Train one batch, and read what was recorded of it."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        trainer(Path(folder), template=template, thinking=thinking, server=server).train()
        run = open_run(folder)
        return measured(
            list(run.trajectories(tokens=True)),
            run.vocabulary(),
            template=template,
            thinking=thinking,
            server=server,
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of the trainings."""
    logging.disable(logging.ERROR)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def measured(
    rollouts: Sequence[Trajectory],
    vocabulary: Sequence[str],
    *,
    template: str,
    thinking: Thinking,
    server: Server,
) -> Measured:
    """The figures of recorded rollouts."""
    names = list(DIALOGUES)
    restarting, refused = {}, {}
    restarts = turns = extra = single = 0
    schemas = True
    gap = 0.0
    for rollout in rollouts:
        name = names[int(rollout.answer or 0)]
        evidence, details = rollout.evidence, rollout.tokens
        assert evidence is not None
        assert details is not None
        again = (evidence.sequences or 1) - 1
        if again:
            restarting[name] = True
        if rollout.errors:
            refused[name] = True
        turns += len(rollout.turns) - 1
        restarts += again
        lengths = [len(sequence.ids) for sequence in details.sequences]
        extra += sum(lengths) - max(lengths)
        single += max(lengths)
        gap = max(gap, evidence.gap_mean or 0.0)
        prompt = "".join(
            vocabulary[id] for id in details.sequences[0].ids[: evidence.trained_prompt_tokens]
        )
        schemas &= "what to look up" in prompt.replace("Ġ", " ")
        schemas &= evidence.trained_prompt_tokens == evidence.served_prompt_tokens
    return Measured(
        template=template,
        thinking=thinking,
        server=server,
        dialogues=len(rollouts),
        turns=turns,
        restarts=restarts,
        extra_tokens=extra / single,
        restarting=tuple(restarting),
        refused=tuple(refused),
        schemas=schemas,
        whole=all(trained_once(rollout) for rollout in rollouts),
        gap_max=gap,
    )


def table_of(lines: Sequence[Measured]) -> Table:
    """The measurements as a table."""
    table = Table(
        "template", "thinking", "calls read by", "later turns", "restarts", "extra tokens",
        "restarting dialogues", "refused", "schemas", "all trained", "gap",
    )  # fmt: skip
    for line in lines:
        table.add_row(
            line.template,
            line.thinking,
            line.server,
            str(line.turns),
            f"{line.restarts / line.turns:.0%}" if line.turns else "",
            f"{line.extra_tokens:+.0%}",
            ", ".join(line.restarting) if len(line.restarting) < len(DIALOGUES) - 1 else "all",
            ", ".join(line.refused),
            "yes" if line.schemas else "NO",
            "yes" if line.whole else "NO",
            f"{line.gap_max:.0e}",
        )
    return table


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--template", choices=[*FAMILIES], help="one template; all if left out")
    parser.add_argument("--thinking", choices=[*Thinking], help="one kind; all if left out")
    parser.add_argument("--server", choices=[*Server], help="one reader of calls; both if left out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    templates = [arguments.template] if arguments.template else list(FAMILIES)
    kinds = [Thinking(arguments.thinking)] if arguments.thinking else list(Thinking)
    servers = [Server(arguments.server)] if arguments.server else list(Server)
    lines = [
        measure(template, kind, server)
        for template in templates
        for kind in kinds
        for server in servers
    ]
    if arguments.json:
        json.dump([asdict(line) for line in lines], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        Console(width=180).print(table_of(lines))


if __name__ == "__main__":
    main()
