"""Mathematics with a python tool, for the verifiers library (0.1.5): `load_environment`."""

import asyncio
import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import asdict
from typing import Any

from rlvr.environments.math_python.core.examples import MathExample, to_row
from rlvr.environments.math_python.core.grader import Grader
from rlvr.environments.math_python.core.grading import Grade, Outcome
from rlvr.environments.math_python.core.loading import Selection, load_examples
from rlvr.environments.math_python.core.prompts import (
    PYTHON,
    prompt_messages,
    system_prompt,
)
from rlvr.environments.math_python.core.rewards import (
    OF_GRADE,
    OF_OUTLINE,
    WEIGHTS,
    missing_answer,
    read_outline,
)
from rlvr.environments.math_python.core.tool import (
    read_call,
    read_result,
    recorded_result,
    shown_result,
)
from rlvr.environments.settings import (
    Origin,
    PromptStyle,
    Rewards,
    check_positive,
    choice,
    synthetic_evaluation,
)
from rlvr.errors import ConfigurationError, MissingDependency
from rlvr.sandbox import Limits, Sandbox, SandboxKind, open_sandbox

try:
    import datasets as hf
    import verifiers as vf
except ImportError as error:
    raise MissingDependency(
        "the math environment needs verifiers and datasets; "
        "install them with: pip install 'rlvr[train]'"
    ) from error

DEFAULT_DATASETS = "synthetic,seed-0,train[:1024]"
GRADE_KEY = "math_python_grade"
"""Where a rollout's state carries what the scorer said, as a mapping."""
_Message = dict[str, Any]
_State = MutableMapping[str, Any]


def load_environment(
    datasets: str = DEFAULT_DATASETS,
    eval_datasets: str | None = None,
    *,
    max_turns: int = 4,
    max_level: int | None = None,
    sort_by_level: bool = False,
    prompt_style: str = "full",
    rewards: str = "revised",
    sandbox: str = SandboxKind.BUBBLEWRAP,
    tool_limit_s: float = 10.0,
    tool_characters: int = 1500,
    scorer_limit_s: float = 3.0,
) -> "MathPythonEnvironment":
    r"""The math environment: problems, a sandboxed `python` tool, answers in \boxed{}.

    Args:
        datasets: "path,name,split", several joined by ";".
        eval_datasets: the same, for evaluation. None means 64 other synthetic problems where
            `datasets` is synthetic, and no evaluation set otherwise.
        max_turns: assistant messages a rollout may have.
        max_level: keep problems up to this level; None keeps all.
        sort_by_level: order the problems by level.
        prompt_style: full, or brief for a tiny model.
        rewards: revised; or original, correctness by the MathRubric of verifiers alone, which
            scores every answer 0 off the main thread (see docs/findings/scorer-silent.md).
        sandbox: bubblewrap; or none-i-accept-the-risk, which runs what the model writes with the
            rights of whoever trains.
        tool_limit_s: seconds that a call of the tool may take.
        tool_characters: of its output that the model sees.
        scorer_limit_s: seconds that math-verify may take for an answer.

    Raises:
        ConfigurationError: an option or a dataset can't work; the message says what to do.
        SandboxUnavailable: model code can't run safely here.
        ScorerUnavailable: the processes that score do not start.
    """
    options = dict(locals())
    style = choice(PromptStyle, prompt_style, option="prompt_style")
    selection = Selection(max_level=max_level, sort_by_level=sort_by_level)
    check_positive(max_turns=max_turns, tool_characters=tool_characters)
    eval_datasets = eval_datasets or synthetic_evaluation(datasets)
    dataset = to_dataset(load_examples(datasets, selection), style)
    eval_dataset = (
        to_dataset(load_examples(eval_datasets, selection), style) if eval_datasets else None
    )
    limits = Limits(wall_s=tool_limit_s)
    rubric = load_rubric(rewards=rewards, scorer_limit_s=scorer_limit_s)
    return MathPythonEnvironment(
        origin=Origin(
            loader=__name__,
            options=options,
            dataset=datasets,
            eval_dataset=eval_datasets,
            outcome=rubric.get_reward_func_names()[0],
        ),
        sandbox=open_sandbox(sandbox, limits),
        limits=limits,
        tool_characters=tool_characters,
        dataset=dataset,
        eval_dataset=eval_dataset,
        system_prompt=system_prompt(style),
        rubric=rubric,
        max_turns=max_turns,
    )


