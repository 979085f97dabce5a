"""What the trainings with TRL share."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def experimental_features_of_trl_are_meant():
    """TRL warns of each use of `environment_factory` and `rollout_func` unless told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
        yield
