"""What a preflight says of trainers with one known fault each, and of a sound one."""

import datasets
import pytest
import verifiers as vf

import rlvr
from rlvr.errors import ConfigurationError
from rlvr.inference.embedded import EmbeddedEngine
from rlvr.inference.spoken import SpokenEngine
from rlvr.record.check import CheckStatus
from trainings import demo_policy, echo_environment, questions, tiny_policy, trainer

pytestmark = pytest.mark.train
PASS, FAIL, UNKNOWN = CheckStatus.PASS, CheckStatus.FAIL, CheckStatus.UNKNOWN


def check_of(name, folder, **options):
    return rlvr.preflight(trainer(folder, **options)).check(name)


def on_questions(folder, **options):
    return trainer(folder, policy=demo_policy(), environment=questions(), **options)


@pytest.fixture(scope="module")
def as_shipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shipped")
    return rlvr.preflight(on_questions(folder, repairs="generation_errors"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return rlvr.preflight(on_questions(tmp_path_factory.mktemp("sound")))


# The trainer itself


def test_all_defects_of_the_trainer_as_shipped_are_found(as_shipped):
    assert {check.name for check in as_shipped.failed} == {
        "training prompt is the served one",
        "training tokens are the sampled ones",
        "trainer sees the prompt",
        "trainer sees tool results",
        "trainer agrees with sampler",
    }
    assert "tool schemas are missing" in as_shipped.failed[0].sentence
    assert as_shipped.first_to_mend is as_shipped.failed[0]
    assert all(check.remedy for check in as_shipped.failed)


def test_the_repaired_trainer_passes_everything(sound):
    assert [check for check in sound.checks if check.status is not PASS] == []
    assert sound.first_to_mend is None
    assert sound.rollouts == 8


@pytest.mark.parametrize(
    ("left_out", "found"),
    [
        ("attention", "trainer sees the prompt"),
        ("attention", "trainer sees tool results"),
        ("tool_schemas", "training prompt is the served one"),
        ("sampled_tokens", "training tokens are the sampled ones"),
    ],
)
def test_each_defect_is_found_alone(tmp_path, left_out, found):
    report = rlvr.preflight(on_questions(tmp_path, repairs=f"all,-{left_out}"))
    assert report.check(found).status is FAIL
    assert left_out in report.check(found).remedy


def test_tool_results_in_the_loss_are_found(tmp_path):
    report = rlvr.preflight(on_questions(tmp_path, mask_env_responses=False))
    check = report.check("loss on sampled tokens alone")
    assert check.status is FAIL
    assert "mask_env_responses=False" in check.remedy


class Frozen(EmbeddedEngine):
    """Takes the first weights and no later ones."""

    def update_named_param(self, name, weights):
        if not hasattr(self, "taken"):
            self.taken = set()
        if name not in self.taken:
            self.taken.add(name)
            super().update_named_param(name, weights)


def test_weights_that_do_not_reach_the_sampler_are_found(tmp_path):
    model, tokenizer = demo_policy()
    engine = Frozen(model, tokenizer, max_model_len=512)
    report = rlvr.preflight(
        trainer(tmp_path, policy=(model, tokenizer), environment=questions(), inference=engine)
    )
    assert [check.name for check in report.failed] == ["weights reach the sampler"]
    assert "old weights" in report.failed[0].sentence


def test_a_sampler_that_names_parameters_otherwise_is_not_taken_for_sound(tmp_path):
    class Renamed(EmbeddedEngine):
        def update_named_param(self, name, weights):
            super().update_named_param(f"other.{name}", weights)

    model, tokenizer = demo_policy()
    engine = Renamed(model, tokenizer, max_model_len=512)
    report = rlvr.preflight(trainer(tmp_path, policy=(model, tokenizer), inference=engine))
    assert report.check("a batch is generated").status is FAIL
    assert report.check("weights reach the sampler").status is not PASS


def test_weights_of_lora_reach_the_sampler(tmp_path):
    from peft import LoraConfig

    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    report = rlvr.preflight(on_questions(tmp_path, peft_config=lora))
    assert report.check("weights reach the sampler").status is PASS
    assert report.failed == ()


def test_a_forward_that_fails_is_found_and_the_checks_of_its_rollouts_go_on(tmp_path):
    def no_room(*_, **__):
        raise MemoryError("the batch is too large")

    checked = trainer(tmp_path)
    checked._get_per_token_logps = no_room
    report = rlvr.preflight(checked)
    assert report.first_to_mend.name == "a batch is generated"
    assert "MemoryError: the batch is too large" in report.first_to_mend.sentence
    assert report.check("training prompt is the served one").status is PASS
    assert report.check("trainer sees the prompt").status is UNKNOWN
    assert report.check("weights reach the sampler").status is UNKNOWN


# The scorer


def sums(count=8):
    rows = [{"question": f"What is {40 + n} + 2?", "answer": str(42 + n)} for n in range(count)]
    return datasets.Dataset.from_list(rows)


def test_a_scorer_that_fails_off_the_main_thread_is_found(tmp_path):
    environment = vf.SingleTurnEnv(dataset=sums(), rubric=vf.MathRubric())
    report = rlvr.preflight(trainer(tmp_path, environment=environment, repairs="none"))
    check = report.check("scorer in any thread")
    assert check.status is FAIL
    assert check.code == "scorer-disagrees"
    assert "\\boxed{4" in check.sentence
    assert "gets 1.00 there and 0.00 in training" in check.sentence
    assert report.first_to_mend is check
    assert report.check("gold answers score").status is PASS


def test_the_repaired_scorer_passes_off_the_main_thread(tmp_path):
    environment = vf.SingleTurnEnv(dataset=sums(), rubric=vf.MathRubric())
    report = rlvr.preflight(trainer(tmp_path, environment=environment))
    assert report.check("scorer in any thread").status is PASS
    assert "\\boxed{…}" in report.check("gold answers score").sentence


def test_a_scorer_that_raises_is_found(tmp_path):
    def picky(completion, answer):
        return 1.0 if completion[-1]["content"].split()[0] == answer else 0.0

    check = check_of("scorer in any thread", tmp_path, environment=echo_environment(picky))
    assert (check.status, check.code) == (FAIL, "scorer-errors")
    assert "picky raised" in check.sentence
    assert "IndexError" in check.sentence


def test_a_scorer_of_chance_is_unknown_and_not_called_broken(tmp_path):
    import random

    def judge(completion):
        return random.random()

    check = check_of("scorer in any thread", tmp_path, environment=echo_environment(judge))
    assert check.status is UNKNOWN
    assert "other values each time" in check.sentence


def test_gold_answers_that_are_not_recognised_are_found(tmp_path):
    def even(completion, answer):
        return float(completion[-1]["content"] == answer and int(answer) % 2 == 0)

    check = check_of(
        "gold answers score",
        tmp_path,
        environment=echo_environment(even, count=8),
        per_device_train_batch_size=24,
        max_tokens=4,
        shuffle_dataset=False,
    )
    assert check.status is FAIL
    assert "3 of 6 gold answers score no more than an empty one" in check.sentence


def test_an_answer_of_unknown_form_is_unknown_until_the_environment_writes_it(tmp_path):
    def shouted(completion, answer):
        return float(completion[-1]["content"] == f"{answer}!")

    environment = echo_environment(shouted)
    check = check_of("gold answers score", tmp_path / "a", environment=environment)
    assert check.status is UNKNOWN
    environment.gold_completion = lambda example: f"{example.answer}!"
    check = check_of("gold answers score", tmp_path / "b", environment=environment)
    assert check.status is PASS
    assert "shouted in full" in check.sentence


def test_a_check_that_raises_is_unknown_and_the_others_go_on(tmp_path):
    environment = echo_environment()
    environment.gold_completion = lambda example: example.info["solution"]
    report = rlvr.preflight(trainer(tmp_path, environment=environment))
    check = report.check("gold answers score")
    assert check.status is UNKNOWN
    assert check.sentence == "KeyError: 'solution'"
    assert report.check("trainer sees the prompt").status is PASS


# Tools


def look(key: str, deep: bool, depth: int = 1) -> str:
    """Look a key up.

    Args:
        key: what to look up
        deep: whether to look below
        depth: how far
    """
    assert isinstance(deep, bool)
    return f"found {key}"


def broken(key: str) -> str:
    """Look a key up.

    Args:
        key: what to look up
    """
    raise ConnectionError("nobody answers")


def choosy(number: str) -> str:
    """Look a number up.

    Args:
        number: the number of a shelf
    """
    raise ValueError(f"there is no shelf {number}")


def with_tool(tool, cls=vf.ToolEnv):
    return cls(tools=[tool], dataset=sums(), rubric=vf.Rubric(funcs=[words]))


def words(completion):
    return float(sum(len(message["content"] or "") for message in completion))


def test_a_tool_is_called_with_the_types_of_its_schema(tmp_path):
    check = check_of("tools answer", tmp_path, environment=with_tool(look))
    assert (check.status, check.sentence) == (
        PASS,
        "A hand-made call to look comes back as a tool message with its id.",
    )


def test_a_tool_that_can_not_work_is_found(tmp_path):
    check = check_of("tools answer", tmp_path, environment=with_tool(broken))
    assert (check.status, check.code) == (FAIL, "tool-fails")
    assert 'broken({"key": "1"})' in check.sentence
    assert "ConnectionError: nobody answers" in check.sentence


def test_a_tool_that_refuses_made_up_arguments_is_unknown(tmp_path):
    check = check_of("tools answer", tmp_path, environment=with_tool(choosy))
    assert check.status is UNKNOWN
    assert "there is no shelf 1" in check.sentence


def test_an_answer_with_another_id_is_found(tmp_path):
    class Forgetful(vf.ToolEnv):
        async def env_response(self, messages, state, **kwargs):
            answers, state = await super().env_response(messages, state, **kwargs)
            return [{**answer, "tool_call_id": "0"} for answer in answers], state

    check = check_of("tools answer", tmp_path, environment=with_tool(look, Forgetful))
    assert check.status is FAIL
    assert "tool_call_id is '0'" in check.sentence


def test_calls_that_stay_text_are_found(tmp_path):
    check = check_of(
        "tool calls parsed",
        tmp_path,
        environment=with_tool(look),
        say=lambda _: "<function=look> 1",
    )
    assert (check.status, check.code) == (FAIL, "calls-unparsed")
    assert "8 calls were written: 8 stayed text" in check.sentence


def test_a_single_call_that_stays_text_is_too_few_to_tell(tmp_path):
    said = iter(["<function=look> 1"])
    check = check_of(
        "tool calls parsed", tmp_path, environment=with_tool(look), say=lambda _: next(said, "1")
    )
    assert check.status is UNKNOWN
    assert "too few" in check.sentence


def test_calls_that_do_not_parse_are_found_also_where_they_end_a_training(tmp_path):
    def say(prompt):
        return (
            "1" if "Error" in prompt else '<tool_call>{"name": "look", "arguments": {</tool_call>'
        )

    report = rlvr.preflight(trainer(tmp_path, environment=with_tool(look), say=say, repairs="none"))
    assert report.check("a batch is generated").status is FAIL
    assert "JSONDecodeError" in report.check("a batch is generated").sentence
    parsed = report.check("tool calls parsed")
    assert (parsed.status, parsed.code) == (FAIL, "calls-malformed")


def test_without_tools_their_checks_are_unknown(tmp_path):
    report = rlvr.preflight(trainer(tmp_path))
    for name in ("tools answer", "tool calls parsed"):
        assert report.check(name).status is UNKNOWN
        assert report.check(name).sentence == "the environment offers no tools."
    assert report.check("trainer sees tool results").status is UNKNOWN


# The batch


def test_limits_that_cut_every_answer_are_found(tmp_path):
    report = rlvr.preflight(trainer(tmp_path, max_tokens=2, say=lambda _: "Say 1, 2 or 3."))
    check = report.check("limits fit")
    assert (check.status, check.code) == (FAIL, "truncation")
    assert "8 of 8 rollouts were cut" in check.sentence


def test_a_prompt_that_leaves_no_room_is_found(tmp_path):
    report = rlvr.preflight(trainer(tmp_path, max_seq_len=16, say=lambda _: "1"))
    check = report.check("limits fit")
    assert check.status is FAIL
    assert "no room to answer" in check.sentence


def test_a_dataset_without_a_prompt_left_is_found(tmp_path):
    report = rlvr.preflight(trainer(tmp_path, max_prompt_length=1))
    assert report.check("a batch is generated").status is FAIL
    assert "None of 24 prompts is left" in report.check("limits fit").sentence
    assert report.check("groups vary").status is UNKNOWN
    assert report.rollouts == 0


def test_a_constant_reward_is_found(tmp_path):
    check = check_of("groups vary", tmp_path, environment=echo_environment(lambda completion: 1.0))
    assert (check.status, check.code) == (FAIL, "zero-variance-groups")
    assert "all 8 rollouts score 1.00" in check.sentence


def test_two_flat_groups_of_other_rewards_are_too_few_to_tell(tmp_path):
    def of_question(answer):
        return float(int(answer) % 2)

    environment = echo_environment(of_question)
    check = check_of("groups vary", tmp_path, environment=environment, shuffle_dataset=False)
    assert check.status is UNKNOWN
    assert "none of 2 groups" in check.sentence


def test_claimed_logprobs_of_nobody_are_a_gap_and_say_nothing_of_the_sync(tmp_path):
    model, tokenizer = tiny_policy()
    engine = SpokenEngine(model, tokenizer, max_model_len=512, say=lambda _: "1", logprob=-50.0)
    report = rlvr.preflight(trainer(tmp_path, policy=(model, tokenizer), inference=engine))
    assert report.check("trainer agrees with sampler").status is FAIL
    assert report.check("weights reach the sampler").status is UNKNOWN


def test_a_trainer_that_has_trained_is_refused(tmp_path):
    trained = trainer(tmp_path)
    trained.train()
    with pytest.raises(ConfigurationError, match="before its first step"):
        rlvr.preflight(trained)


def test_another_library_s_trainer_is_refused():
    with pytest.raises(ConfigurationError, match="EnhancedGRPOTrainer"):
        rlvr.preflight(object())
