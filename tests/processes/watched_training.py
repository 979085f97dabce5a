"""A training that says what each of its processes saw. Usage: watched_training.py FOLDER SETTINGS.

SETTINGS is a JSON object: settings of the training's configuration, and
    fsdp_on_cpu: let accelerate shard on CPUs too (see `shard_on_cpu`)
    lora: train adapters
    model: folder of the policy, the demo's unless said
    preflight: check the training first, on every process
    resume: the checkpoint to go on from
Each process writes FOLDER/seen-rRANK.json after its training.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed
from ending import end

from rlvr.demo.policy import bundled_checkpoint
from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer
from rlvr.trainers.policy import LoraOptions, load_policy
from trainings import config, questions

OWN = ("fsdp_on_cpu", "lora", "model", "preflight", "resume")


class WatchedTrainer(EnhancedGRPOTrainer):
    """Keeps what is local to its process."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def _compute_advantages(self, rewards):
        advantages = super()._compute_advantages(rewards)
        self.batches.append({"rewards": rewards.tolist(), "advantages": advantages.tolist()})
        return advantages


def main(folder, settings):
    own = {name: settings.pop(name) for name in OWN if name in settings}
    args = config(folder, **settings)
    if own.get("fsdp_on_cpu"):
        shard_on_cpu()
    deepspeed = args.deepspeed_plugin is not None
    policy, tokenizer = load_policy(own.get("model") or bundled_checkpoint(), half=deepspeed)
    trainer = WatchedTrainer(
        policy,
        questions(),
        args,
        tokenizer,
        inference="embedded",
        peft_config=LoraOptions(lora=own.get("lora", False), lora_r=4).config(),
    )
    seen = {"preflight": checks(trainer)} if own.get("preflight") else {}
    trainer.batches.clear()  # those of the preflight
    trainer.train(resume_from_checkpoint=own.get("resume"))
    seen |= what_is_seen(trainer)
    rank = trainer.accelerator.process_index
    (Path(folder) / f"seen-r{rank}.json").write_text(json.dumps(seen))
    end()


def shard_on_cpu():
    """Let accelerate take its FSDP branch, which it enters for accelerators only.

    The processes and gloo are set up by now; what follows is torch's own FSDP over a CPU mesh.
    """
    from accelerate.state import DistributedType, PartialState

    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def checks(trainer):
    import rlvr

    report = rlvr.preflight(trainer)
    return {check.name: [str(check.status), check.sentence] for check in report.checks}


def what_is_seen(trainer):
    accelerator = trainer.accelerator
    plugin = accelerator.state.deepspeed_plugin
    return {
        "processes": accelerator.num_processes,
        "world_size": torch.distributed.get_world_size(),
        "backend": torch.distributed.get_backend(),
        "type": str(accelerator.distributed_type),
        "zero_stage": plugin.zero_stage if plugin else None,
        "fsdp2": bool(accelerator.is_fsdp2),
        "step": trainer.state.global_step,
        "batches": trainer.batches,
        "shards": shards(trainer.model),
        "optimizer_numbers": optimizer_numbers(trainer),
        "weights": digest(trainer),
    }


def shards(model):
    """{name: [whole size, size of the shard, numbers in the module]} of each trained parameter."""
    return {
        name: [getattr(p, "ds_numel", p.numel()), local_size(p), p.data.numel()]
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def local_size(parameter):
    if hasattr(parameter, "ds_tensor"):
        return parameter.ds_tensor.numel()
    return parameter.to_local().numel() if hasattr(parameter, "to_local") else parameter.numel()


def optimizer_numbers(trainer):
    """How many numbers of an optimizer's state this process holds."""
    optimizer = trainer.optimizer
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return sum(
        value.to_local().numel() if hasattr(value, "to_local") else value.numel()
        for state in optimizer.state.values()
        for value in state.values()
        if torch.is_tensor(value) and value.dim()
    )


def digest(trainer):
    """Sums of the whole weights, gathered where they are sharded: equal where the weights are."""
    plugin = trainer.accelerator.state.deepspeed_plugin
    sums = []
    for parameter in trainer.model.parameters():
        if plugin is not None and plugin.zero_stage == 3:
            import deepspeed

            with deepspeed.zero.GatheredParameters([parameter]):
                whole = parameter.detach().clone()
        elif hasattr(parameter, "full_tensor"):
            whole = parameter.detach().full_tensor()
        else:
            whole = parameter.detach()
        numbers = whole.double().flatten()
        spread = torch.arange(1, len(numbers) + 1, dtype=torch.double)
        sums.append([float(numbers.sum()), float((numbers * spread).sum())])
    return sums


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
