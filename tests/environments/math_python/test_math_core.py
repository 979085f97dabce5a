"""Problems, boxes, the tool's text and the reward; no library of a trainer is needed."""

import itertools
import json
import re
from dataclasses import replace
from fractions import Fraction

import pytest

from rlvr.environments.math_python.core import synthetic
from rlvr.environments.math_python.core.answers import boxed_answers, last_answer
from rlvr.environments.math_python.core.examples import gold_answer, parse_example, to_row
from rlvr.environments.math_python.core.grading import Grade, Outcome
from rlvr.environments.math_python.core.latex import decimal, fraction, interval, linear
from rlvr.environments.math_python.core.loading import Selection, load_examples
from rlvr.environments.math_python.core.prompts import PYTHON, prompt_messages
from rlvr.environments.math_python.core.rewards import (
    OF_GRADE,
    OF_OUTLINE,
    WEIGHTS,
    ScorerFailed,
    correct,
    read_outline,
    total,
)
from rlvr.environments.math_python.core.tool import (
    NOTHING,
    clipped,
    read_call,
    read_result,
    recorded_result,
    shown_result,
)
from rlvr.environments.settings import PromptStyle
from rlvr.errors import ConfigurationError
from rlvr.sandbox import Execution, Limits, Output
from rlvr.sandbox.scripted import printed


def rows(split="train", *, seed=0, count=200):
    return list(synthetic.rows(seed=seed, count=count, split=split))


def test_equal_seeds_give_equal_problems_and_others_give_others():
    assert rows(seed=3) == rows(seed=3)
    ours, theirs = ({row["question"] for row in rows(seed=seed)} for seed in (3, 4))
    assert len(ours & theirs) < 20


def test_thousands_of_problems_are_all_different():
    questions = [row["question"] for row in rows(count=5000)]
    assert len(set(questions)) == 5000


def test_every_split_gives_what_it_promises():
    for split, residues in synthetic.SPLITS.items():
        most = synthetic.ROWS_PER_RESIDUE * len(residues)
        if split != "train":
            assert len(rows(split, count=most)) == most
        with pytest.raises(ConfigurationError, match=f"between 0 and {most}"):
            rows(split, count=most + 1)


def test_no_problem_is_in_two_splits_whatever_the_seeds():
    questions = {
        split: {row["question"] for seed in range(3) for row in rows(split, seed=seed, count=600)}
        for split in synthetic.SPLITS
    }
    for one, other in itertools.combinations(questions.values(), 2):
        assert not one & other


def test_every_kind_and_level_occurs_and_answers_are_exact():
    found = rows(count=2000)
    assert {row["level"] for row in found} == set(synthetic.LEVELS) == {1, 2, 3, 4, 5}
    answers = [row["answer"] for row in found]
    for part in (r"\frac", "-", ".", r"\infty", "[", "("):
        assert sum(part in answer for answer in answers) > 20, part


def test_an_unknown_split_is_refused():
    with pytest.raises(ConfigurationError, match="use one of test, train, validation, warm"):
        rows("dev")


def test_sums_are_what_they_say():
    checked = 0
    for row in rows(count=2000):
        if row["kind"] in ("sums", "brackets", "decimals"):
            text = row["question"].split("$")[1].replace(r"\cdot", "*")
            assert float(row["answer"]) == pytest.approx(eval(text))
            checked += 1
    assert checked > 300


def test_solutions_satisfy_their_equations():
    checked = 0
    for row in rows(count=3000):
        if row["kind"] == "equation":
            left, right = row["question"].split("$")[1].split("=")
            x = _value(row["answer"])
            assert _linear(left, x) == _linear(right, x)
            checked += 1
        if row["kind"] == "quadratic":
            x = int(row["answer"])
            text = row["question"].split("$")[1].removesuffix(" = 0")
            assert eval(text.replace("^", "**").replace("x", "*x").lstrip("*"), {"x": x}) == 0
            checked += 1
    assert checked > 200


def _value(text):
    sign = -1 if text.startswith("-") else 1
    top, below = re.fullmatch(r"-?\\frac\{(\d+)\}\{(\d+)\}|.*", text).groups()
    return sign * Fraction(int(top), int(below)) if top else Fraction(int(text))


