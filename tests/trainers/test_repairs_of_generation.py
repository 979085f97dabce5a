"""What happens to a training when rollouts or scorers fail, with each repair on and with it off."""

import json
import threading
import time

import datasets
import math_verify.grader
import math_verify.parser
import pytest
import verifiers as vf
from math_verify.errors import TimeoutException

import rlvr
from rlvr.errors import GenerationFailed
from rlvr.record import ScoreStatus
from rlvr.trainers.shims import math_verify_in_any_thread
from trainings import echo_environment, record_of, tiny_policy, train, trainer

pytestmark = pytest.mark.train
dying_worker = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

PATIENCE_S = 3.0  # the generation timeout, after which the library gives up
PROMPT = "<|im_start|>user\nSay 1.<|im_end|>\n<|im_start|>assistant\n"
CALL = '<tool_call>\n{"name": "look", "arguments": %s}\n</tool_call>'


class Dice:
    """Says the next of some texts at each request."""

    def __init__(self, *texts):
        self.texts, self.count = texts, 0

    def __call__(self, _):
        self.count += 1
        return self.texts[self.count % len(self.texts)]


class Failing(vf.MultiTurnEnv):
    """Fails in the middle of one rollout, while the others go on."""

    def __init__(self, **options):
        super().__init__(max_turns=2, **options)
        self.rollouts = 0

    async def env_response(self, messages, state, **_):
        self.rollouts += 1
        if self.rollouts == 2:
            raise LookupError("shelf 7 is empty")
        return [{"role": "user", "content": "Say 1."}], state


def look(key: str) -> str:
    """Look a key up.

    Args:
        key: what to look up
    """
    return f"found {key}"


def tools_environment(cls=vf.ToolEnv):
    rows = [{"question": f"Say {n}.", "answer": ""} for n in range(8)]
    return cls(
        tools=[look], dataset=datasets.Dataset.from_list(rows), rubric=vf.Rubric(funcs=[turns])
    )


def turns(completion):
    return float(len(completion))


def failing_environment():
    rows = [{"question": f"Say {n}.", "answer": ""} for n in range(8)]
    return Failing(dataset=datasets.Dataset.from_list(rows), rubric=vf.Rubric(funcs=[turns]))


def begin(folder, environment, say, repairs):
    return trainer(
        folder,
        environment=environment,
        say=say,
        repairs=repairs,
        async_generation_timeout=PATIENCE_S,
    )


def test_an_exception_in_a_rollout_is_raised_by_train_with_its_cause(tmp_path):
    started = time.monotonic()
    with pytest.raises(GenerationFailed, match="LookupError: shelf 7 is empty") as failure:
        begin(tmp_path, failing_environment(), Dice("1", "2"), "all").train()
    assert time.monotonic() - started < PATIENCE_S
    assert isinstance(failure.value.__cause__, LookupError)
    found = record_of(tmp_path)
    assert len(found) == 8
    failed = [t for t in found if t.errors and t.errors[0].type == "LookupError"]
    assert [(t.errors[0].text, t.stop_reason) for t in failed] == [("shelf 7 is empty", "error")]
    assert "env_response" in failed[0].errors[0].traceback
    assert all(t.advantage is None for t in found)
    (process,) = rlvr.open_run(tmp_path).status().ranks
    assert "LookupError: shelf 7 is empty" in process.failure


@dying_worker
def test_as_shipped_an_exception_in_a_rollout_ends_as_a_timeout(tmp_path):
    with pytest.raises(TimeoutError, match="Batch 0 generation timed out"):
        begin(tmp_path, failing_environment(), Dice("1", "2"), "all,-generation_errors").train()


def malformed_calls():
    """A call that is no JSON, in some rollouts; whoever is told so, answers."""

    def say(prompt):
        if "Error" in prompt:
            return "2"
        return CALL % '{"key": oops}' if next(turn) % 2 else "1"

    turn = iter(range(10**6))
    return say