class MathPythonEnvironment(vf.ToolEnv):  # type: ignore[misc]
    """Rollouts of up to `max_turns` turns with one tool, `python`, that keeps nothing.

    `origin` says where it comes from; it is kept with a recorded run. The tool
    returns the whole execution as text, which is what a recorder keeps; the model is shown its
    output, cut to `tool_characters`. A call that can't be run is answered with a message that says
    why, and never raises.
    """

    def __init__(
        self,
        *,
        sandbox: Sandbox,
        limits: Limits,
        tool_characters: int,
        max_turns: int,
        origin: Origin | None = None,
        **options: Any,
    ) -> None:
        super().__init__(tools=[], max_turns=max_turns, **options)
        self.origin = origin
        self.sandbox = sandbox
        self.limits = limits
        self.tool_characters = tool_characters
        # Set by hand: the schema derived from a signature adds titles, `strict` and the like,
        # each of which costs prompt tokens.
        self.tools = [self.python]
        self.tool_map = {"python": self.python}
        self.oai_tools = [json.loads(json.dumps(PYTHON))]

    def close(self) -> None:
        """Stop the processes of the sandbox and of the scorer, as the end of Python does."""
        self.sandbox.close()
        close_rubric(self.rubric)

    async def python(self, code: str) -> str:
        """Run a program in the sandbox; everything that came of it (see `read_result`)."""
        execution = await asyncio.to_thread(self.sandbox.run, code)
        return recorded_result(execution, self.limits)

    async def env_response(
        self, messages: list[_Message], state: dict[str, Any], **_: Any
    ) -> tuple[list[_Message], dict[str, Any]]:
        """One tool message per call of the last message, in order."""
        return [await self._answer(call) for call in messages[-1]["tool_calls"]], state

    async def _answer(self, call: Any) -> _Message:
        call_id, name, written = _read_call(call)
        try:
            code = read_call(name, written)
        except ConfigurationError as error:
            return {"role": "tool", "content": f"Error: {error}", "tool_call_id": call_id}
        message: _Message = await self.call_tool(name, {"code": code}, call_id)
        return {**message, "content": self._shown(message["content"])}

    def _shown(self, result: str) -> str:
        try:
            execution = read_result(result)
        except ValueError:  # the tool raised: this is the reason
            return f"Error: {result}"
        return shown_result(execution, self.limits, max_characters=self.tool_characters)


def load_rubric(rewards: str = "revised", scorer_limit_s: float = 3.0, **_: Any) -> Any:
    """The rubric of `load_environment` with the same options, without its problems and its tool.

    Its first function says whether an answer is right. `close_rubric` ends what it holds.

    Raises:
        ConfigurationError: there are no such rewards.
        ScorerUnavailable: the processes that score do not start.
    """
    if choice(Rewards, rewards, option="rewards") is Rewards.ORIGINAL:
        return original_rubric()
    return make_rubric(Grader(limit_s=scorer_limit_s))


def close_rubric(rubric: Any) -> None:
    """Stop the processes that a rubric of ours scores in; others hold none."""
    grader = vars(rubric).get("grader")
    if isinstance(grader, Grader):
        grader.close()


def original_rubric() -> Any:
    """The library's own MathRubric, as its users' math-python has it, and counters of calls.

    It asks math-verify in the thread it is called in, and scores 0.0 whatever that raises.
    """
    rubric = vf.MathRubric(parser=vf.Parser(extract_fn=vf.extract_boxed_answer))
    for name in ("tool_calls", "tool_errors"):
        rubric.add_reward_func(_outline_function(name), weight=0.0)
    return rubric


def make_rubric(grader: Grader) -> Any:
    """The verifiers rubric: every component of `WEIGHTS`, as a function of that name.

    They are computed one after the other, since several of them need the same grade.
    """
    functions = [
        _grade_function(name, grader) if name in OF_GRADE else _outline_function(name)
        for name in WEIGHTS
    ]
    return vf.Rubric(
        funcs=functions,
        weights=list(WEIGHTS.values()),
        parallelize_scoring=False,
        grader=grader,
    )


async def grade_of(grader: Grader, completion: object, answer: str, state: _State) -> Grade:
    """The grade of a rollout: asked for once, then kept in its state."""
    if GRADE_KEY not in state:
        given = read_outline(completion).answer
        grade = (
            missing_answer()
            if given is None
            else await asyncio.to_thread(grader.grade, answer, given)
        )
        state[GRADE_KEY] = asdict(grade)
    kept: dict[str, Any] = state[GRADE_KEY]
    return Grade(**kept | {"outcome": Outcome(kept["outcome"])})


def to_dataset(examples: Sequence[MathExample], style: PromptStyle) -> Any:
    """A `datasets.Dataset` with id, question, answer, prompt, task and info.

    `info` is the row with `level`; its types are declared, so that missing levels do not make two
    datasets differ.
    """
    rows = [
        {
            "id": example.id,
            "question": example.question,
            "answer": example.answer,
            "prompt": prompt_messages(example.question, style),
            "task": "math_python",
            "info": to_row(example),
        }
        for example in examples
    ]
    text = hf.Value("string")
    row = {"id": text, "question": text, "answer": text, "level": hf.Value("int64")}
    top = {"id": text, "question": text, "answer": text, "task": text}
    prompt = hf.List({"role": text, "content": text})
    return hf.Dataset.from_list(rows, features=hf.Features(top | {"prompt": prompt, "info": row}))


def _grade_function(name: str, grader: Grader) -> Callable[..., Any]:
    score = OF_GRADE[name]

    async def reward(completion: object, answer: str, state: _State) -> float:
        return score(await grade_of(grader, completion, answer, state))

    return _named(reward, name, score.__doc__)


def _outline_function(name: str) -> Callable[..., Any]:
    score = OF_OUTLINE[name]

    def reward(completion: object) -> float:
        return score(read_outline(completion))

    return _named(reward, name, score.__doc__)


def _named(function: Callable[..., Any], name: str, docs: str | None) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = docs
    return function


def _read_call(call: Any) -> tuple[str, str, str]:
    """Id, name and arguments as written of a call that is a pydantic object or a dict."""
    fields = call if isinstance(call, Mapping) else call.model_dump()
    function = fields.get("function") or {}
    return fields.get("id") or "", function.get("name") or "", function.get("arguments") or ""
