import asyncio
import json
from pathlib import Path

import pytest

from rlvr.environments.musique.core.embedding import trigram_embedding
from rlvr.environments.musique.core.examples import parse_example
from rlvr.environments.musique.core.rewards import COMPONENTS
from rlvr.errors import ConfigurationError
from rlvr.inference.scripted import Reply, ScriptedClient, call
from rlvr.record import ToolCall

pytestmark = pytest.mark.train

ODDITIES = Path(__file__).parents[2] / "fixtures" / "musique_oddities.jsonl"
SPEC = f"{ODDITIES},,train"


def environment(datasets=SPEC, **options):
    from rlvr.environments.musique.verifiers import load_environment

    return load_environment(datasets, **options)


def rollout(env, script, *, row=0):
    """One rollout through the real environment, and its score."""

    async def run():
        question = env.dataset[row]
        client = ScriptedClient(script)
        completion, state = await env.rollout(
            client=client,
            model="scripted",
            prompt=question["prompt"],
            answer=question["answer"],
            info=question["info"] | {"oai_tools": env.oai_tools},
        )
        score = await env.rubric.score_rollout(
            prompt=question["prompt"],
            completion=completion,
            answer=question["answer"],
            state=state,
            info=question["info"],
        )
        return completion, score, client

    return asyncio.run(run())


def ask(query):
    return call("retrieve", json.dumps({"query": query}))


def final(answer, cite=""):
    return Reply(content=f"<think>x</think><cite>{cite}</cite><answer>{answer}</answer>")


def ids_of(env, *, row=0):
    return {p["title"]: p["idx"] for p in env.dataset[row]["info"]["paragraphs"]}


def test_a_rollout_from_question_to_reward():
    env = environment()
    ids = ids_of(env)
    first, second = ids["Edda Marlow"], ids["Tamberwick"]
    script = [
        ask("Where was Edda Marlow born?"),
        ask("Sorrel runs through Tamberwick"),
        final("the Sorrel", f"{first}, {second}"),
    ]
    completion, score, client = rollout(env, script)
    roles = [message["role"] for message in completion]
    assert roles == ["assistant", "tool", "assistant", "tool", "assistant"]
    assert completion[1]["content"].startswith(f"Document ID: {first}\nEdda Marlow\nEdda Marlow (")
    assert completion[3]["content"].startswith(f"Document ID: {second}\nTamberwick\n")
    assert score.reward == pytest.approx(1.0)
    assert score.metrics == dict.fromkeys(COMPONENTS, 1.0)
    assert [request.tools for request in client.requests] == [tuple(env.oai_tools)] * 3


def test_the_prompt_is_the_system_message_and_the_bare_question():
    for style in ("full", "brief"):
        system, user = environment(prompt_style=style).dataset[0]["prompt"]
        assert user == {"role": "user", "content": environment().dataset[0]["question"]}
        assert all(tag in system["content"] for tag in ("<think>", "<cite>", "<answer>"))
    assert len(system["content"]) < 100


def test_the_model_sees_a_schema_of_one_query():
    (tool,) = environment().oai_tools
    assert tool["function"]["name"] == "retrieve"
    assert tool["function"]["parameters"] == {
        "type": "object",
        "properties": {"query": {"type": "string"}},
        "required": ["query"],
    }


def test_info_is_the_row_and_survives_json():
    env = environment(max_hops=None)
    assert env.dataset.column_names == ["id", "question", "answer", "prompt", "task", "info"]
    for row in env.dataset:
        assert json.loads(json.dumps(row["info"])) == row["info"]
        assert parse_example(row["info"]).id == row["id"]


def test_datasets_with_and_without_aliases_have_the_same_columns():
    import datasets

    some, none = environment().dataset, environment("synthetic,,train[:4]").dataset
    assert len(datasets.concatenate_datasets([some, none])) == len(some) + 4


@pytest.mark.parametrize(
    ("written", "name", "answer"),
    [
        ("{oops", "retrieve", "Error: the arguments are not valid JSON; write"),
        ("", "retrieve", "Error: the arguments are not valid JSON"),
        ("[" * 100_000, "retrieve", "Error: the arguments are not valid JSON"),
        ("[1]", "retrieve", "Error: the arguments have no text under query"),
        ('{"query": 7}', "retrieve", "Error: the arguments have no text under query"),
        ('{"q": "x"}', "retrieve", "Error: the arguments have no text under query"),
        ('{"query": "x", "shown": []}', "retrieve", "Error: query is the only argument"),
        ('{"query": "x"}', "search", "Error: there is no tool 'search'; call retrieve"),
        ('{"query": " "}', "retrieve", "The query is empty"),
        ('{"query": "qqq"}', "retrieve", "No document matches 'qqq'"),
    ],
)
def test_a_call_that_can_not_be_run_is_answered_and_kept_as_written(written, name, answer):
    completion, score, _ = rollout(environment(), [call(name, written), final("the Sorrel")])
    assert completion[1]["content"].startswith(answer)
    assert completion[1]["tool_call_id"] == "call-0"
    assert completion[0]["tool_calls"][0].function.arguments == written
    assert score.metrics["exact_match"] == 1.0
    assert score.metrics["retrieval_recall"] == 0.0