def _linear(text, x):
    slope, _, constant = text.strip().partition("x")
    slope = {"": 1, "-": -1}.get(slope) or int(slope)
    return slope * x + (int(constant.replace(" ", "")) if constant.strip() else 0)


def test_numbers_are_written_as_mathematics_writes_them():
    assert [fraction(Fraction(*pair)) for pair in ((4, 2), (-5, 10), (0, 3))] == [
        "2",
        r"-\frac{1}{2}",
        "0",
    ]
    assert [decimal(*pair) for pair in ((1250, 2), (-5, 3), (300, 2), (7, 0))] == [
        "12.5",
        "-0.005",
        "3",
        "7",
    ]
    assert interval(None, Fraction(3), closed=True) == r"(-\infty, 3]"
    assert interval(Fraction(1, 2), None, closed=False) == r"(\frac{1}{2}, \infty)"
    assert [linear(1, 0), linear(-1, 2), linear(3, -4)] == ["x", "-x + 2", "3x - 4"]


@pytest.mark.parametrize(
    ("text", "boxes", "answer"),
    [
        (r"So \boxed{42}.", ("42",), "42"),
        (r"\boxed{\frac{1}{2}}", (r"\frac{1}{2}",), r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", ("1", "2"), "2"),
        (r"\boxed{\{1, 2\}}", (r"\{1, 2\}",), r"\{1, 2\}"),
        (r"\boxed {3}", ("3",), "3"),
        (r"\boxed{3} and \boxed{4", ("3",), "3"),
        (r"\boxed{ }", ("",), None),
        (r"\boxed{1} \boxed{}", ("1", ""), None),
        (r"\boxed{\boxed{7}}", ("7", r"\boxed{7}"), r"\boxed{7}"),
        ("no box, 42", (), None),
        ("} { \\boxed{5} {", ("5",), "5"),
        (r"\boxed{a}}", ("a",), "a"),
        ("\\", (), None),
        (r"\boxed{" * 5000 + "1" + "}" * 5000, None, None),
    ],
)
def test_the_last_closed_box_is_the_answer(text, boxes, answer):
    if boxes is None:
        assert len(boxed_answers(text)) == 5000
    else:
        assert boxed_answers(text) == boxes
        assert last_answer(text) == answer


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"question": "q", "answer": "42"}, "42"),
        ({"question": "q", "answer": 42}, "42"),
        ({"problem": "q", "solution": r"We get $\boxed{\frac{3}{4}}$."}, r"\frac{3}{4}"),
        ({"question": "q", "answer": "She has 3.\n#### 72"}, "72"),
        ({"prompt": "q", "final_answer": "$x^2$"}, "x^2"),
        ({"question": "q", "answer": "7", "solution": r"\boxed{8}"}, "7"),
    ],
)
def test_the_usual_columns_are_read(row, answer):
    example = parse_example(row)
    assert (example.question, example.answer) == ("q", answer)
    assert parse_example(to_row(example)) == example


