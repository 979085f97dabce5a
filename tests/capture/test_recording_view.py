"""What a recording view keeps of rollouts through real environments, answered by a script."""

import asyncio
import base64

import datasets
import pytest
import verifiers as vf

from rlvr.capture.trajectories import BatchPlace, build_trajectories
from rlvr.capture.verifiers import ViewSettings, recording_view
from rlvr.errors import InferenceError
from rlvr.inference.scripted import Reply, ScriptedClient, call
from rlvr.record import Mode, ScoreStatus, ToolCall

PLACE = BatchPlace(run="r", mode=Mode.TRAIN, step=3, batch=2, attempt=1)
TOKENS_OFF = ViewSettings(sampled_tokens=False)


def rows(count=1):
    return datasets.Dataset.from_list(
        [{"question": f"q{n}", "answer": str(n), "info": {"id": f"e{n}"}} for n in range(count)]
    )


def roll(environment, script, *, settings=TOKENS_OFF, group_size=1):
    """Roll the environment's data set out and build the records."""
    view = recording_view(environment, settings)
    asyncio.run(
        view.a_generate(
            environment.get_dataset(),
            client=ScriptedClient(script),
            model="m",
            sampling_args={},
        )
    )
    return build_trajectories(view.take_batch(), PLACE, group_size=group_size)


async def slow_look(key: str) -> str:
    """Look a key up.

    Args:
        key: what to look up
    """
    await asyncio.sleep(0.02)
    if key == "none":
        raise LookupError("no shelf")
    return f"found {key}"


def count(word: str) -> int:
    """Count letters.

    Args:
        word: letters
    """
    return len(word)


def tools(**options):
    return vf.ToolEnv(
        tools=[slow_look, count],
        dataset=rows(),
        rubric=vf.Rubric(funcs=[one]),
        error_formatter=lambda error: f"Sorry: {error}",
        **options,
    )


def one(completion):
    return 1.0


def test_tool_results_are_kept_raw_with_exceptions_and_seconds():
    script = [
        call("slow_look", '{"key":  "none"}', id="a"),
        call("count", '{"word": "four"}', id="b"),
        call("nowhere", '{"x": 1}', id="c"),
        Reply(content="done"),
    ]
    (trajectory,) = roll(tools(), script)
    failed, counted, unknown = trajectory.tool_results
    assert (failed.result, failed.error) == (None, "LookupError: no shelf")
    assert "slow_look" in failed.traceback
    assert failed.arguments == '{"key":  "none"}'
    assert failed.duration_s >= 0.02
    assert (counted.result, counted.error, counted.turn) == ("4", None, 1)
    assert (unknown.name, unknown.malformed, unknown.result) == ("nowhere", True, None)
    assert "reached no tool" in unknown.error
    shown = [m.content for m in trajectory.completion if m.role == "tool"]
    assert shown[:2] == ["Sorry: no shelf", "4"]
    assert trajectory.cost.tools_s == pytest.approx(failed.duration_s + counted.duration_s)
    assert trajectory.cost.generation_s >= 0
    assert trajectory.stop_reason == "finished"
    assert [t.finish_reason for t in trajectory.turns] == ["tool_calls"] * 3 + ["stop"]


def test_two_calls_of_one_id_keep_their_own_arguments():
    calls = [ToolCall(id="x", name="count", arguments=f'{{"word": "{w}"}}') for w in ("a", "bb")]
    script = [Reply(tool_calls=tuple(calls)), Reply(content="done")]
    (trajectory,) = roll(tools(), script)
    found = [(r.arguments, r.result) for r in trajectory.tool_results]
    assert found == [('{"word": "a"}', "1"), ('{"word": "bb"}', "2")]