def test_a_malformed_call_is_answered_and_recorded_as_written(tmp_path):
    training = begin(tmp_path, tools_environment(), malformed_calls(), "all")
    training.train()
    called = [t for t in record_of(tmp_path) if t.tool_calls]
    assert len(called) == 4
    for trajectory in called:
        (call,), (result,) = trajectory.tool_calls, trajectory.tool_results
        assert '{"key": oops}' in call.arguments
        assert call.arguments == result.arguments
        assert (result.malformed, result.result) == (True, None)
        assert "not valid JSON" in result.error
        told = trajectory.completion[1]
        assert (told.role, told.tool_call_id) == ("tool", call.id)
        assert "not valid JSON" in told.content
        assert trajectory.completion[-1].content == "2"
        assert trajectory.evidence.ids_match


@dying_worker
def test_as_shipped_a_malformed_call_ends_as_a_timeout(tmp_path):
    with pytest.raises(TimeoutError):
        begin(tmp_path, tools_environment(), malformed_calls(), "all,-generation_errors").train()


def test_a_trainer_trains_again(tmp_path):
    training = begin(tmp_path, echo_environment(), Dice("1", "2 2", "3"), "all")
    training.train()
    training.train()
    first, second = sorted((tmp_path / "rlvr").iterdir())
    assert [len(list(rlvr.open_run(run).trajectories())) for run in (first, second)] == [8, 8]


def test_as_shipped_a_second_training_hangs(tmp_path):
    training = begin(tmp_path, echo_environment(), Dice("1", "2 2", "3"), "all,-train_again")
    training.train()
    with pytest.raises(TimeoutError, match="--batch-timeout"):
        training.train()


@pytest.mark.parametrize(("repairs", "value"), [("all", 1.0), ("all,-scorer_timeouts", 0.0)])
def test_a_boxed_answer_is_scored_in_the_thread_that_trains(tmp_path, repairs, value):
    rows = [{"question": f"Say {n}.", "answer": "42"} for n in range(8)]
    environment = vf.SingleTurnEnv(dataset=datasets.Dataset.from_list(rows), rubric=vf.MathRubric())
    run = train(
        tmp_path,
        environment=environment,
        say=lambda _: r"<think></think>\boxed{42}",
        repairs=repairs,
    ).run
    values = {t.component("correct_answer_reward_func").value for t in run.trajectories()}
    assert values == {value}


def spin():
    stop = time.monotonic() + 20
    while time.monotonic() < stop:
        pass


def patient(completion):
    """Scores with math_verify's own limit, and swallows its exception as MathRubric does."""
    try:
        math_verify.parser.timeout(1)(spin)()
    except TimeoutException:
        return 0.0
    return 1.0


def test_a_scorer_that_takes_too_long_is_stopped_and_recorded_as_such(tmp_path):
    run = train(
        tmp_path,
        environment=echo_environment(patient),
        say=Dice("1", "2"),
        per_device_train_batch_size=2,
        num_generations=2,
    ).run
    for trajectory in run.trajectories():
        component = trajectory.component("patient")
        assert (component.status, component.value) == (ScoreStatus.TIMEOUT, None)
        assert component.duration_s < 10
        assert trajectory.reward == 0.0


def test_the_limit_holds_in_any_thread_and_leaves_no_exception_behind():
    told, outcome = [], []

    def work():
        try:
            math_verify.grader.timeout(1)(spin)()
        except TimeoutException:
            outcome.append("stopped")
        outcome.append(math_verify.parser.timeout(5)(lambda: 7)())

    shipped = math_verify.parser.timeout
    with math_verify_in_any_thread(lambda: told.append(threading.current_thread().name)):
        thread = threading.Thread(target=work, name="scorer")
        thread.start()
        thread.join()
    assert outcome == ["stopped", 7]
    assert told == ["scorer"]
    assert math_verify.parser.timeout is shipped


def twin(value):
    def quality(completion):
        return value

    return quality


@pytest.mark.parametrize(
    ("repairs", "expected"),
    [("all", {"quality": 1.0, "quality_2": 0.0}), ("all,-scorer_errors", {"quality": 0.0})],
)
def test_reward_functions_of_one_name_are_kept_apart(tmp_path, repairs, expected):
    rubric = vf.Rubric(funcs=[twin(1.0), twin(0.0)], weights=[1.0, 0.5])
    run = train(
        tmp_path, environment=echo_environment(rubric), say=Dice("1", "2"), repairs=repairs
    ).run
    for trajectory in run.trajectories():
        assert {c.name: c.value for c in trajectory.components} == expected
        assert trajectory.reward == 1.0


