"""Evaluation against an OpenAI-compatible server over HTTP: what it asks, and how it may fail."""

import pytest
from evaluations import engine, evaluate, even_right, exam
from served_engine import Served, serving

import rlvr
from rlvr.demo.policy import load_policy
from rlvr.errors import ConfigurationError, InferenceError
from rlvr.evaluation.samplers import Endpoint
from rlvr.inference.embedded import EmbeddedEngine
from rlvr.record import Mode
from trainings import questions

pytestmark = pytest.mark.train

PROBES = 1  # requests before the first rollout


@pytest.fixture
def server():
    with serving(Served(engine=engine(even_right_or_probe))) as served:
        yield served


def even_right_or_probe(prompt):
    return even_right(prompt) if "Say " in prompt else "."


def endpoint(served, **changes):
    return Endpoint(**({"url": served.url, "model": "m", "timeout_s": 20.0} | changes))


def test_a_real_policy_behind_a_server_uses_its_tool_and_every_token_id_is_kept(tmp_path):
    model, tokenizer = load_policy()
    served = Served(engine=EmbeddedEngine(model, tokenizer, max_model_len=512, replicate=False))
    with serving(served):
        sampler = endpoint(served, tokenizer=tokenizer)
        made = evaluate(tmp_path, questions(), sampler, rollouts=4, max_tokens=48)
    rows = list(made.run.trajectories(mode=Mode.EVAL))
    assert len(rows) == 16
    assert any(row.tool_results for row in rows)
    assert all(row.tokens is not None for row in rows)
    several = next(row for row in rows if len(row.turns) > 1)
    sampled = sum(
        span.stop - span.start
        for sequence in several.tokens.sequences
        for span in sequence.spans
        if span.role == "assistant"
    )
    assert (
        sampled == several.evidence.sampled_tokens == sum(t.sampled_tokens for t in several.turns)
    )
    assert all(value == value for s in several.tokens.sequences
               for span in s.spans if span.role == "assistant"
               for value in s.sampler_logprobs[span.start : span.stop])  # fmt: skip
    info = made.run.info
    assert info.inference == f"endpoint {served.url}"
    assert info.chat_template == tokenizer.chat_template
    assert info.limits["max_seq_len"] is None
    request = served.asked[PROBES]
    assert request["tools"][0]["function"]["name"] == "retrieve"
    assert request["return_token_ids"] is True
    assert request["logprobs"] is True


def test_a_server_without_token_ids_will_do(tmp_path):
    with serving(Served(engine=engine(even_right_or_probe), token_ids=False)) as served:
        made = evaluate(tmp_path, sampler=endpoint(served))
    rows = list(made.run.trajectories())
    assert len(rows) == 12
    assert {row.tokens for row in rows} == {None}
    assert {row.evidence.sampled_tokens for row in rows} == {None}
    assert all(row.turns[0].prompt_tokens > 0 for row in rows)
    assert made.run.info.chat_template is None
    assert "return_token_ids" not in served.asked[PROBES]


def test_a_server_that_refuses_the_wish_for_token_ids_is_asked_without(tmp_path):
    def refusing(number, request):
        return 400 if "return_token_ids" in request else None

    served = Served(engine=engine(even_right_or_probe), token_ids=False, fault=refusing)
    with serving(served):
        made = evaluate(tmp_path, sampler=endpoint(served))
    assert len(list(made.run.trajectories())) == 12


def test_the_key_is_sent_and_recorded_nowhere(tmp_path, server):
    secret = "sk-0123456789abcdef"
    evaluate(tmp_path, sampler=endpoint(server, api_key=secret))
    assert {request["authorization"] for request in server.asked} == {f"Bearer {secret}"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files)


def test_a_password_in_the_address_is_not_recorded(tmp_path, server):
    with_password = server.url.replace("http://", "http://me:hunter2@")
    made = evaluate(tmp_path, sampler=endpoint(server, url=with_password))
    assert made.run.info.inference == f"endpoint {server.url}"


