"""How a simulated policy behaves: the messages, calls and turns of one rollout."""

import json
import random
from dataclasses import dataclass

from rlvr.diagnosis.simulated.settings import Fault, SimulatedRun, Task
from rlvr.record import Message, RolloutError, ToolCall, ToolResult, Turn

_NAMES = (
    "Ada Quill",
    "Ro Fenn",
    "Pim Morrow",
    "Orla Thorne",
    "Nils Tarn",
    "Vera Pryce",
    "Dara Pell",
)
_TOWNS = ("Lunt", "Varro", "Mesk", "Orl", "Ridge", "Tamber", "Hollow", "Yarrow", "Kestrel", "Sarto")
_WORDS = ("first", "then", "so", "look", "since", "hence", "check", "again", "next", "perhaps")
_TOOLS = {Task.TWO_HOP: "retrieve", Task.CODE: "python"}
_ERRORS = {
    Task.TWO_HOP: ("LookupError: query matches nothing",),
    Task.CODE: (
        "NameError: name 'x' is not defined",
        "SyntaxError: invalid syntax",
        "TypeError: unsupported operand type(s)",
        "ZeroDivisionError: division by zero",
    ),
}
_DOWN = "ConnectionError: the tool does not answer"
_FAILED = RolloutError(where="generation", type="APITimeoutError", text="Request timed out.")
_SAME = "<think>so look again then check the next one first</think>\n<answer>nowhere</answer>"
_LONGER, _SHORTER = 4.0, 0.125  # times the length of a turn, of faults of length
_BLIND = 0.1  # of its chance is left to a policy whose tool says nothing
_CLUMSY = 0.5  # and to one that wasted a turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One example of the data set."""

    example: int
    question: str
    answer: str
    difficulty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Shares of behaviour in one group: rollouts of a prompt resemble each other."""

    chance: float
    malformed: float
    cut: float
    over_limit: float
    tool_errors: float
    formatted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One rollout as it went. `environment_tokens` has those that follow each turn."""

    completion: tuple[Message, ...]
    tool_results: tuple[ToolResult, ...]
    turns: tuple[Turn, ...]
    environment_tokens: tuple[int, ...]
    stop_reason: str
    errors: tuple[RolloutError, ...]
    succeeded: bool
    formatted: bool

    @property
    def useful_results(self) -> int:
        """Calls that a tool answered with something else than an error."""
        answers = (result.result for result in self.tool_results)
        return sum(answer is not None and not answer.startswith("Error") for answer in answers)


def prompt_of(run: SimulatedRun, example: int) -> Prompt:
    """The example, the same at every visit."""
    draw = random.Random(run.seed * 1_000_003 + example)
    if run.task is Task.TWO_HOP:
        asked = (
            f"Where was founder {example} of {draw.choice(_TOWNS)}, {draw.choice(_NAMES)}, born?"
        )
        answer = draw.choice(_TOWNS)
    else:
        asked = f"Problem {example}: what is {draw.randint(2, 99)} times {draw.randint(2, 99)}?"
        answer = str(draw.randint(100, 9_999))
    return Prompt(
        example=example, question=asked, answer=answer, difficulty=draw.gauss(0.0, run.difficulty)
    )


def play(
    run: SimulatedRun, prompt: Prompt, habits: Habits, *, step: int, draw: random.Random
) -> Episode:
    """One rollout of the prompt at a step."""
    return _Playing(run, prompt, habits, step, draw).play()


