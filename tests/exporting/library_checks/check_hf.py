"""Loads an export with `datasets`: python check_hf.py FOLDER EXPECTED_ROLLOUTS."""

import sys
from tempfile import TemporaryDirectory

import datasets

with TemporaryDirectory() as cache:
    found = datasets.load_dataset(sys.argv[1], cache_dir=cache)
    rows = sum(split.num_rows for split in found.values())
    assert rows == int(sys.argv[2]), rows
    for mode, split in found.items():
        assert set(split["mode"]) == {mode}
        first = split[0]
        assert first["prompt"][-1]["role"] == "user"
        assert first["completion"][0]["role"] == "assistant"
        assert first["components"]
    print({mode: split.num_rows for mode, split in found.items()})
