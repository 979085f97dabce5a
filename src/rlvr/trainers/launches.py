"""Launches that look like one training of several processes and are something else."""

from typing import Any

from rlvr.errors import ConfigurationError


def check_processes(args: Any) -> None:
    """Refuse processes that were launched together and would each train alone.

    The number that was launched is what accelerate reads of torchrun's or MPI's environment.

    Raises:
        ConfigurationError: more processes were launched than the configuration sees.
    """
    from accelerate.utils.environment import get_cpu_distributed_information

    launched = get_cpu_distributed_information().world_size
    if launched > 1 and args.world_size != launched:
        raise ConfigurationError(
            f"{launched} processes were launched, but each trains alone (the trainer sees"
            f" {args.world_size}). Where there is no GPU, set use_cpu=True in the configuration and"
            " launch with torchrun, configs/ddp.yaml or configs/zero3.yaml"
        )


def check_sharding(accelerator: Any) -> None:
    """Refuse a launch with FSDP that shards nothing, or that keeps weights from the sampler.

    Raises:
        ConfigurationError: it is FSDP 1, or accelerate does not shard here.
    """
    from accelerate.utils import parse_flag_from_env

    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    if plugin is not None and plugin.fsdp_version != 2:
        raise ConfigurationError(
            "FSDP 1 joins weights into flat parameters, which no sampler can be given by name: set"
            " fsdp_version: 2 in accelerate's configuration, as configs/fsdp.yaml has it"
        )
    asked = parse_flag_from_env("ACCELERATE_USE_FSDP") and accelerator.num_processes > 1
    if asked and plugin is None:
        raise ConfigurationError(
            "the launcher's configuration asks for FSDP, but on CPUs accelerate gives each process"
            " a whole copy of the model without saying so: launch with configs/zero3.yaml to shard,"
            " or with configs/ddp.yaml for whole copies"
        )
