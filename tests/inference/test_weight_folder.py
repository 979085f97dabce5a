"""Weights in a folder: whole or not there, in shards of bounded size, and none left behind."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from rlvr.errors import StoreError
from rlvr.inference.weight_folder import WeightFolder

pytestmark = pytest.mark.train


def loaded(folder):
    """All tensors that the index names, each from the shard that it names."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    shards = {name: load_file(folder / name) for name in set(index.values())}
    return {name: shards[shard][name] for name, shard in index.items()}, len(shards)


def test_tensors_come_back_from_shards_that_no_bound_is_exceeded_in(tmp_path):
    weights = WeightFolder(tmp_path, shard_bytes=100)
    tensors = {f"t{n}": torch.full((10,), float(n)) for n in range(7)}  # 40 bytes each
    for name, tensor in tensors.items():
        weights.add(name, tensor)
    assert weights.names == tensors.keys()
    found, shards = loaded(weights.finish())
    assert shards == 3
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert weights.names == frozenset()


def test_a_tensor_is_written_as_it_was_when_it_was_added(tmp_path):
    weights = WeightFolder(tmp_path)
    merged = torch.ones(3)
    weights.add("w", merged)
    merged.zero_()  # as unmerging an adapter does before the set is complete
    found, _ = loaded(weights.finish())
    assert torch.equal(found["w"], torch.ones(3))


def test_a_set_has_its_name_only_when_it_is_whole_and_the_older_one_until_then(tmp_path):
    weights = WeightFolder(tmp_path, shard_bytes=1)
    weights.add("w", torch.ones(1))
    first = weights.finish()
    weights.add("w", torch.zeros(1))
    assert list(tmp_path.glob("*/weights-*")) == [first]
    second = weights.finish()
    assert {first, second} == set(tmp_path.glob("*/weights-*"))
    weights.forget_older()
    assert list(tmp_path.glob("*/weights-*")) == [second]
    weights.add("w", torch.zeros(1))
    weights.drop()
    assert not list(tmp_path.glob("*/unfinished"))


def test_what_a_dead_process_left_is_removed_and_a_living_ones_stays(tmp_path):
    left = (
        "import os, sys, pathlib\n"
        "from rlvr.inference.weight_folder import WeightFolder\n"
        "weights = WeightFolder(pathlib.Path(sys.argv[1]))\n"
        "os._exit(0)"  # as a kill does: nothing is tidied up
    )
    subprocess.run([sys.executable, "-c", left, tmp_path], check=True)
    assert len(list(tmp_path.iterdir())) == 1
    living = WeightFolder(tmp_path)
    WeightFolder(tmp_path)
    remaining = list(tmp_path.iterdir())
    living.add("w", torch.ones(1))
    assert living.finish().parent in remaining


def test_others_can_read_what_the_folder_lets_them_read(tmp_path):
    weights = WeightFolder(tmp_path)
    weights.add("w", torch.ones(1))
    folder = weights.finish()
    (shard,) = folder.glob("*.safetensors")
    assert shard.stat().st_mode & 0o777 == folder.stat().st_mode & 0o666


def test_a_folder_that_can_not_be_made_names_the_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--weight-sync-dir"):
        WeightFolder(tmp_path / "file")
