"""Do changed weights reach the sampler?"""

from collections.abc import Callable
from typing import Any

import torch

from rlvr.capture.sequences import training_rows
from rlvr.preflight.dry_batch import DryBatch, Undecidable
from rlvr.preflight.forwards import (
    Rows,
    Sampled,
    ask_sampler,
    check_whole_weights,
    logprobs,
    mean_difference,
    rows_of,
)
from rlvr.preflight.thresholds import MEASURABLE
from rlvr.preflight.untouched import changed
from rlvr.record.check import Check, CheckStatus

SYNC = "weights reach the sampler"
_CODE = "wrong-policy-version"
_LARGEST = 2**24  # parameters of the tensor that is changed, so that its copy stays small
_PROMPTS = 8


def weight_sync_check(dry: DryBatch) -> tuple[Check, ...]:
    """Change a weight, sync as training does, sample, and compare with old and new logprobs.

    Every process of a training calls it: the sync is theirs together.

    Raises:
        Undecidable: it can't be done here.
    """
    trainer = dry.trainer
    check_whole_weights(trainer)
    client = trainer.vllm_client = _PatientClient(trainer.vllm_client)
    parameter = _lever(trainer.model)
    main = _Main(enabled=trainer.accelerator.is_main_process)
    with changed(parameter) as kept:
        main.do(lambda: _change(dry, parameter))
        trainer._move_model_to_vllm()
        new = main.do(lambda: ask_sampler(dry, dry.examples[:_PROMPTS]))
        by_new = main.do(lambda: logprobs(trainer, new.rows, see_all=True))
    intact = torch.equal(parameter.detach(), kept)
    trainer._move_model_to_vllm()
    by_old = main.do(lambda: logprobs(trainer, new.rows, see_all=True))
    back = main.do(lambda: ask_sampler(dry, dry.examples[:_PROMPTS]))
    by_back = main.do(lambda: logprobs(trainer, back.rows, see_all=True))
    if not main.enabled:
        return ()
    for error in (main.error, client.error):
        if error is not None:
            raise error
    if not intact:
        raise Undecidable("the changed weight could not be put back")
    return (_judged(new, by_new, by_old, left=mean_difference(back.rows, back.sampler, by_back)),)


class _Main:
    """Does what only the main process does; after an error nothing more, so that none waits."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.error: Exception | None = None

    def do(self, work: Callable[[], Any]) -> Any:
        if not self.enabled or self.error is not None:
            return None
        try:
            return work()
        except Exception as error:  # noqa: BLE001  # raised again when every process is through
            self.error = error
            return None


class _PatientClient:
    """A weight-sync client that keeps an error for later, since the other processes wait."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_named_param(self, name: str, weights: torch.Tensor) -> None:
        try:
            self._client.update_named_param(name, weights)
        except Exception as error:  # noqa: BLE001  # raised again when every process is through
            self.error = error

    def reset_prefix_cache(self) -> None:
        try:
            self._client.reset_prefix_cache()
        except Exception as error:  # noqa: BLE001  # raised again when every process is through
            self.error = error

    def update_adapter(self, tensors: Any, config: Any) -> None:
        try:
            self._client.update_adapter(tensors, config)
        except Exception as error:  # noqa: BLE001  # raised again when every process is through
            self.error = error


def _lever(model: Any) -> torch.Tensor:
    """A small trainable tensor near the output: all tokens' logprobs depend on it."""
    trainable: list[torch.Tensor] = [
        p for p in model.parameters() if p.requires_grad and p.is_floating_point()
    ]
    small = [p for p in trainable if p.numel() <= _LARGEST]
    if not small:
        raise Undecidable("the policy has no trainable tensor that is small enough to be copied")
    return small[-1]


@torch.no_grad()
def _change(dry: DryBatch, parameter: torch.Tensor) -> None:
    """Add noise to the tensor until the trainer's own logprobs move measurably."""
    rows = _sampled_rows(dry)
    kept = parameter.detach().clone()
    before = logprobs(dry.trainer, rows, see_all=True)
    size = float(kept.float().pow(2).mean().sqrt()) or 0.02  # LoRA's second factor starts at zero
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(kept.shape, generator=generator).to(kept.device, torch.float32)
    for scale in (0.1 * 3**power for power in range(12)):
        parameter.copy_((kept.float() + scale * size * noise).to(kept.dtype))
        if mean_difference(rows, logprobs(dry.trainer, rows, see_all=True), before) >= MEASURABLE:
            return
    raise Undecidable("no change of a weight moved the trainer's logprobs")


def _sampled_rows(dry: DryBatch) -> Rows:
    """Some sequences as they were sampled, where the sampler said their ids; as trained if not."""
    sampled = [training_rows(group[0].capture.sampled)[:1] for group in dry.groups]
    rows = [row for own in sampled for row in own]
    return Rows.of(dry.trainer, rows[:_PROMPTS]) if rows else rows_of(dry)


def _judged(new: Sampled, by_new: torch.Tensor, by_old: torch.Tensor, *, left: float) -> Check:
    """`left` is the mean gap in nats after the old weights were synced back."""
    to_new = mean_difference(new.rows, new.sampler, by_new)
    to_old = mean_difference(new.rows, new.sampler, by_old)
    apart = mean_difference(new.rows, by_new, by_old)
    said = (
        f"With a weight changed, the sampler's logprobs lie {to_new:.2g} nats from the trainer's"
        f" new ones and {to_old:.2g} from its old ones"
    )
    if apart < MEASURABLE / 4:
        return _unknown(f"the change moves what was sampled by {apart:.2g} nats only")
    if to_old < to_new / 2:
        return _failed(f"{said}: it still samples from the old weights.")
    if to_new > to_old / 2:
        return _unknown(f"{said}: they are neither's")
    if left > to_old / 2:
        return _failed(
            f"{said}, but after a second sync it is {left:.2g} nats from the trainer: it was not"
            " updated again. Restart the sampler before training."
        )
    return Check(
        name=SYNC,
        status=CheckStatus.PASS,
        sentence=f"{said}; the weight is put back and synced again.",
        code=_CODE,
    )


def _failed(sentence: str) -> Check:
    return Check(
        name=SYNC,
        status=CheckStatus.FAIL,
        sentence=sentence,
        remedy="the sampler must take every parameter by its name (update_named_param) before it"
        " answers again: compare the names that the trainer sends with those that the sampler has,"
        " and restart a server whose communicator is stale",
        code=_CODE,
    )


def _unknown(sentence: str) -> Check:
    return Check(name=SYNC, status=CheckStatus.UNKNOWN, sentence=f"{sentence}.", code=_CODE)
