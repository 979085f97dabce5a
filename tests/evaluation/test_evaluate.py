"""An evaluation as a run: what it records, what it counts, what ends it, how it goes on."""

import json
import threading

import pytest
import torch
import verifiers as vf
from evaluations import engine, evaluate, even_right, exam, right, speaker

import rlvr
from rlvr.environments.settings import Origin
from rlvr.errors import ConfigurationError, InferenceError
from rlvr.evaluation.samplers import EmbeddedModel
from rlvr.inference.dialect import dialect_of
from rlvr.inference.embedded import EmbeddedEngine
from rlvr.inference.spoken import SpokenEngine
from rlvr.record import EVALUATION, Mode, ScoreStatus
from trainings import demo_policy, questions

pytestmark = pytest.mark.train


def outcome_of(environment, name="right"):
    environment.origin = Origin(loader="tests", options={}, dataset="numbers", outcome=name)
    return environment


def rows_of(done):
    return list(done.run.trajectories(mode=Mode.EVAL))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Six questions of which every second is answered right, three rollouts each."""
    heard = []
    folder = tmp_path_factory.mktemp("evaluation")
    made = evaluate(folder, outcome_of(exam()), rollouts=3, step=40, progress=heard)
    return made, heard


def test_every_rollout_is_recorded_as_evaluation_with_the_example_as_its_group(done):
    rows = rows_of(done[0])
    assert len(rows) == 18
    assert {(row.mode, row.step, row.advantage) for row in rows} == {(Mode.EVAL, 40, None)}
    groups = {row.example_id: [] for row in rows}
    for row in rows:
        groups[row.example_id].append((row.group_id, row.sample))
    assert set(groups) == {f"q{number}" for number in range(6)}
    for members in groups.values():
        assert len({group for group, _ in members}) == 1
        assert [sample for _, sample in members] == [0, 1, 2]
    assert {row.turns[0].policy_version for row in rows} == {40}
    assert {row.completion[-1].text for row in rows} == {"0", "2", "4", "x"}


def test_it_counts_what_is_right(done):
    rates = done[0].rates
    assert rates.component == "right"
    assert (rates.rollouts, rates.scored, rates.passed) == (18, 18, 9)
    assert [(rate.k, rate.value) for rate in rates.rates] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert done[0].failed == 0


def test_the_run_says_how_it_was_made(done):
    info = done[0].run.info
    assert info.trainer == EVALUATION
    assert info.is_evaluation
    assert info.model == "spoken"
    assert info.num_generations == 3
    assert info.dataset == "numbers"
    assert info.outcome == "right"
    assert info.components == {"right": 1.0}
    assert info.sampling == {"temperature": 1.0, "top_p": 1.0, "max_tokens": 1024}
    assert info.scoring["thread"] == "main"
    assert info.scoring["scorers"]["right"].startswith("evaluations.right ")
    assert info.chat_template
    assert info.config["policy_step"] == 40


def test_served_and_sampled_tokens_are_kept_and_none_has_a_loss(done):
    row = rows_of(done[0])[0]
    (sequence,) = row.tokens.sequences
    prompt = row.evidence.served_prompt_tokens
    texts = done[0].run.vocabulary()
    assert "Say" in "".join(texts[token] for token in sequence.ids[:prompt])
    assert len(sequence.ids) == prompt + row.evidence.sampled_tokens
    assert set(sequence.loss_mask) == {0}
    assert [span.role for span in sequence.spans] == ["prompt", "assistant"]
    assert row.evidence.trained_tokens is None


def test_it_says_how_far_it_is(done):
    heard = done[1]
    assert [(at.done, at.total) for at in heard] == [(3 * n, 18) for n in range(7)]
    assert (heard[-1].scored, heard[-1].passed, heard[-1].failed) == (18, 9, 0)


def test_without_token_details_none_are_kept(tmp_path):
    made = evaluate(tmp_path, keep_tokens=False)
    assert all(row.tokens is None for row in rows_of(made))
    assert made.run.vocabulary() == ()


def test_where_no_component_says_what_is_right_there_are_no_rates(tmp_path):
    made = evaluate(tmp_path)
    assert made.rates is None
    assert len(rows_of(made)) == 12


def test_the_first_examples_can_be_asked_alone(tmp_path):
    made = evaluate(tmp_path, examples=2)
    assert {row.example_id for row in rows_of(made)} == {"q0", "q1"}


def test_no_more_rollouts_run_at_a_time_than_asked_for(tmp_path):
    asked = []

    class Counting(vf.SingleTurnEnv):
        running = most = 0

        async def rollout(self, *args, **kwargs):
            Counting.running += 1
            Counting.most = max(Counting.most, Counting.running)
            asked.append(Counting.running)
            try:
                return await super().rollout(*args, **kwargs)
            finally:
                Counting.running -= 1

    environment = exam()
    counting = Counting(dataset=environment.dataset, rubric=environment.rubric)
    made = evaluate(tmp_path, counting, rollouts=5, concurrency=3)
    assert len(rows_of(made)) == 30
    assert Counting.most == 3


def test_scorers_run_in_the_callers_main_thread_as_the_record_says(tmp_path):
    threads = []

    def noting(completion):
        threads.append(threading.current_thread() is threading.main_thread())
        return 1.0

    here = evaluate(tmp_path / "here", exam(outcome=noting))
    assert threads == [True] * 12
    assert here.run.info.scoring["thread"] == "main"
    made = []
    worker = threading.Thread(
        target=lambda: made.append(evaluate(tmp_path / "there", exam(outcome=noting)))
    )
    worker.start()
    worker.join()
    assert threads[12:] == [False] * 12
    assert made[0].run.info.scoring["thread"] == "worker"


def test_the_environments_own_sampling_arguments_hold_unless_overridden(tmp_path):
    heard = []

    class Listening(EmbeddedEngine):
        def generate(self, requests):
            heard.extend(request.sampling for request in requests)
            return EmbeddedEngine.generate(self, requests)

    model, tokenizer = demo_policy()
    sampler = EmbeddedModel(
        model="demo", engine=Listening(model, tokenizer, max_model_len=512, replicate=False)
    )
    environment = exam(count=1, sampling_args={"temperature": 0.1, "extra_body": {"top_k": 3}})
    evaluate(tmp_path, environment, sampler, temperature=0.5, max_tokens=4)
    assert {(one.temperature, one.top_k, one.max_tokens) for one in heard} == {(0.5, 3, 4)}


# A scorer that fails, a rollout that raises


@pytest.mark.parametrize("value", [float("nan"), OSError("no scorer")])
def test_what_a_scorer_could_not_say_is_left_out_of_the_rates(tmp_path, value):
    def wavering(completion, answer):
        if answer == "0":
            if isinstance(value, Exception):
                raise value
            return value
        return right(completion, answer)

    heard = []
    made = evaluate(tmp_path, outcome_of(exam(outcome=wavering), "wavering"), progress=heard)
    assert (heard[-1].scored, heard[-1].passed) == (10, 4)
    assert (made.rates.rollouts, made.rates.scored, made.rates.passed) == (12, 10, 4)
    assert made.rates.least == pytest.approx(4 / 12)
    assert made.rates.most == pytest.approx(6 / 12)
    failed = [row.component("wavering") for row in rows_of(made) if row.example_id == "q0"]
    if isinstance(value, Exception):
        assert {(one.status, one.value) for one in failed} == {(ScoreStatus.ERROR, None)}
        assert "no scorer" in failed[0].error


def test_a_rollout_that_raises_is_recorded_and_ends_no_other(tmp_path):
    class Fragile(vf.SingleTurnEnv):
        async def rollout(self, client, model, prompt, answer="", *args, **kwargs):
            if answer == "3":
                raise RuntimeError("the tool server is gone")
            return await super().rollout(client, model, prompt, answer, *args, **kwargs)

    environment = exam()
    made = evaluate(
        tmp_path, outcome_of(Fragile(dataset=environment.dataset, rubric=environment.rubric))
    )
    assert made.failed == 2
    rows = rows_of(made)
    broken = [row for row in rows if row.errors]
    assert [(row.stop_reason, row.reward, row.answer) for row in broken] == [
        ("error", None, "3")
    ] * 2
    assert "the tool server is gone" in broken[0].errors[0].text
    assert made.rates.scored == 10


def test_a_rubric_that_raises_as_a_whole_costs_that_rollout_its_score(tmp_path):
    class Breaking(vf.Rubric):
        async def score_rollout(self, prompt, completion, answer, *args, **kwargs):
            if answer == "1":
                raise KeyError("weights")
            return await super().score_rollout(prompt, completion, answer, *args, **kwargs)

    environment = exam()
    environment.rubric = Breaking(funcs=[right])
    made = evaluate(tmp_path, outcome_of(environment))
    broken = [row for row in rows_of(made) if row.errors]
    assert {(row.example_id, row.reward, row.errors[0].where) for row in broken} == {
        ("q1", None, "scoring")
    }


def test_eight_failures_in_a_row_end_it_and_say_so(tmp_path):
    class Broken(vf.SingleTurnEnv):
        async def rollout(self, *args, **kwargs):
            raise RuntimeError("no such index")

    environment = exam(count=20)
    broken = Broken(dataset=environment.dataset, rubric=environment.rubric)
    with pytest.raises(InferenceError, match=r"8 rollouts in a row failed.*no such index"):
        evaluate(tmp_path, broken, concurrency=2)
    (rank,) = rlvr.open_run(tmp_path).status().ranks
    assert rank.failure.startswith("InferenceError: 8 rollouts in a row failed")


# Going on


def stopping_after(count):
    """Words for `even_right`, until so many questions were asked."""
    asked = []

    def say(prompt):
        asked.append(prompt)
        if len(asked) > count:
            raise KeyboardInterrupt
        return even_right(prompt)

    return say


def test_an_interrupted_evaluation_is_recorded_and_resumed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, outcome_of(exam()), speaker(stopping_after(4)), concurrency=2)
    stopped = rlvr.open_run(tmp_path)
    before = {row.example_id for row in stopped.trajectories()}
    assert before == {"q0", "q1"}
    heard = []
    made = evaluate(tmp_path, outcome_of(exam()), resume=stopped.id, progress=heard)
    assert made.run.id == stopped.id
    assert made.skipped == 2
    rows = rows_of(made)
    assert sorted((row.example_id, row.sample) for row in rows) == [
        (f"q{number}", sample) for number in range(6) for sample in range(2)
    ]
    assert {row.attempt for row in rows} == {0, 1}
    assert made.rates.pass_at_1.value == 0.5
    assert (heard[0].done, heard[0].scored, heard[0].passed) == (4, 4, 2)
    assert heard[-1].done == 12


def test_a_finished_evaluation_that_is_resumed_asks_nothing(tmp_path):
    first = evaluate(tmp_path, outcome_of(exam()))
    asked = []
    again = evaluate(
        tmp_path, outcome_of(exam()), speaker(lambda prompt: asked.append(prompt) or "x"),
        resume=first.run.id,
    )  # fmt: skip
    assert asked == []
    assert again.skipped == 6
    assert again.rates == first.rates


def test_an_example_that_stands_twice_is_asked_twice_also_after_a_resume(tmp_path):
    environment = exam(count=2)
    environment.dataset = environment.dataset.select([0, 1, 0])
    first = evaluate(tmp_path, environment, examples=2)
    made = evaluate(tmp_path, environment, resume=first.run.id)
    assert [row.example_id for row in rows_of(made)].count("q0") == 4
    assert made.skipped == 2


def test_rows_without_an_id_of_their_own_are_numbered(tmp_path):
    environment = exam(count=3)
    environment.dataset = environment.dataset.remove_columns("info")
    made = evaluate(tmp_path, environment)
    assert {row.example_id for row in rows_of(made)} == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("change", "named"),
    [({"temperature": 0.5}, "sampling"), ({"rollouts": 3}, "num_generations"),
     ({"step": 9}, "policy_step")],
)  # fmt: skip
def test_a_run_made_otherwise_is_not_resumed(tmp_path, change, named):
    first = evaluate(tmp_path)
    with pytest.raises(ConfigurationError, match=f"with another {named}"):
        evaluate(tmp_path, resume=first.run.id, **change)
    assert len(rlvr.open_run(tmp_path).attempts) == 1


def test_only_an_evaluation_is_resumed_as_one(tmp_path):
    from trainings import train

    training = train(tmp_path)
    with pytest.raises(ConfigurationError, match="is no evaluation"):
        evaluate(tmp_path, resume=training.run.id)
    with pytest.raises(ConfigurationError, match="there is no run 20"):
        evaluate(tmp_path, resume="20260101-000000-abcd")


def test_two_evaluations_in_one_folder_are_two_runs(tmp_path):
    first, second = evaluate(tmp_path), evaluate(tmp_path)
    assert first.run.id != second.run.id
    assert len(rows_of(first)) == len(rows_of(second)) == 12


@pytest.mark.parametrize("settings", [{"rollouts": 0}, {"concurrency": 0}])
def test_settings_that_can_not_work_are_refused(tmp_path, settings):
    with pytest.raises(ConfigurationError, match="at least 1"):
        evaluate(tmp_path, **settings)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_data_set_is_refused(tmp_path):
    environment = exam()
    environment.dataset = environment.dataset.select([])
    with pytest.raises(ConfigurationError, match="holds no rows"):
        evaluate(tmp_path, environment)


# Real policies


def test_the_model_itself_is_sampled_not_a_copy(tmp_path):
    model, tokenizer = demo_policy()
    alone = EmbeddedEngine(model, tokenizer, max_model_len=512, replicate=False)
    assert alone._replica is model
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    sampler = EmbeddedModel(model="demo", engine=alone)
    made = evaluate(tmp_path, questions(), sampler, max_tokens=48)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert made.rates.component == "exact_match"
    assert any(row.tool_results for row in rows_of(made))


def test_the_environment_can_be_loaded_again_from_the_record(tmp_path):
    sampler = EmbeddedModel(model="demo", engine=engine(lambda _: "<answer>x</answer>"))
    made = evaluate(tmp_path, questions(), sampler, examples=1)
    told = made.run.info.environment
    assert told["loader"] == "rlvr.environments.musique.verifiers"
    assert json.loads(json.dumps(told["options"]))["prompt_style"] == "brief"


def test_failures_that_others_stand_between_end_nothing(tmp_path):
    class Wavering(vf.SingleTurnEnv):
        async def rollout(self, client, model, prompt, answer="", *args, **kwargs):
            if int(answer) % 2:
                raise RuntimeError("odd")
            return await super().rollout(client, model, prompt, answer, *args, **kwargs)

    environment = exam(count=24)
    wavering = Wavering(dataset=environment.dataset, rubric=environment.rubric)
    made = evaluate(tmp_path, wavering, rollouts=1, concurrency=1)
    assert (made.rollouts, made.failed) == (24, 12)


def test_a_history_is_rendered_as_training_renders_it(tmp_path):
    """What a template puts before a call itself is not left in the text, to be written twice."""
    call = '<tool_call>\n{"name": "retrieve", "arguments": {"query": "a"}}\n</tool_call>'
    model, tokenizer = demo_policy()
    before = dialect_of(tokenizer).before_call
    assert before

    def say(prompt):
        return "<answer>x</answer>" if "tool_response" in prompt else f"I look.{before}{call}"

    spoken = SpokenEngine(model, tokenizer, max_model_len=512, say=say)
    made = evaluate(
        tmp_path, questions(), EmbeddedModel(model="m", engine=spoken), rollouts=1, examples=1
    )
    (row,) = rows_of(made)
    assert row.completion[0].text == "I look."
    assert len(row.tokens.sequences) == 1  # the served history continues what was sampled
