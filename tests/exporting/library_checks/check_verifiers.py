"""Reads an export with verifiers' own models: python check_verifiers.py FILE EXPECTED_ROLLOUTS."""

import sys
from pathlib import Path

from verifiers.v1.episode import WireEpisode

lines = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")[:-1]
episodes = [WireEpisode.model_validate_json(line) for line in lines]
assert len(episodes) == int(sys.argv[2]), len(episodes)
with_tokens = 0
for episode in episodes:
    (trace,) = episode.traces
    (branch,) = trace.branches
    assert len(branch.messages) == len(trace.nodes) > 0
    assert len(branch.token_ids) == len(branch.sampled_mask)
    with_tokens += bool(branch.token_ids)
    for node in trace.nodes:
        for stream in (node.logprobs, node.trainer_logprobs, node.advantages):
            assert not stream or len(stream) == sum(node.mask), node
    stated, advantage = trace.info["rlvr"]["reward"], trace.info["rlvr"]["advantage"]
    if stated is not None:
        total = sum(reward.value for reward in trace.rewards.values() if reward is not None)
        assert abs(total - stated) < 1e-6, (episode.id, total, stated)
    assert advantage is None or any(n.advantages or not n.token_ids for n in trace.nodes)
    assert WireEpisode.model_validate(episode.to_record()).id == episode.id
print(f"{len(episodes)} episodes, {with_tokens} with tokens")
