"""Trainers that go wrong: classes that stand around the recording trainers, none changed by them.

A class below a recording trainer does what its library would do wrongly, and what it does is
recorded; a class above it does what a user would.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import trl
from benchmarks.diagnosis.real.injections import Switch
from benchmarks.diagnosis.real.sampling import CUT_TOKENS, TEMPERATURE
from verifiers.trainers.grpo_trainer import GRPOTrainer as VerifiersTrainer

from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
from rlvr.trainers.recording_grpo_trainer import RecordingGRPOTrainer
from rlvr.trainers.repairs import Repair

__all__ = ["RATES", "FaultyTrlTrainer", "FaultyVerifiersTrainer", "ignore_limit", "toggle_view"]

RATES = {"rate_explodes": 300.0, "rate_tiny": 1e-5}
"""Faults of the learning rate: by what it is multiplied."""


class _Rates:
    """A constant learning rate, times what the faults of RATES make of it at each step."""

    switches: Mapping[str, Switch] = {}

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The scheduler, which is what the trainer logs the rate of."""
        del num_training_steps  # but for the faults the rate is constant
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer,  # type: ignore[attr-defined]
            lambda step: rate_factor(step, self.switches),
        )
        self._created_lr_scheduler = True
        return self.lr_scheduler


def rate_factor(step: int, switches: Mapping[str, Switch]) -> float:
    """By what the learning rate is multiplied at a step."""
    factor = 1.0
    for name, times in RATES.items():
        if name in switches and switches[name].hits_at(step, "rate"):
            factor *= times
    return factor


def dealt_out(advantages: torch.Tensor, switch: Switch, *, group_size: int) -> torch.Tensor:
    """Advantages of a batch, those of the groups that are hit dealt out among them at random."""
    rows = torch.tensor(
        [
            row
            for group in range(len(advantages) // group_size)
            if switch.hits(f"group {group}")
            for row in range(group * group_size, (group + 1) * group_size)
        ],
        dtype=torch.long,
    )
    dealt = advantages.clone()
    dealt[rows] = advantages[rows[torch.randperm(len(rows))]]
    return dealt


class _LibraryOfVerifiers(VerifiersTrainer):  # type: ignore[misc]  # verifiers has no types
    """Below the recording trainer."""

    switches: Mapping[str, Switch] = {}

    def _compute_advantages(self, rewards: torch.Tensor) -> torch.Tensor:
        advantages: torch.Tensor = super()._compute_advantages(rewards)
        switch = self.switches.get("shuffled_advantages")
        if switch is None:
            return advantages
        return dealt_out(advantages, switch, group_size=self.num_generations)


class FaultyVerifiersTrainer(_Rates, EnhancedGRPOTrainer, _LibraryOfVerifiers):
    """The repaired trainer with the faults of `switches`; set them before it trains.

    `turns` are allowed, and `fewer_turns` by the fault turn_limit.
    """

    turns = 1
    fewer_turns = 1

    def _prepare_inputs(self, inputs: Any) -> Any:
        for repair in (Repair.ATTENTION, Repair.ROW_TRUNCATION):
            if repair.value in self.switches:
                hit = self.switches[repair.value].hits("step")
                self._repairs = self._repairs - {repair} if hit else self._repairs | {repair}
        self.async_generator._cut_rows = Repair.ROW_TRUNCATION in self._repairs
        if "turn_limit" in self.switches:
            hit = self.switches["turn_limit"].hits("step")
            self.env.max_turns = self.fewer_turns if hit else self.turns
        return super()._prepare_inputs(inputs)


def toggle_view(view: Any, switches: Mapping[str, Switch]) -> None:
    """Let the view of an environment make some rollouts' training sequences wrongly."""
    original = view.process_chat_format_vllm
    state = view.rlvr_state

    def make(prompt: Any, completion: Any, rollout: Any, tokenizer: Any, mask: bool = False) -> Any:
        hit = {name for name, switch in switches.items() if switch.hits_next()}
        kept = state.settings
        wrong = {name: False for name in ("tool_schemas", "sampled_tokens") if name in hit}
        try:
            state.settings = replace(kept, **wrong)
            return original(
                prompt, completion, rollout, tokenizer, mask and "tools_trained" not in hit
            )
        finally:
            state.settings = kept

    view.process_chat_format_vllm = make


def ignore_limit(view: Any) -> None:
    """Let the view of an environment cut no row, as environments do that tokenise by themselves.

    Only then does an overlong batch come to the trainer.
    """
    original = view.process_env_results_vllm

    def process(*args: Any, **options: Any) -> Any:
        return original(*args, **{**options, "max_seq_len": -1})

    view.process_env_results_vllm = process


class _LibraryOfTrl(trl.GRPOTrainer):  # type: ignore[misc]  # trl is not followed
    """Below the recording trainer."""

    switches: Mapping[str, Switch] = {}

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        dealt, covered = (self.switches.get(n) for n in ("shuffled_advantages", "tools_trained"))
        if dealt is not None:
            output["advantages"] = dealt_out(
                output["advantages"], dealt, group_size=self.num_generations
            )
        if covered is not None:
            for row in range(len(output["tool_mask"])):
                if covered.hits(f"row {row}"):
                    output["tool_mask"][row] = 1
        return output

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        cold = self.switches.get("too_cold")
        temperature = self.generation_config.temperature
        if cold is not None and cold.hits("step"):
            self.generation_config.temperature = TEMPERATURE
        try:
            ids, logprobs = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        finally:
            self.generation_config.temperature = temperature
        switch = self.switches.get("token_limit")
        if switch is not None:
            ids = [row[:CUT_TOKENS] if switch.hits_next() else row for row in ids]
        return ids, logprobs


class FaultyTrlTrainer(_Rates, RecordingGRPOTrainer, _LibraryOfTrl):
    """TRL's recording trainer with the faults of `switches`; set them before it trains.

    `turns` are allowed, and `fewer_turns` by the fault turn_limit.
    """

    turns = 1
    fewer_turns = 1

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        if "turn_limit" in self.switches:
            hit = self.switches["turn_limit"].hits("step")
            self.max_tool_calling_iterations = (self.fewer_turns if hit else self.turns) - 1
        return super()._generate_and_score_completions(inputs)

    def _tool_call_loop(
        self, prompts: Any, prompt_ids: Any, completion_ids: Any, completions: Any, *args: Any
    ) -> Any:
        switch = self.switches.get("unparsed_calls")
        if switch is not None:
            self._leave_in_text(completion_ids, completions, switch)
        return super()._tool_call_loop(prompts, prompt_ids, completion_ids, completions, *args)

    def _leave_in_text(
        self, completion_ids: Sequence[list[int]], completions: Any, switch: Switch
    ) -> None:
        for place, ids in enumerate(completion_ids):
            if switch.hits_next():
                ended = ids[-1:] == [self._tokenizer.eos_token_id]
                text = self._tokenizer.decode(ids[:-1] if ended else ids)
                completions[place] = [{"role": "assistant", "content": text}]
