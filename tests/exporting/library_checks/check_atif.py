"""Reads an export with the library `atif`: python check_atif.py FOLDER EXPECTED_ROLLOUTS."""

import sys
from pathlib import Path

from atif import Trajectory

paths = sorted(Path(sys.argv[1]).glob("*.json"))
found = [Trajectory.model_validate_json(path.read_bytes()) for path in paths]
assert len(found) == int(sys.argv[2]), len(found)
assert all(step.source in ("system", "user", "agent") for t in found for step in t.steps)
calls = sum(len(step.tool_calls or ()) for t in found for step in t.steps)
results = sum(len(step.observation.results) for t in found for step in t.steps if step.observation)
assert calls
assert results
print(f"{len(found)} documents, {calls} calls, {results} results")
