"""Every check of a trainer that has not trained yet, causes before their effects."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlvr.errors import ConfigurationError
from rlvr.preflight import batch, scoring, swaps, tokens, tools, weight_sync
from rlvr.preflight.dry_batch import DryBatch, Undecidable, dry_batch
from rlvr.preflight.untouched import untouched
from rlvr.record.check import Check, CheckStatus, PreflightReport
from rlvr.trainers.engines import engine_name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One function and the names and codes of the checks that it answers.

    `together` says that every process of a training takes part.
    """

    ask: Callable[[DryBatch], tuple[Check, ...]]
    checks: tuple[tuple[str, str], ...]
    together: bool = False


_STEPS = (
    _Step(ask=batch.generated_check, checks=((batch.GENERATED, ""),)),
    _Step(
        ask=scoring.scorer_checks,
        checks=((scoring.THREADS, "scorer-disagrees"), (scoring.GOLD, "scorer-silent")),
    ),
    _Step(ask=tools.round_trip_check, checks=((tools.ROUND_TRIP, "tool-fails"),)),
    _Step(ask=tools.parsed_check, checks=((tools.PARSED, "calls-unparsed"),)),
    _Step(ask=batch.limits_check, checks=((batch.LIMITS, "truncation"),)),
    _Step(ask=tokens.prompt_check, checks=((tokens.PROMPT, "tokens-not-sampled"),)),
    _Step(ask=tokens.sampled_check, checks=((tokens.SAMPLED, "tokens-not-sampled"),)),
    _Step(ask=tokens.prefix_check, checks=((tokens.PREFIX, "tokens-not-sampled"),)),
    _Step(ask=tokens.mask_check, checks=((tokens.MASK, "mask-on-wrong-roles"),)),
    _Step(ask=swaps.prompt_seen_check, checks=((swaps.PROMPT_SEEN, "context-not-attended"),)),
    _Step(ask=swaps.tools_seen_check, checks=((swaps.TOOLS_SEEN, "context-not-attended"),)),
    _Step(
        ask=weight_sync.weight_sync_check,
        checks=((weight_sync.SYNC, "wrong-policy-version"),),
        together=True,
    ),
    _Step(ask=tokens.gap_check, checks=((tokens.GAP_CHECK, "sampler-trainer-gap"),)),
    _Step(ask=batch.groups_check, checks=((batch.GROUPS, "zero-variance-groups"),)),
)


def preflight(trainer: Any) -> PreflightReport:
    """Check an `EnhancedGRPOTrainer` before `trainer.train()`, which is then as without it.

    Samples one batch on the trainer's own path and takes no step: weights, optimizer, random
    states, data order, the run's store and W&B stay as they were. Under several processes all of
    them call it, and all get the main one's report.

    Raises:
        ConfigurationError: not such a trainer, or one that trains now or has trained.
    """
    from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

    if not isinstance(trainer, EnhancedGRPOTrainer):
        raise ConfigurationError(
            f"preflight checks an EnhancedGRPOTrainer, not a {type(trainer).__name__}: import it"
            " from rlvr.trainers.enhanced_grpo_trainer"
        )
    if trainer.state.global_step or not trainer._loop_begins:
        raise ConfigurationError(
            "preflight checks a trainer before its first step, and this one has trained: call it"
            " before trainer.train(); `rlvr diagnose` judges what is recorded"
        )
    began = time.perf_counter()
    with untouched(trainer), trainer._libraries_repaired():
        dry = dry_batch(trainer)
        checks = tuple(check for step in _STEPS for check in _asked(step, dry))
    report = PreflightReport(
        trainer=type(trainer).__name__,
        repairs=tuple(sorted(trainer._repairs)),
        inference=engine_name(trainer._inference, trainer._sync),
        rollouts=len(dry.rollouts),
        duration_s=time.perf_counter() - began,
        checks=checks,
    )
    return _of_main_process(trainer.accelerator, report)


def _asked(step: _Step, dry: DryBatch) -> tuple[Check, ...]:
    """A step's checks; unknown with the reason where it can't be taken. Main process only."""
    main = dry.trainer.accelerator.is_main_process
    if not main and not step.together:
        return ()
    try:
        answered = step.ask(dry)
    except Undecidable as reason:
        because = f"{reason}."
    except Exception as error:  # noqa: BLE001  # the fence: a check never ends the others
        because = f"{type(error).__name__}: {error}"
    else:
        return answered
    return tuple(
        Check(name=name, status=CheckStatus.UNKNOWN, sentence=because, code=code)
        for name, code in step.checks
    )


def _of_main_process(accelerator: Any, report: PreflightReport) -> PreflightReport:
    if accelerator.num_processes == 1:
        return report
    from accelerate.utils import broadcast_object_list

    held = [report]
    broadcast_object_list(held, from_process=0)
    return held[0]