def test_a_malformed_call_between_sound_ones_is_answered_in_its_place():
    written = ['{"word": "a"}', '{"word": oops}', "[1]", '{"word": "bb"}']
    calls = [ToolCall(id=f"c{i}", name="count", arguments=text) for i, text in enumerate(written)]
    script = [Reply(tool_calls=tuple(calls)), Reply(content="done")]
    (trajectory,) = roll(tools(), script)
    answers = [m for m in trajectory.completion if m.role == "tool"]
    assert [m.tool_call_id for m in answers] == ["c0", "c1", "c2", "c3"]
    assert [m.content[:6] for m in answers] == ["1", "Error:", "Error:", "2"]
    assert sorted((r.arguments, r.malformed) for r in trajectory.tool_results) == sorted(
        zip(written, [False, True, True, False], strict=True)
    )
    assert [c.arguments for c in trajectory.tool_calls] == written


def test_a_limit_on_turns_is_why_a_rollout_stopped():
    (trajectory,) = roll(tools(max_turns=1), [call("count", '{"word": "a"}')])
    assert trajectory.stop_reason == "max_turns"


def test_where_a_trajectory_stands_and_what_it_was_asked():
    environment = vf.SingleTurnEnv(
        dataset=rows(4), rubric=vf.Rubric(funcs=[one]), system_prompt="Be brief."
    )
    found = roll(environment, [Reply(content="ok")], group_size=2)
    assert [(t.group_id, t.sample) for t in found] == [
        ("train-a01-b000002-g00000", 0),
        ("train-a01-b000002-g00000", 1),
        ("train-a01-b000002-g00001", 0),
        ("train-a01-b000002-g00001", 1),
    ]
    assert [t.example_id for t in found] == ["e0", "e1", "e2", "e3"]
    assert {(t.step, t.batch, t.attempt, t.run) for t in found} == {(3, 2, 1, "r")}
    assert [(t.question, t.answer) for t in found] == [(f"q{n}", str(n)) for n in range(4)]
    assert [m.role for m in found[0].prompt] == ["system", "user"]
    assert "oai_tools" not in found[0].info


def test_images_of_a_prompt_are_kept_once_as_blobs():
    url = "data:image/png;base64," + base64.b64encode(b"pixels").decode()
    # The library's own clean-up wants a text field in every part.
    image = {"type": "image_url", "image_url": {"url": url}, "text": None}
    prompt = [{"role": "user", "content": [image]}]
    dataset = datasets.Dataset.from_list([{"prompt": prompt, "answer": "", "info": {"id": "e"}}])
    environment = vf.SingleTurnEnv(dataset=dataset, rubric=vf.Rubric(funcs=[one]))
    (trajectory,) = roll(environment, [Reply(content="ok")])
    (blob,) = trajectory.blobs
    assert (blob.data, blob.media_type) == (b"pixels", "image/png")
    assert trajectory.prompt[0].parts[0].blob == blob.sha256


def two(completion):
    return 2.0


def test_each_member_of_a_group_of_environments_is_recorded_by_its_own_rubric():
    first = vf.SingleTurnEnv(dataset=rows(2), rubric=vf.Rubric(funcs=[one], weights=[0.5]))
    second = vf.ToolEnv(tools=[count], dataset=rows(1), rubric=vf.Rubric(funcs=[two]))
    group = vf.EnvGroup([first, second], env_names=["plain", "tools"])
    before = dict(vars(group))
    found = roll(group, [Reply(content="ok")])
    assert [t.task for t in found] == ["plain", "plain", "tools"]
    values = [
        {c.name: (c.value, c.weight, c.status) for c in trajectory.components}
        for trajectory in found
    ]
    ok, other = ScoreStatus.OK, ScoreStatus.NOT_APPLICABLE
    assert values[0] == {"one": (1.0, 0.5, ok), "two": (None, None, other)}
    assert values[2] == {"one": (None, None, other), "two": (2.0, 1.0, ok)}
    assert [t.reward for t in found] == [0.5, 0.5, 2.0]
    assert all(len(t.turns) == 1 and t.completion for t in found)
    assert vars(group) == before