@pytest.mark.parametrize(
    ("changes", "fault", "error", "said"),
    [
        ({"url": "http://127.0.0.1:9/v1"}, None, InferenceError, r"does not answer.*--endpoint"),
        ({"model": "other"}, None, ConfigurationError, r"serves m, not other.*--model"),
        ({}, 401, InferenceError, r"refuses the key \(401.*--api-key-env"),
        ({}, 500, InferenceError, "status 500"),
        ({}, 400, ConfigurationError, "refuses the request"),
        ({"timeout_s": 0.5}, "hang", InferenceError, r"within 0.5 s.*--request-timeout"),
        ({}, "close", InferenceError, "does not answer"),
    ],
)
def test_a_server_that_can_not_be_used_is_found_before_anything_is_recorded(
    tmp_path, changes, fault, error, said
):
    served = Served(engine=engine(even_right_or_probe), fault=lambda *_: fault)
    with serving(served), pytest.raises(error, match=said):
        evaluate(tmp_path, sampler=endpoint(served, **changes))
    assert not (tmp_path / "rlvr").exists()


def test_a_server_without_a_parser_of_tool_calls_is_told_how_to_start_it(tmp_path):
    class NoParser(Served):
        def answer(self, request):
            if request.get("tools"):
                said = '"auto" tool choice requires --enable-auto-tool-choice'
                return 400, {"error": {"message": said}}
            return super().answer(request)

    with serving(NoParser(engine=engine(even_right_or_probe))) as served:
        with pytest.raises(ConfigurationError, match="--tool-call-parser hermes"):
            evaluate(tmp_path, questions(), endpoint(served))
        assert evaluate(tmp_path, sampler=endpoint(served)).rollouts == 12  # no tools, no parser


def test_a_request_that_is_lost_on_the_way_is_sent_again(tmp_path):
    def losing(number, request):
        return {3: "close", 5: 503, 6: 500}.get(number)

    with serving(Served(engine=engine(even_right_or_probe), fault=losing)) as served:
        made = evaluate(tmp_path, sampler=endpoint(served), concurrency=2)
    assert made.failed == 0
    assert len(served.asked) == PROBES + 12 + 3


@pytest.mark.parametrize("fault", [500, "close"])
def test_a_server_that_dies_ends_it_with_what_is_finished_and_the_way_to_go_on(tmp_path, fault):
    dying = Served(
        engine=engine(even_right_or_probe),
        fault=lambda number, _: fault if number > PROBES + 5 else None,
    )
    with serving(dying), pytest.raises(InferenceError) as stopped:
        evaluate(tmp_path, sampler=endpoint(dying), concurrency=2)
    run = rlvr.open_run(tmp_path)
    said = str(stopped.value)
    assert "6 of 12 rollouts are recorded" in said
    assert f"--resume {run.id}" in said
    assert len(list(run.trajectories())) == 6
    with serving(Served(engine=engine(even_right_or_probe))) as again:
        made = evaluate(tmp_path, sampler=endpoint(again), resume=run.id)
    assert len(again.asked) == PROBES + 6
    assert len(list(made.run.trajectories())) == 12


def test_one_answer_that_takes_too_long_costs_that_rollout_alone(tmp_path):
    def slow(number, request):
        return "hang" if "Say 3" in str(request["messages"]) else None

    served = Served(engine=engine(even_right_or_probe), fault=slow)
    with serving(served):
        made = evaluate(tmp_path, exam(count=5), endpoint(served, timeout_s=0.3), rollouts=1)
    rows = {row.example_id: row for row in made.run.trajectories()}
    assert made.failed == 1
    assert rows["q3"].errors[0].type == "APITimeoutError"
    assert rows["q3"].reward is None
    assert len(rows) == 5


def test_a_prompt_that_is_too_long_ends_its_own_episode(tmp_path):
    class Short(Served):
        def answer(self, request):
            if "Say 2" in str(request["messages"]):
                said = "This model's maximum context length is 8 tokens."
                return 400, {"error": {"message": said}}
            return super().answer(request)

    with serving(Short(engine=engine(even_right_or_probe))) as served:
        made = evaluate(tmp_path, exam(count=4), endpoint(served), rollouts=1)
    rows = {row.example_id: row for row in made.run.trajectories()}
    assert len(rows) == 4
    assert rows["q2"].stop_reason in ("prompt_too_long", "error")
    assert rows["q1"].stop_reason == "finished"