def test_several_calls_in_one_message_are_answered_in_order():
    calls = tuple(
        ToolCall(id=f"c{n}", name="retrieve", arguments=json.dumps({"query": "x"}))
        for n in range(3)
    )
    env = environment(retriever="golden")
    completion, score, _ = rollout(env, [Reply(tool_calls=calls), final("no")])
    assert [m.get("tool_call_id") for m in completion[1:4]] == ["c0", "c1", "c2"]
    assert "Edda Marlow" in completion[1]["content"] or "Tamberwick" in completion[1]["content"]
    assert completion[1]["content"] != completion[2]["content"]
    assert completion[3]["content"] == "There is no further supporting document."
    assert score.metrics["retrieval_recall"] == score.metrics["retrieval_precision"] == 1.0


def test_calls_written_as_dicts_are_answered_too():
    env = environment()
    request = {"function": {"name": "retrieve", "arguments": '{"query": "Tamberwick"}'}, "id": "d"}
    messages = [{"role": "assistant", "content": "", "tool_calls": [request]}]
    answers, _ = asyncio.run(env.env_response(messages, {"info": env.dataset[0]["info"]}))
    assert answers[0]["tool_call_id"] == "d"
    assert "Tamberwick" in answers[0]["content"]


@pytest.mark.parametrize("retriever", ["lexical", "semantic", "hybrid", "golden"])
def test_every_retriever_shows_top_k_documents(retriever):
    env = environment(retriever=retriever, top_k=2, embed=trigram_embedding)
    completion, _, _ = rollout(env, [ask("Edda Marlow, Tamberwick"), final("x")])
    assert completion[1]["content"].count("Document ID: ") == 2


@pytest.mark.parametrize("max_turns", [1, 3])
def test_a_rollout_ends_after_max_turns(max_turns):
    completion, score, _ = rollout(environment(max_turns=max_turns), [ask("Sorrel")] * 20)
    assert sum(message["role"] == "assistant" for message in completion) == max_turns
    assert score.metrics["format"] == 0.0


def test_ten_turns_are_the_default():
    assert environment().max_turns == 10


def test_original_rewards_are_one_total_with_the_components_beside():
    env = environment(rewards="original")
    assert env.rubric.get_reward_func_names() == ["reward_original", *COMPONENTS]
    assert env.rubric.get_reward_weights() == [1.0] + [0.0] * 6
    ids = ids_of(env)
    script = [ask("Edda Marlow"), ask("Tamberwick town Sorrel"), final("?", "0,1,2")]
    _, wrong, _ = rollout(env, script)
    assert wrong.reward == wrong.metrics["reward_original"]
    script[-1] = final("wrong", ",".join(map(str, ids.values())))
    _, greedy, _ = rollout(env, script)
    assert greedy.reward == pytest.approx(0.525)


def test_revised_rewards_are_the_weighted_components():
    env = environment()
    _, score, _ = rollout(env, [ask("Edda Marlow"), final("Sorrel water", "0")])
    names, weights = env.rubric.get_reward_func_names(), env.rubric.get_reward_weights()
    assert tuple(names) == COMPONENTS
    assert score.reward == pytest.approx(
        sum(weight * score.metrics[name] for name, weight in zip(names, weights, strict=True))
    )
    assert 0 < score.metrics["f1"] < 1


def test_a_batch_of_concurrent_rollouts_keeps_each_question_to_its_own_paragraphs():
    env = environment("synthetic,seed-1,train[:12]")

    def policy(request):
        question = request.messages[1]["content"]
        turn = sum(message["role"] == "assistant" for message in request.messages)
        return ask(question) if turn == 0 else final(request.messages[-1]["content"][-12:])

    out = asyncio.run(env.a_generate(env.dataset, ScriptedClient(policy), "scripted"))
    for info, completion in zip(out.info, out.completion, strict=True):
        body = completion[1]["content"].split("\n")[2]
        assert body in {paragraph["paragraph_text"] for paragraph in info["paragraphs"]}
    assert min(out.metrics["retrieval_precision"]) == 1.0


def test_evaluation_is_on_held_out_questions():
    env = environment("synthetic,seed-2,train[:32]")
    assert len(env.eval_dataset) == 64
    assert not set(env.dataset["question"]) & set(env.eval_dataset["question"])
    assert environment().eval_dataset is None
    assert len(environment(eval_datasets=f"{ODDITIES},,train[:3]").eval_dataset) == 3


def test_the_selection_reaches_the_dataset():
    env = environment(max_hops=4, noise=1.0)
    hops = [row["hops"] for row in env.dataset["info"]]
    assert hops == sorted(hops)
    assert set(hops) == {2, 3}
    assert all(len(row["info"]["paragraphs"]) == row["info"]["hops"] for row in env.dataset)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retriever": "bm25"}, "use lexical, semantic, hybrid or golden"),
        ({"rewards": "old"}, "rewards is 'old'; use revised or original"),
        ({"prompt_style": "long"}, "use full or brief"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
        ({"max_turns": 0}, "max_turns is 0"),
        ({"noise": 2.0}, "from 0 to 1"),
        ({"datasets": "nowhere"}, "write path,name,split"),
        ({"eval_datasets": "./nowhere,,train"}, "no file or folder"),
    ],
)
def test_an_option_that_can_not_work_is_refused_at_once(options, message):
    with pytest.raises(ConfigurationError, match=message):
        environment(**options)


def test_verifiers_finds_the_environment_by_its_module():
    import verifiers as vf

    env = vf.load_environment("rlvr.environments.musique.verifiers", datasets=SPEC, max_turns=4)
    assert env.max_turns == 4
