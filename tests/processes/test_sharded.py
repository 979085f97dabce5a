"""Weights and optimizers that are really sharded over two processes: DeepSpeed, and FSDP2."""

import json

import pytest
from expectations import all_holds, is_recorded_once
from launching import (
    FLAGS,
    ON_CPU,
    SCRIPT,
    UNEVEN,
    WATCHED,
    accelerate,
    launch,
    watched,
    wide_policy,
)

import rlvr

pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(600)]

BF16_GAP = 0.03
"""Mean nats that bfloat16 forwards of this policy may differ by; synced wrongly it is 0.3."""


def with_config(name, *flags):
    return lambda *command: accelerate(name, *command, flags=flags)


@pytest.fixture(scope="module")
def zero3(tmp_path_factory):
    """Checked before, trained for two steps, then gone on from the first checkpoint."""
    folder = tmp_path_factory.mktemp("zero3")
    policy = str(wide_policy(folder / "policy"))
    common = {"bf16": True, "model": policy, "save_strategy": "steps", "save_steps": 1}
    launcher = with_config("zero3.yaml")
    first = watched(
        launcher, folder / "run", environment=ON_CPU, max_steps=2, preflight=True, **common
    )
    before = rlvr.open_run(folder / "run")
    kept = {path: path.read_bytes() for path in before.path.rglob("*") if path.is_file()}
    resume = str(folder / "run/checkpoint-1")
    second = watched(
        launcher, folder / "run", environment=ON_CPU, max_steps=3, resume=resume, **common
    )
    return first, second, kept, rlvr.open_run(folder / "run")


