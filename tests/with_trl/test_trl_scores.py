"""Reward functions under TRL: what each returned, raised, or left out."""

import math

import pytest
from transformers import Qwen3Config, Qwen3ForSequenceClassification
from trl_trainings import check_groups, questions, record_of, spoken, train, trainer

import rlvr
from rlvr.record import ScoreStatus

pytestmark = pytest.mark.train


def said(tmp_path, rewards, **options):
    return train(tmp_path, **_settings(rewards), **options)


def _settings(rewards):
    words = iter(range(10_000))
    policy = spoken(lambda _: f"{next(words) * 7 % 11}")
    return {"policy": policy, "rewards": rewards, "data": questions()}


def value(completions, **_):
    return [float(completion[-1]["content"]) / 10 for completion in completions]


def of_even_ones(completions, n, **_):
    return [None if number % 2 else 1.0 for number in n]


def never(completions, **_):
    return [None] * len(completions)


def odd_is_nan(completions, n, **_):
    return [math.nan if number % 2 else 0.5 for number in n]


async def later(completions, **_):
    return [float(completion[-1]["content"]) for completion in completions]


class Judge:
    """A reward function with a state."""

    __name__ = "judge"

    def __call__(self, completions, **_):
        return [1.0] * len(completions)


def test_values_read_as_the_function_returned_them(tmp_path):
    training = said(tmp_path, [value])
    check_groups(training.rows)
    for row in training.rows:
        (component,) = row.components
        assert component.value == float(row.completion[0].content) / 10
        assert row.reward == component.value
        assert (component.status, component.weight) == (ScoreStatus.OK, 1.0)


@pytest.mark.parametrize("function", [of_even_ones, odd_is_nan])
def test_a_function_that_does_not_apply_has_no_value(tmp_path, function):
    training = said(tmp_path, [value, function])
    for row in training.rows:
        component = row.component(function.__name__)
        if row.info["n"] % 2:
            assert (component.value, component.status) == (None, ScoreStatus.NOT_APPLICABLE)
            assert row.reward == row.component("value").value
        else:
            assert component.status is ScoreStatus.OK
            assert row.reward == pytest.approx(row.component("value").value + component.value)


def test_a_rollout_that_nothing_scores_has_no_reward(tmp_path):
    training = said(tmp_path, [never])
    for row in training.rows:
        assert row.reward is None
        assert row.advantage == 0.0
        assert row.component("never").status is ScoreStatus.NOT_APPLICABLE


def test_coroutines_and_objects_score_and_functions_of_one_name_are_told_apart(tmp_path):
    functions = [later, value, value, Judge()]
    training = said(tmp_path, functions, reward_weights=[0.1, 0.2, 0.3, 0.4])
    check_groups(training.rows)
    assert training.run.info.components == {
        "later": 0.1, "value": 0.2, "value_2": 0.3, "judge": 0.4,
    }  # fmt: skip
    for row in training.rows:
        assert [c.name for c in row.components] == ["later", "value", "value_2", "judge"]
        assert all(component.duration_s is not None for component in row.components)
        assert row.cost.scoring_s == pytest.approx(sum(c.duration_s for c in row.components))


def test_a_reward_model_scores_too(tmp_path):
    settings = _settings([])
    model, tokenizer = settings["policy"]
    judge = Qwen3ForSequenceClassification(
        Qwen3Config(**model.config.to_dict() | {"num_labels": 1})
    )
    judge.config._name_or_path = "org/judge"
    training = train(
        tmp_path,
        **settings | {"rewards": [judge, value]},
        reward_processing_classes=[tokenizer, None],
    )
    check_groups(training.rows)
    assert len({row.component("judge").value for row in training.rows}) > 1
    assert training.run.info.scoring["scorers"]["judge"].startswith("transformers.models.qwen3")


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("no answer"), ScoreStatus.ERROR), (TimeoutError("slow"), ScoreStatus.TIMEOUT)],
)
@pytest.mark.parametrize("deferred", [False, True])
def test_a_function_that_raises_stops_training_as_in_trl_and_is_recorded(
    tmp_path, error, status, deferred
):
    def broken(completions, **_):
        raise error

    async def broken_later(completions, **_):
        raise error

    settings = _settings([value, broken_later if deferred else broken])
    training = trainer(tmp_path, **settings)
    with pytest.raises(type(error), match=str(error)):
        training.train()
    for row in record_of(tmp_path):
        first, second = row.components
        assert second.status is status
        assert second.error == f"{type(error).__name__}: {error}"
        assert second.value is None
        assert first.value == float(row.completion[0].content) / 10  # it never became a reward
        assert (row.reward, row.advantage, row.stop_reason) == (None, None, "error")
        assert row.errors[0].where == "scoring"
        assert row.completion
    (rank,) = rlvr.open_run(tmp_path).status().ranks
    assert str(error) in rank.failure


def test_messages_that_a_reward_function_changes_are_recorded_as_they_were(tmp_path):
    def careless(completions, prompts, **_):
        scores = value(completions)
        for completion, prompt in zip(completions, prompts, strict=True):
            completion[-1]["content"] = "gone"
            prompt[-1]["content"] = "gone"
        return scores

    training = said(tmp_path, [careless])
    for row in training.rows:
        assert float(row.completion[0].content) / 10 == row.reward
        assert row.prompt[0].content.startswith("Say ")


@pytest.mark.parametrize(("scale", "declared"), [("group", True), ("none", False), ("batch", None)])
def test_the_run_says_how_advantages_are_scaled(tmp_path, scale, declared):
    training = said(tmp_path, [value], scale_rewards=scale)
    assert training.run.info.scale_rewards is declared
    if declared is not None:
        check_groups(training.rows, scaled=declared)
    assert rlvr.diagnose(training.run).ledger.total == len(training.rows)