def test_levels_are_numbers_also_in_words():
    assert [
        parse_example({"question": "q", "answer": "1", "level": level}).level
        for level in ("Level 5", 3, None, "?")
    ] == [5, 3, None, None]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q"}, "no text or number under answer or final_answer or solution"),
        ({"answer": "1"}, "no text or number under question or problem or prompt"),
        ({"question": ["q"], "answer": "1"}, "rename its columns"),
        ({"question": "q", "answer": " "}, "the answer is empty"),
        ({"question": "q", "answer": r"\boxed{}"}, "the answer is empty"),
    ],
)
def test_a_row_that_is_no_problem_is_refused(row, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_example(row)


def test_files_are_read_and_selected(tmp_path):
    file = tmp_path / "some.jsonl"
    written = [{"question": f"q{n}", "answer": str(n), "level": 5 - n} for n in range(5)]
    file.write_text("\n".join(map(json.dumps, written)))
    assert [one.answer for one in load_examples(f"{file},,train[1:3]")] == ["1", "2"]
    easy = load_examples(f"{file},,train", Selection(max_level=2, sort_by_level=True))
    assert [one.level for one in easy] == [1, 2]
    file.write_text('{"q": 1}')
    with pytest.raises(ConfigurationError, match="row 0 of the slice: the row has no text"):
        load_examples(f"{file},,train")
    with pytest.raises(ConfigurationError, match="the least is 1; raise max_level"):
        load_examples("synthetic,seed-0,train[:50]", Selection(max_level=0))


def test_a_spec_may_join_several():
    both = load_examples("synthetic,seed-1,train[:3];synthetic,seed-1,test[:2]")
    assert [one.id.split("-")[0] for one in both] == ["train"] * 3 + ["test"] * 2


def test_the_prompt_is_the_system_message_and_the_bare_problem():
    for style in PromptStyle:
        system, user = prompt_messages("What?", style)
        assert user == {"role": "user", "content": "What?"}
        assert r"\boxed{" in system["content"]
    assert len(prompt_messages("", PromptStyle.BRIEF)[0]["content"]) < 60
    assert PYTHON["function"]["parameters"]["required"] == ["code"]


def execution(**changes):
    base = {"stdout": Output(), "stderr": Output(), "exit_status": 0, "duration_s": 0.1}
    return Execution(**(base | changes))


FAILED = Output(text="Traceback\nZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (printed("42\n"), "42"),
        (printed(""), NOTHING),
        (printed("\n\n"), NOTHING),
        (
            execution(exit_status=1, stdout=Output(text="so far\n"), stderr=FAILED),
            "Error: exit status 1\nso far\nTraceback\nZeroDivisionError: division by zero",
        ),
        (
            execution(exit_status=None, signal="SIGKILL", timed_out=True),
            "Error: stopped after 10 seconds",
        ),
        (
            execution(exit_status=1, memory_exceeded=True),
            "Error: out of memory (the limit is 1024 MB)",
        ),
        (execution(exit_status=None, signal="SIGSEGV"), "Error: ended by SIGSEGV"),
        (
            execution(exit_status=None, failure="no guest"),
            "Error: the code could not be run: no guest",
        ),
        (execution(stderr=Output(text="a warning")), "a warning"),
        (execution(exit_status=3), "Error: exit status 3"),
    ],
)
def test_the_model_sees_what_happened(run, text):
    assert shown_result(run, Limits(), max_characters=1000) == text


def test_what_is_recorded_is_everything_but_the_time():
    runs = [
        printed("1", duration_s=0.1),
        printed('{"stdout": {"text": "forged"}}'),
        execution(exit_status=1, stderr=FAILED, duration_s=None),
        execution(exit_status=None, failure="no\n{guest", duration_s=None),
    ]
    for run in runs:
        text = recorded_result(run, Limits())
        assert read_result(text) == replace(run, duration_s=None)
        assert text.startswith("Error: ") != run.ok
    assert recorded_result(printed("1", duration_s=9.0), Limits()) == recorded_result(
        runs[0], Limits()
    )
    for other in (
        "",
        "Error: boom",
        "{",
        '{"a": 1}',
        "[{}]",
        '{"stdout": {}}',
        '{"stdout": {"a": 1}}',
    ):
        with pytest.raises(ValueError, match=r"not found|recorded execution"):
            read_result(other)


def test_of_long_output_the_model_sees_both_ends():
    text = "a" * 900 + "b" * 900
    shown = shown_result(printed(text), Limits(), max_characters=1000)
    assert shown == "a" * 500 + "\n[... 800 characters left out ...]\n" + "b" * 500
    assert clipped("x" * 1000, 1000) == "x" * 1000


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("run", "{}", "there is no tool 'run'; call python"),
        ("python", "print(1)", 'not valid JSON; write {"code"'),
        ("python", "[" * 100_000, "not valid JSON"),
        ("python", '{"program": "1"}', "no text under code"),
        ("python", '{"code": 1}', "no text under code"),
        ("python", "[]", "no text under code"),
        ("python", '{"code": "1", "timeout": 99}', "code is the only argument"),
    ],
)
def test_a_call_that_holds_no_code_is_refused(name, written, message):
    with pytest.raises(ConfigurationError, match=message):
        read_call(name, written)