def test_zero3_shards_weights_and_optimizer(zero3):
    first, second, _, run = zero3
    for seen in (first, second):
        for one in seen:
            assert (one["type"], one["zero_stage"]) == ("DistributedType.DEEPSPEED", 3)
            whole = sum(size for size, _, _ in one["shards"].values())
            held = sum(shard for _, shard, _ in one["shards"].values())
            assert held == pytest.approx(whole / 2, rel=0.01)
            assert one["optimizer_numbers"] == pytest.approx(whole, rel=0.01)  # two for each weight
            large = [sizes for sizes in one["shards"].values() if sizes[0] > 100_000]
            assert len(large) == 6
            assert all(shard == size // 2 and left == 0 for size, shard, left in large)
        assert run.info.model_parameters == sum(s[0] for s in seen[0]["shards"].values())


def test_zero3_records_completely_and_samples_from_whole_weights(zero3):
    first, second, _, run = zero3
    assert [(a.attempt, a.first_step) for a in run.attempts] == [(0, 0), (1, 1)]
    assert [len(one["batches"]) for one in first] == [2, 2]  # none of the preflight's
    joined = [
        {**new, "batches": old["batches"][:1] + new["batches"]}
        for old, new in zip(first, second, strict=True)
    ]
    all_holds(joined, run, steps=3, gap=BF16_GAP)


def test_zero3_is_resumed_in_a_new_attempt_without_touching_the_old(zero3):
    first, second, kept, run = zero3
    assert all(path.read_bytes() == content for path, content in kept.items())
    redone = [t for t in run.trajectories(superseded=True) if (t.attempt, t.step) == (0, 1)]
    again = list(run.trajectories(step=1))
    assert {t.attempt for t in again} == {1}
    assert [t.example_id for t in again] == [t.example_id for t in redone]
    assert first[0]["weights"] != second[0]["weights"]


def test_zero3_preflight_says_what_it_can_and_what_it_cannot_know_yet(zero3):
    first, _, _, _ = zero3
    for one in first:
        states = {name: status for name, (status, _) in one["preflight"].items()}
        assert "fail" not in states.values()
        unknown = {name for name, status in states.items() if status == "unknown"}
        assert unknown == {
            "trainer sees the prompt",
            "trainer sees tool results",
            "weights reach the sampler",
            "trainer agrees with sampler",
        }
        assert all("ZeRO-3" in one["preflight"][name][1] for name in unknown)


def test_zero1_shards_the_optimizer_alone(tmp_path):
    seen = watched(with_config("zero1.yaml"), tmp_path, environment=ON_CPU, bf16=True, max_steps=2)
    for one in seen:
        assert (one["type"], one["zero_stage"]) == ("DistributedType.DEEPSPEED", 1)
        whole = sum(size for size, _, _ in one["shards"].values())
        assert all(size == shard == left for size, shard, left in one["shards"].values())
        assert one["optimizer_numbers"] == pytest.approx(whole, rel=0.01)  # of two for each weight
    all_holds(seen, rlvr.open_run(tmp_path), steps=2, gap=BF16_GAP)


@pytest.fixture(scope="module")
def fsdp(tmp_path_factory):
    """Trained for two steps, then gone on from the first checkpoint."""
    folder = tmp_path_factory.mktemp("fsdp")
    launcher = with_config("fsdp.yaml")
    common = {"fsdp_on_cpu": True, "save_strategy": "steps", "save_steps": 1}
    first = watched(launcher, folder, max_steps=2, **common)
    resume = str(folder / "checkpoint-1")
    second = watched(launcher, folder, max_steps=3, resume=resume, **common)
    return first, second, rlvr.open_run(folder)


def test_fsdp2_shards_weights_and_optimizer(fsdp):
    first, second, _ = fsdp
    for one in first + second:
        assert (one["type"], one["fsdp2"]) == ("DistributedType.FSDP", True)
        assert all(2 * shard == size for size, shard, _ in one["shards"].values())
        whole = sum(size for size, _, _ in one["shards"].values())
        assert one["optimizer_numbers"] == whole  # two for each weight, of half the weights


def test_fsdp2_records_completely_and_samples_from_whole_weights(fsdp):
    first, second, run = fsdp
    assert run.info.world_size == 2
    joined = [
        {**new, "batches": old["batches"][:1] + new["batches"]}
        for old, new in zip(first, second, strict=True)
    ]
    all_holds(joined, run, steps=3, gap=BF16_GAP)


def test_adapters_sharded_by_fsdp2_reach_the_sampler_merged(tmp_path):
    launcher = with_config("fsdp.yaml", "--mixed_precision", "no")
    seen = watched(launcher, tmp_path, fsdp_on_cpu=True, lora=True, max_steps=3, learning_rate=0.01)
    for one in seen:
        assert one["shards"]
        assert all("lora" in name for name in one["shards"])
        assert all(2 * shard == size for size, shard, _ in one["shards"].values())
    all_holds(seen, rlvr.open_run(tmp_path), steps=3, gap=1e-4)


def test_fsdp_that_accelerate_would_not_shard_is_refused(tmp_path):
    command = [SCRIPT, *FLAGS, "--output-dir", tmp_path]
    done = launch(accelerate("fsdp.yaml", *command), expect=1)
    assert "on CPUs accelerate gives each process a whole copy" in " ".join(done.stderr.split())


# Without the second flag accelerate asks for an accelerator first.
OLD = ("--fsdp_version", "1", "--fsdp_sync_module_states", "false")


def test_fsdp1_is_refused(tmp_path):
    command = (WATCHED, tmp_path, json.dumps({"fsdp_on_cpu": True}))
    done = launch(accelerate("fsdp.yaml", *command, flags=OLD), expect=1)
    assert "FSDP 1 joins weights into flat parameters" in done.stderr


def test_processes_with_unlike_numbers_of_further_sequences_stay_together(tmp_path):
    launch(accelerate("fsdp.yaml", UNEVEN, tmp_path))
    run = rlvr.open_run(tmp_path)
    found = is_recorded_once(run, steps=2, rows=8)
    assert {t.evidence.sequences for t in found} == {1, 3}
    assert all(t.evidence.ids_match for t in found)