def broken(completion):
    if "2" in completion[-1]["content"]:
        raise KeyError("no such answer")
    return 1.0


def test_a_scorers_exception_is_recorded_with_its_text(tmp_path):
    rubric = vf.Rubric(funcs=[broken, turns], weights=[1.0, 0.0])
    run = train(tmp_path, environment=echo_environment(rubric), say=Dice("1", "2")).run
    by_answer = {t.completion[-1].content: t for t in run.trajectories()}
    failed = by_answer["2"].component("broken")
    assert (failed.status, failed.value) == (ScoreStatus.ERROR, None)
    assert failed.error == "KeyError: 'no such answer'"
    assert by_answer["2"].component("turns").value == 1.0
    sound = by_answer["1"].component("broken")
    assert (sound.status, sound.value, sound.error) == (ScoreStatus.OK, 1.0, None)


class Unlimited(vf.SingleTurnEnv):
    """Tokenises by itself, and cares for no limit."""

    def process_env_results_vllm(self, *args, max_seq_len=-1, **options):
        return super().process_env_results_vllm(*args, max_seq_len=-1, **options)


@pytest.mark.parametrize(("repairs", "whole"), [("all", True), ("all,-row_truncation", False)])
def test_each_row_of_an_overlong_batch_keeps_its_first_tokens(tmp_path, repairs, whole):
    rows = [{"question": f"Say {n}.", "answer": ""} for n in range(8)]
    environment = Unlimited(
        dataset=datasets.Dataset.from_list(rows), rubric=vf.Rubric(funcs=[turns])
    )
    policy = tiny_policy()
    short = (
        len(policy[1].encode("<|im_start|>user\nSay 1.<|im_end|>\n<|im_start|>assistant\n1")) + 1
    )
    training = trainer(
        tmp_path,
        policy=policy,
        environment=environment,
        repairs=repairs,
        say=Dice("1", "1 2 3 2 1"),
        log_token_details=True,
    )
    training.max_seq_len = limit = short + 2
    training.train()
    micro_batch = training._buffered_inputs[0]
    begun = training.processing_class.encode("<|im_start|>user")
    starts = micro_batch["input_ids"][:, : len(begun)].tolist()
    assert micro_batch["input_ids"].shape == (8, limit)
    assert all(start == begun for start in starts) is whole
    for trajectory in record_of(tmp_path):
        (sequence,) = trajectory.tokens.sequences
        overlong = trajectory.completion[0].content != "1"
        assert len(sequence.ids) == (limit if overlong and whole else len(sequence.ids))
        assert trajectory.evidence.truncated is (overlong and whole)
        # What the trainer cut otherwise than the rows has no logprobs, rather than wrong ones.
        assert (sequence.trainer_logprobs is not None) is whole


def test_a_cut_row_has_no_loss_where_truncated_completions_are_masked(tmp_path):
    rows = [{"question": f"Say {n}.", "answer": ""} for n in range(8)]
    environment = Unlimited(
        dataset=datasets.Dataset.from_list(rows), rubric=vf.Rubric(funcs=[turns])
    )
    training = trainer(
        tmp_path,
        environment=environment,
        say=Dice("1", "1 2 3 2 1"),
        mask_truncated_completions=True,
    )
    prompt = len(
        training.processing_class.encode(
            "<|im_start|>user\nSay 1.<|im_end|>\n<|im_start|>assistant\n"
        )
    )
    training.max_seq_len = prompt + 4
    training.train()
    for trajectory in record_of(tmp_path):
        cut = trajectory.completion[0].content != "1"
        assert (trajectory.evidence.trained_tokens == 0) is cut


def test_what_is_written_of_a_failed_batch_is_json(tmp_path):
    with pytest.raises(GenerationFailed):
        begin(tmp_path, failing_environment(), Dice("1", "2"), "all").train()
    run = rlvr.open_run(tmp_path)
    assert json.loads((run.path / "run.json").read_text())["run"] == run.id
    assert not run.damaged
