"""The four functions that turn one trajectory into what a person reads and counts.

>>> from rlvr.utils.logging_helpers import format_conversation, format_reward_components
>>> print(format_conversation([{"role": "user", "content": "What is the capital of France?"}]))
👤 USER:
What is the capital of France?
>>> print(format_reward_components({"exact_match": 1.0, "f1": 0.5}, {"exact_match": 1, "f1": 0.9}))
exact_match  1 x 1 = 1
f1           0.5 x 0.9 = 0.45
sum          1.45

All of them take OpenAI-style messages and rows of any make, never change their arguments and never
raise: a trajectory that can't be shown whole is shown as far as it goes.
"""

from rlvr.utils.breakdown import format_reward_components
from rlvr.utils.conversation import format_conversation
from rlvr.utils.inputs import format_input_data
from rlvr.utils.statistics import TrajectoryStats, extract_trajectory_stats

__all__ = [
    "TrajectoryStats",
    "extract_trajectory_stats",
    "format_conversation",
    "format_input_data",
    "format_reward_components",
]