def completion(text, *results):
    tools = [{"role": "tool", "content": result} for result in results]
    return [{"role": "assistant", "content": None}, *tools, {"role": "assistant", "content": text}]


def test_no_wrong_answer_earns_as_much_as_any_right_one():
    others = [name for name, weight in WEIGHTS.items() if name != "correct"]
    # Counters have no upper bound; the others are in [0, 1].
    values = [(0.0, 0.5, 1.0) if WEIGHTS[name] else (0.0, 100.0) for name in others]
    wrong, right = [], []
    for combination in itertools.product(*values):
        rest = dict(zip(others, combination, strict=True))
        wrong.append(total({"correct": 0.0, **rest}))
        right.append(total({"correct": 1.0, **rest}))
    assert max(wrong) < min(right)
    assert max(right) == pytest.approx(1.0)
    assert min(wrong) == 0.0


def test_components_that_weigh_stay_between_nothing_and_one():
    texts = ("", r"\boxed{1}", r"\boxed{1}\boxed{2}", r"\boxed{}", "x" * 10)
    results = ((), ("1",), ("Error: x",), ("Error: x", "1"), ("1",) * 50)
    for text, shown in itertools.product(texts, results):
        outline = read_outline(completion(text, *shown))
        for name, score in OF_OUTLINE.items():
            assert not WEIGHTS[name] or 0.0 <= score(outline) <= 1.0


@pytest.mark.parametrize(
    ("text", "results", "expected"),
    [
        (r"\boxed{1}", ["2"], (1.0, 1.0, 1, 0)),
        (r"\boxed{1}", ["Error: exit status 1"], (1.0, 0.0, 1, 1)),
        (r"\boxed{1} \boxed{2}", ["Error: x", "2"], (0.0, 1.0, 2, 1)),
        ("1", [], (0.0, 0.0, 0, 0)),
        (r"\boxed{}", [NOTHING], (0.0, 1.0, 1, 0)),
    ],
)
def test_format_and_tool_use(text, results, expected):
    outline = read_outline(completion(text, *results))
    names = ("format", "tool_use", "tool_calls", "tool_errors")
    assert tuple(OF_OUTLINE[name](outline) for name in names) == expected


def test_the_answer_stands_in_the_last_message():
    assert read_outline(completion("none")).answer is None
    early = [{"role": "assistant", "content": r"\boxed{1}"}, *completion("none")]
    assert read_outline(early).answer is None


@pytest.mark.parametrize("odd", [None, 7, [], [None], [{}], [{"role": "tool"}], "text"])
def test_odd_completions_only_hold_less(odd):
    outline = read_outline(odd)
    assert outline.answer is None
    assert all(score(outline) >= 0 for score in OF_OUTLINE.values())


def test_each_outcome_of_the_scorer_is_told_apart():
    told = {}
    for outcome in Outcome:
        grade = Grade(outcome=outcome, reason="why")
        try:
            value = correct(grade)
        except TimeoutError:
            value = "timeout"
        except ScorerFailed:
            value = "error"
        told[outcome] = (value, OF_GRADE["answer_parsed"](grade), OF_GRADE["scorer_failed"](grade))
    assert told == {
        Outcome.RIGHT: (1.0, 1.0, 0.0),
        Outcome.WRONG: (0.0, 1.0, 0.0),
        Outcome.UNPARSABLE: (0.0, 0.0, 0.0),
        Outcome.TIMEOUT: ("timeout", 0.0, 1.0),
        Outcome.ERROR: ("error", 0.0, 1.0),
    }
    assert len(set(told.values())) == len(Outcome)


def test_gold_answers_of_solutions():
    assert gold_answer(r"$\frac{1}{2}$") == r"\frac{1}{2}"
    assert gold_answer("a\n#### 1,000\n") == "1,000"


def test_the_core_needs_no_framework():
    import subprocess
    import sys

    code = """
import sys
from rlvr.environments.math_python.core import grader, loading, prompts, rewards, tool
loading.load_examples("synthetic,seed-0,train[:5]")
heavy = {"verifiers", "torch", "transformers", "datasets", "math_verify", "sympy", "pandas"}
print(sorted(heavy & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
