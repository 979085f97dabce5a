"""Dialogues for the warm start: how to answer a question, done well or with typical mistakes."""

import json
import random
from dataclasses import dataclass
from typing import Any

from rlvr.environments.musique.core.examples import MusiqueExample, parse_example
from rlvr.environments.musique.core.prompts import prompt_messages
from rlvr.environments.musique.core.retrieval import Retriever, search
from rlvr.environments.musique.core.synthetic import KIN, KINDS, Row
from rlvr.environments.settings import PromptStyle

__all__ = ["CLEAN", "Quality", "demonstrate"]

_BRIEF = PromptStyle.BRIEF
_BROKEN_CALL = 'Error: the arguments are not valid JSON; write {"query": "a few words"}'
"""What the environment answers to a call that does not parse; a test holds the two equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The probability that a demonstration gets each thing right, each drawn by itself.

    first: asks for the person whom the question means, not for another relation of hers.
    sound: writes the first call as valid JSON at once.
    hop: asks a second question, instead of answering with the person found.
    relation: asks it for the relation that the question means.
    answer: answers with the thing that the last document names, not with its owner.
    cite: cites the documents it was shown, instead of all of them or none.
    think: thinks aloud.
    """

    first: float = 1.0
    sound: float = 1.0
    hop: float = 1.0
    relation: float = 1.0
    answer: float = 1.0
    cite: float = 1.0
    think: float = 1.0


CLEAN = Quality()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What one document says: `object` is the `relation` of `subject`."""

    idx: int
    object: str
    relation: str
    subject: str


class _Dialogue:
    """Messages so far, and the documents they showed."""

    def __init__(self, example: MusiqueExample, retriever: Retriever, *, thinks: bool) -> None:
        self.messages: list[dict[str, Any]] = [*prompt_messages(example.question, _BRIEF)]
        self.found: list[_Found] = []
        self._example = example
        self._retriever = retriever
        self._thinks = thinks

    def thought(self, text: str) -> str:
        """The text in its tags, or nothing where this dialogue does not think aloud."""
        return f"<think>\n{text}\n</think>\n" if self._thinks else ""

    def retrieve(self, relation: str, person: str, *, sound: bool = True) -> _Found:
        """Call the tool (first with broken JSON where not `sound`) and read its document."""
        query = f"{relation} of {person}"
        content = self.thought(f"{'Who' if relation in KIN else 'What'} is the {query}?")
        arguments = json.dumps({"query": query})
        if not sound:
            broken = json.dumps({"name": "retrieve", "arguments": {"query": query}})[:-1]
            self._call(content, broken, _BROKEN_CALL)
        result = search(self._retriever, query, self._example)
        self._call(content, arguments, result)
        self.found.append(_read(result))
        return self.found[-1]

    def _call(self, content: str, arguments: str, result: str) -> None:
        function = {"name": "retrieve", "arguments": arguments}
        call = {"id": "call", "type": "function", "function": function}
        self.messages += [
            {"role": "assistant", "content": content, "tool_calls": [call]},
            {"role": "tool", "content": result, "tool_call_id": "call"},
        ]

    def answer(self, answer: str, cited: tuple[int, ...]) -> None:
        """End with thought, citation (none where `cited` is empty) and answer."""
        last = self.found[-1]
        content = self.thought(f"The {last.relation} of {last.subject} is {last.object}.")
        if cited:
            content += f"<cite>{', '.join(map(str, cited))}</cite>\n"
        content += f"<answer>{answer}</answer>"
        self.messages.append({"role": "assistant", "content": content})


def demonstrate(
    row: Row, *, retriever: Retriever, quality: Quality, chance: random.Random
) -> list[dict[str, Any]]:
    """One dialogue about a row of the synthetic generator, from the system message to the answer.

    Tool results are what `retriever` really finds, so a wrong query leads astray as it would in
    the environment.
    """

    def right(probability: float) -> bool:
        return chance.random() < probability

    (person, kin), kind = _hops(row)
    dialogue = _Dialogue(parse_example(row), retriever, thinks=right(quality.think))
    asked = kin if right(quality.first) else _other(chance, [*KIN, kind], kin)
    found = dialogue.retrieve(asked, person, sound=right(quality.sound))
    if right(quality.hop):
        relation = kind if right(quality.relation) else _other(chance, [*KINDS], kind)
        found = dialogue.retrieve(relation, found.object)
    answer = found.object if right(quality.answer) else found.subject
    shown = tuple(dict.fromkeys(each.idx for each in dialogue.found))
    everything = tuple(paragraph["idx"] for paragraph in row["paragraphs"])
    cited = shown if right(quality.cite) else chance.choice([everything, ()])
    dialogue.answer(answer, cited)
    return dialogue.messages


def _hops(row: Row) -> tuple[tuple[str, str], str]:
    """(person, relation) of the first hop, and the relation of the second."""
    first, second = row["question_decomposition"]
    person, _, kin = first["question"].partition(" >> ")
    return (person, kin), second["question"].partition(" >> ")[2]


def _other(chance: random.Random, choices: list[str], right: str) -> str:
    return chance.choice([choice for choice in choices if choice != right])


def _read(document: str) -> _Found:
    head, _, text = document.split("\n")
    item, _, rest = text.removesuffix(".").partition(" is the ")
    relation, _, subject = rest.partition(" of ")
    idx = int(head.removeprefix("Document ID: "))
    return _Found(idx=idx, object=item, relation=relation, subject=subject)
