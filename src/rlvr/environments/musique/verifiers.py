"""MuSiQue for the verifiers library (0.1.5): `load_environment` and the environment it returns."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlvr.environments.musique.core.completions import shown_documents
from rlvr.environments.musique.core.embedding import DEFAULT_MODEL, Embed
from rlvr.environments.musique.core.examples import MusiqueExample, parse_example, to_row
from rlvr.environments.musique.core.loading import Selection, load_examples
from rlvr.environments.musique.core.prompts import (
    RETRIEVE,
    prompt_messages,
    system_prompt,
)
from rlvr.environments.musique.core.retrieval import Retriever, make_retriever, search
from rlvr.environments.musique.core.rewards import (
    OUTCOME,
    REVISED_WEIGHTS,
    Scorer,
    read_outcome,
    scorers,
)
from rlvr.environments.musique.core.rewards import reward_original as original_total
from rlvr.environments.settings import (
    Origin,
    PromptStyle,
    Rewards,
    check_positive,
    choice,
    synthetic_evaluation,
)
from rlvr.errors import ConfigurationError, MissingDependency

try:
    import datasets as hf
    import verifiers as vf
except ImportError as error:
    raise MissingDependency(
        "the MuSiQue environment needs verifiers and datasets; "
        "install them with: pip install 'rlvr[train]'"
    ) from error

DEFAULT_DATASETS = "synthetic,seed-0,train[:1024]"
_Message = dict[str, Any]


def load_environment(
    datasets: str = DEFAULT_DATASETS,
    eval_datasets: str | None = None,
    *,
    retriever: str = "lexical",
    top_k: int = 1,
    rewards: str = "revised",
    max_turns: int = 10,
    max_hops: int | None = 3,
    sort_by_hops: bool = True,
    noise: float = 0.0,
    prompt_style: str = "full",
    seed: int = 0,
    embedding_model: str = DEFAULT_MODEL,
    embed: Embed | None = None,
) -> "MusiqueEnvironment":
    """The MuSiQue environment: questions, the `retrieve` tool, and the reward.

    Args:
        datasets: "path,name,split", several joined by ";".
        eval_datasets: the same, for evaluation. None means 64 other synthetic questions where
            `datasets` is synthetic, and no evaluation set otherwise.
        retriever: lexical, semantic, hybrid or golden.
        top_k: documents a call, 1 or more.
        rewards: revised or original.
        max_turns: assistant messages a rollout may have.
        max_hops: keep questions with fewer hops than this; None keeps all.
        sort_by_hops: order the questions by hops.
        noise: share of each question's non-supporting paragraphs to drop.
        prompt_style: full, or brief for a tiny model.
        seed: decides which paragraphs `noise` drops.
        embedding_model: a sentence-transformers model, for semantic and hybrid.
        embed: texts to vectors, in place of `embedding_model`.

    Raises:
        ConfigurationError: an option or a dataset can't work; the message says what to do.
        MissingDependency: semantic and hybrid without sentence-transformers.
    """
    options = {name: value for name, value in locals().items() if name != "embed"}
    style = choice(PromptStyle, prompt_style, option="prompt_style")
    selection = Selection(max_hops=max_hops, sort_by_hops=sort_by_hops, noise=noise, seed=seed)
    formula = choice(Rewards, rewards, option="rewards")
    check_positive(top_k=top_k, max_turns=max_turns)
    eval_datasets = eval_datasets or synthetic_evaluation(datasets)
    return MusiqueEnvironment(
        origin=Origin(
            loader=__name__,
            options=options,
            dataset=datasets,
            eval_dataset=eval_datasets,
            outcome=OUTCOME,
        ),
        retriever=make_retriever(retriever, embed=embed, embedding_model=embedding_model),
        top_k=top_k,
        dataset=to_dataset(load_examples(datasets, selection), style),
        eval_dataset=(
            to_dataset(load_examples(eval_datasets, selection), style) if eval_datasets else None
        ),
        system_prompt=system_prompt(style),
        rubric=make_rubric(formula),
        max_turns=max_turns,
    )


def load_rubric(rewards: str = "revised", **_: Any) -> Any:
    """The rubric of `load_environment` with the same options, without its questions.

    Raises:
        ConfigurationError: there are no such rewards.
    """
    return make_rubric(choice(Rewards, rewards, option="rewards"))


class MusiqueEnvironment(vf.StatefulToolEnv):  # type: ignore[misc]
    """Rollouts over the paragraphs in `info`: up to `max_turns` turns, one tool, `retrieve`.

    `origin` says where it comes from; it is kept with a recorded run.

    A call that can't be run (arguments that are no JSON, an unknown tool, no query) is answered
    with a message that says why, and never raises: upstream, one such call ends the training.
    """

    def __init__(
        self,
        *,
        retriever: Retriever,
        top_k: int,
        max_turns: int,
        origin: Origin | None = None,
        **options: Any,
    ) -> None:
        super().__init__(tools=[], max_turns=max_turns, **options)
        self.origin = origin
        self.retriever = retriever
        self.top_k = top_k
        # Set by hand: the schema derived from a signature adds titles, `strict` and the like,
        # each of which costs prompt tokens.
        self.tools = [self.retrieve]
        self.tool_map = {"retrieve": self.retrieve}
        self.oai_tools = [json.loads(json.dumps(RETRIEVE))]
        self.skipped_args = {"retrieve": ["example", "shown"]}

    async def retrieve(self, query: str, *, example: MusiqueExample, shown: Sequence[int]) -> str:
        """Documents of `example` about the query; `shown` are the ids that were seen before.

        Runs in a thread, so that an embedding model does not hold up the other rollouts.
        """
        return await asyncio.to_thread(
            search, self.retriever, query, example, shown=shown, top_k=self.top_k
        )

    def update_tool_args(
        self,
        tool_name: str,
        tool_args: dict[str, Any],
        messages: list[_Message],
        state: dict[str, Any],
        **_: Any,
    ) -> dict[str, Any]:
        """The model's arguments with the rollout's own beside them."""
        del tool_name
        return tool_args | {
            "example": parse_example(state["info"]),
            "shown": shown_documents(messages),
        }

    async def env_response(
        self, messages: list[_Message], state: dict[str, Any], **options: Any
    ) -> tuple[list[_Message], dict[str, Any]]:
        """One tool message per call of the last message, in order."""
        answers: list[_Message] = []
        for call in messages[-1]["tool_calls"]:
            so_far = [*messages, *answers]
            answers.append(await self._answer(call, so_far, state, **options))
        return answers, state

    async def _answer(
        self, call: Any, messages: list[_Message], state: dict[str, Any], **options: Any
    ) -> _Message:
        call_id, name, written = _read_call(call)
        try:
            arguments = _arguments(name, written)
        except ConfigurationError as error:
            return {"role": "tool", "content": f"Error: {error}", "tool_call_id": call_id}
        hidden = self.update_tool_args(name, arguments, messages, state, **options)
        message: _Message = await self.call_tool(name, hidden, call_id)
        return message


def make_rubric(rewards: Rewards) -> Any:
    """The verifiers rubric: the six components, and for `original` the total, as functions.

    `revised` weighs the components; `original` logs them with weight 0 beside `reward_original`.
    """
    functions = {name: _reward_function(name, score) for name, score in scorers(rewards).items()}
    if rewards is Rewards.REVISED:
        return vf.Rubric(
            funcs=list(functions.values()), weights=[REVISED_WEIGHTS[name] for name in functions]
        )
    reward_original = _reward_function("reward_original", original_total)
    return vf.Rubric(
        funcs=[reward_original, *functions.values()], weights=[1.0] + [0.0] * len(functions)
    )


def to_dataset(examples: Sequence[MusiqueExample], style: PromptStyle) -> Any:
    """A `datasets.Dataset` with id, question, answer, prompt, task and info.

    `info` is the MuSiQue row with `hops`; its types are declared, so that empty lists of aliases
    do not make two datasets differ.
    """
    rows = [
        {
            "id": example.id,
            "question": example.question,
            "answer": example.answer,
            "prompt": prompt_messages(example.question, style),
            "task": "musique",
            "info": to_row(example),
        }
        for example in examples
    ]
    return hf.Dataset.from_list(rows, features=_features())


def _features() -> Any:
    text, flag = hf.Value("string"), hf.Value("bool")
    paragraph = {
        "idx": hf.Value("int64"),
        "title": text,
        "paragraph_text": text,
        "is_supporting": flag,
    }
    row = {
        "id": text,
        "question": text,
        "answer": text,
        "answer_aliases": hf.List(text),
        "hops": hf.Value("int64"),
        "paragraphs": hf.List(paragraph),
    }
    message = {"role": text, "content": text}
    top = {"id": text, "question": text, "answer": text, "task": text}
    return hf.Features(top | {"prompt": hf.List(message), "info": row})


def _reward_function(name: str, score: Scorer) -> Callable[..., float]:
    def reward(completion: object, info: Mapping[str, Any]) -> float:
        return score(read_outcome(completion, parse_example(info)))

    reward.__name__ = reward.__qualname__ = name
    reward.__doc__ = score.__doc__
    return reward


def _read_call(call: Any) -> tuple[str, str, str]:
    """Id, name and arguments as written of a call that is a pydantic object or a dict."""
    fields = call if isinstance(call, Mapping) else call.model_dump()
    function = fields.get("function") or {}
    return fields.get("id") or "", function.get("name") or "", function.get("arguments") or ""


def _arguments(name: str, written: str) -> dict[str, Any]:
    """The arguments of a call to `retrieve`. The error's text is meant for the model."""
    if name != "retrieve":
        raise ConfigurationError(f"there is no tool {name!r}; call retrieve")
    usage = 'write {"query": "a few words"}'
    try:
        arguments = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the arguments are not valid JSON; {usage}") from error
    if not isinstance(arguments, dict) or not isinstance(arguments.get("query"), str):
        raise ConfigurationError(f"the arguments have no text under query; {usage}")
    if len(arguments) > 1:
        raise ConfigurationError(f"query is the only argument; {usage}")
    return arguments