def test_a_rubric_that_is_replaced_or_reweighted_counts_from_then_on():
    environment = vf.SingleTurnEnv(dataset=rows(), rubric=vf.Rubric(funcs=[one]))
    view = recording_view(environment, TOKENS_OFF)
    assert view.rubric.get_reward_weights() == [1.0]
    environment.rubric.reward_weights = [3.0]
    assert view.rubric.get_reward_weights() == [3.0]
    environment.rubric = vf.Rubric(funcs=[two])
    assert view.rubric.get_reward_func_names() == ["two"]


def test_tools_that_are_added_or_limits_that_change_reach_the_view():
    environment = tools()
    view = recording_view(environment, TOKENS_OFF)
    environment.max_turns = 2
    view.add_tool(two)
    assert view.max_turns == 2
    assert sorted(environment.tool_map) == ["count", "slow_look", "two"]
    assert environment.tool_map["two"] is two


def test_rubrics_in_a_group_keep_functions_of_one_name_apart():
    rubric = vf.RubricGroup(rubrics=[vf.Rubric(funcs=[one]), vf.Rubric(funcs=[one], weights=[2.0])])
    environment = vf.SingleTurnEnv(dataset=rows(), rubric=rubric)
    (trajectory,) = roll(environment, [Reply(content="ok")])
    found = {c.name: (c.value, c.weight) for c in trajectory.components}
    assert found == {"one": (1.0, 1.0), "one_2": (1.0, 2.0)}


async def waiting(completion):
    await asyncio.sleep(0.01)
    raise TimeoutError("judge did not answer")


def test_scorers_may_be_asynchronous_and_their_timeouts_are_told_apart():
    environment = vf.SingleTurnEnv(dataset=rows(), rubric=vf.Rubric(funcs=[waiting, one]))
    (trajectory,) = roll(environment, [Reply(content="ok")])
    slow, quick = trajectory.components
    assert (slow.status, slow.value) == (ScoreStatus.TIMEOUT, None)
    assert slow.error == "TimeoutError: judge did not answer"
    assert slow.duration_s >= 0.01
    assert (quick.status, quick.value) == (ScoreStatus.OK, 1.0)


def test_without_token_ids_exact_training_is_refused_with_the_remedy():
    with pytest.raises(InferenceError, match=r"vLLM >= 0\.10\.2"):
        roll(tools(), [Reply(content="ok")], settings=ViewSettings())


def test_a_server_without_logprobs_leaves_them_unknown():
    environment = vf.SingleTurnEnv(dataset=rows(), rubric=vf.Rubric(funcs=[one]))
    reply = Reply(content="ok", prompt_ids=(1, 2), token_ids=(3, 4))
    view = recording_view(environment, ViewSettings())
    asyncio.run(
        view.a_generate(
            environment.get_dataset(), client=ScriptedClient([reply]), model="m", sampling_args={}
        )
    )
    (capture,) = view.take_batch().rollouts
    (turn,) = capture.sampled
    assert list(turn.sampled_ids) == [3, 4]
    assert [value != value for value in turn.logprobs] == [True, True]
    assert view.take_batch() is None


@pytest.mark.parametrize(
    ("before_call", "content", "kept"),
    [
        ("\n", "I look.\n", "I look."),
        ("\n", "I look.\n\n", "I look.\n"),
        ("\n", "I look.", "I look."),
        ("\n", None, ""),
        ("", "I look.\n", "I look.\n"),
    ],
)
def test_what_the_template_puts_before_a_call_is_left_to_it(before_call, content, kept):
    look = (ToolCall(id="c0", name="count", arguments='{"word": "ab"}'),)
    ids = {"prompt_ids": (1, 2), "token_ids": (3, 4)}
    script = [Reply(content=content, tool_calls=look, **ids), Reply(content="done\n", **ids)]
    settings = ViewSettings(before_call=before_call)
    (trajectory,) = roll(tools(), script, settings=settings)
    texts = [message.text for message in trajectory.completion if message.role == "assistant"]
    assert texts == [kept, "done\n"]