class _Playing:
    """The rollout while it is played."""

    def __init__(
        self, run: SimulatedRun, prompt: Prompt, habits: Habits, step: int, draw: random.Random
    ) -> None:
        self.run, self.prompt, self.habits, self.step, self.draw = run, prompt, habits, step, draw
        self.completion: list[Message] = []
        self.results: list[ToolResult] = []
        self.turns: list[Turn] = []
        self.environment: list[int] = []
        behind = run.batches_ahead * run.iterations
        self.version = max(0, step - behind)
        if self.has(Fault.STALE_POLICY):
            self.version = max(0, step - behind - 3)

    def has(self, fault: Fault) -> bool:
        """Whether this rollout has the fault."""
        return self.run.has(fault, self.step, self.draw)

    def play(self) -> Episode:
        if self.draw.random() < self.run.failed:
            self.speak(self.thought(), "stop", None, tokens=None, heard=0)
            return self.ended("error", succeeded=False, formatted=False)
        if self.run.task is Task.MATH or self.draw.random() < self.run.idle:
            return self.answer(self.habits.chance)
        return self.odd() or self.with_calls()

    def with_calls(self) -> Episode:
        endless = self.draw.random() < self.habits.over_limit or self.has(Fault.TURN_LIMIT)
        speechless = self.has(Fault.MALFORMED_CALLS)
        clumsy = speechless or self.draw.random() < self.habits.malformed
        down = self.has(Fault.TOOL_FAILS)
        wanted = self.wanted_calls() if not endless else self.run.max_turns
        if not endless and self.has(Fault.TOOLS_OVERUSED):
            wanted = self.run.max_turns - 1
        for turn in range(min(wanted, self.run.max_turns)):
            last = endless and turn == self.run.max_turns - 1
            malformed = speechless or (clumsy and turn == wanted - 1)
            self.call_turn(turn, malformed=malformed, down=down, last=last)
            if last:
                return self.ended("max_turns", succeeded=False, formatted=False)
        if self.has(Fault.VOID_TURNS):
            return self.end(self.thought(), "stop", succeeded=False)
        chance = self.habits.chance
        blind = down or speechless
        return self.answer(chance * (_BLIND if blind else _CLUMSY if clumsy else 1.0))

    def odd(self) -> Episode | None:
        """An episode of a single turn that a fault of behaviour makes, None without one."""
        if self.has(Fault.DIVERGENCE):
            words = " ".join(self.draw.choice(_WORDS) for _ in range(40))
            return self.end(words, "length", succeeded=False)
        if self.has(Fault.SAME_OUTPUT):
            return self.end(_SAME, "stop", succeeded=False, formatted=True)
        if self.has(Fault.TOOLS_GIVEN_UP):
            return self.answer(self.habits.chance * _BLIND)
        if self.has(Fault.UNPARSED_CALLS):
            name, arguments = self.call()
            call = f'{{"name": "{name}", "arguments": {arguments}}}'
            text = f"{self.thought()}\n<tool_call>\n{call}\n</tool_call>"
            return self.end(text, "stop", succeeded=False)
        return None

    def length(self) -> float:
        """Tokens of a turn on average."""
        if self.has(Fault.LENGTH_GROWS):
            return self.run.turn_tokens * _LONGER
        if self.has(Fault.LENGTH_SHRINKS):
            return self.run.turn_tokens * _SHORTER
        return self.run.turn_tokens

    def wanted_calls(self) -> int:
        wanted = 2 if self.run.task is Task.TWO_HOP else 1
        paid = self.run.spoilt(Fault.CALLS_OUTWEIGH, self.step // self.run.iterations)
        wanted += sum(self.draw.random() < paid for _ in range(self.run.max_turns - wanted - 1))
        while wanted < self.run.max_turns - 1 and self.draw.random() < 0.2:
            wanted += 1
        return wanted

    def call_turn(self, turn: int, *, malformed: bool, down: bool, last: bool) -> None:
        name, arguments = self.call()
        if malformed:
            arguments = arguments[:-3]
        call = ToolCall(id=f"c{turn}", name=name, arguments=arguments)
        self.speak(self.thought(), "tool_calls", call, tokens=None, heard=0 if last else 40)
        if last:
            return
        error, result = self.outcome_of_call(malformed=malformed, down=down)
        self.completion.append(
            Message(role="tool", content=result or f"Error: {error}", tool_call_id=call.id)
        )
        self.results.append(
            ToolResult(
                turn=turn,
                call_id=call.id,
                name=name,
                arguments=arguments,
                result=result,
                error=error,
                duration_s=None if malformed else 0.01,
                malformed=malformed,
            )
        )

    def outcome_of_call(self, *, malformed: bool, down: bool) -> tuple[str | None, str | None]:
        if malformed:
            return "the arguments are not valid JSON (Unterminated string)", None
        if down:
            return _DOWN, None
        if self.draw.random() < self.habits.tool_errors:
            error = self.draw.choice(_ERRORS[self.run.task])
            # An interpreter returns what went wrong; a search tool raises.
            return (error, None) if self.run.task is Task.TWO_HOP else (None, f"Error: {error}")
        return None, f"{self.draw.choice(_TOWNS)}: {self.draw.choice(_NAMES)} was born there."

    def call(self) -> tuple[str, str]:
        """Name and arguments of a call."""
        key = "query" if self.run.task is Task.TWO_HOP else "code"
        asked = f"{self.draw.choice(_WORDS)} {self.draw.choice(_NAMES)}"
        return _TOOLS[self.run.task], json.dumps({key: asked})

    def thought(self) -> str:
        words = " ".join(self.draw.choice(_WORDS) for _ in range(6))
        return f"<think>{words}</think>"

    def answer(self, chance: float) -> Episode:
        if self.draw.random() < self.habits.cut or self.has(Fault.CUT_ANSWERS):
            return self.end(self.thought() + " and", "length", succeeded=False)
        succeeded = self.draw.random() < chance
        said = self.prompt.answer
        if not succeeded:
            said = f"{self.draw.choice(_TOWNS)}ville {self.draw.randint(10_000, 99_999)}"
            if self.draw.random() < self.run.verbose:
                said = f"{self.prompt.answer}, or {said}"
        formatted = self.draw.random() < self.habits.formatted
        if self.has(Fault.ANSWER_NOT_PARSED):
            return self.end(f"{self.thought()}\nThe answer is {said}.", "stop", succeeded=False)
        if self.run.task is Task.MATH:
            text = f"{self.thought()}\n\\boxed{{{said}}}"
        else:
            text = f"{self.thought()}\n<answer>{said}</answer>"
        return self.end(text, "stop", succeeded=succeeded, formatted=formatted)

    def end(
        self, text: str, finish_reason: str, *, succeeded: bool, formatted: bool = False
    ) -> Episode:
        cut = finish_reason == "length"
        self.speak(text, finish_reason, None, tokens=self.run.max_tokens if cut else None, heard=0)
        return self.ended("length" if cut else "finished", succeeded=succeeded, formatted=formatted)

    def ended(self, stop_reason: str, *, succeeded: bool, formatted: bool) -> Episode:
        return Episode(
            completion=tuple(self.completion),
            tool_results=tuple(self.results),
            turns=tuple(self.turns),
            environment_tokens=tuple(self.environment),
            stop_reason=stop_reason,
            errors=(_FAILED,) if stop_reason == "error" else (),
            succeeded=succeeded,
            formatted=formatted,
        )

    def speak(
        self,
        text: str,
        finish_reason: str,
        call: ToolCall | None,
        *,
        tokens: int | None,
        heard: int,
    ) -> None:
        """One assistant turn, and the tokens of what the environment says after it."""
        mean = self.length()
        length = round(self.draw.gauss(mean, 0.3 * mean))
        sampled = tokens or min(max(length, 6), self.run.max_tokens - 1)
        before = sum(turn.sampled_tokens or 0 for turn in self.turns) + sum(self.environment)
        self.turns.append(
            Turn(
                index=len(self.turns),
                finish_reason=finish_reason,
                prompt_tokens=self.run.prompt_tokens + before,
                sampled_tokens=sampled,
                policy_version=self.version,
                duration_s=sampled / 500,
            )
        )
        self.environment.append(heard and heard + self.draw.randint(0, heard))
        calls = (call,) if call is not None else ()
        self.completion.append(Message(role="assistant", content=text, tool_calls=calls))
