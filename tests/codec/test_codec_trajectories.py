import io
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import odd_trajectory, trajectory
from rlvr.codec import (
    annotations_from_table,
    annotations_to_table,
    decode_attempt,
    decode_run,
    derived_columns,
    encode_attempt,
    encode_run,
    from_table,
    metrics_from_table,
    metrics_to_table,
    to_table,
)
from rlvr.errors import DamagedFile, NewerFormat
from rlvr.record import (
    Annotation,
    Attempt,
    Message,
    MetricRow,
    RunInfo,
    ScoreStatus,
    TokenDetails,
    ToolCall,
    TrainingSequence,
)
from rlvr.schema import COLUMNS, TOKENS
from rlvr.store import parquet_bytes
from strategies import COUNT, FLOAT, JSON, OPTIONAL_COUNT, OPTIONAL_TEXT, TEXT, TRAJECTORIES, tuples


def round_trip(batch):
    blobs = {blob.sha256: blob.data for row in batch for blob in row.blobs}
    table = pq.read_table(io.BytesIO(parquet_bytes(to_table(batch))))
    return list(from_table(table, blobs.__getitem__))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TRAJECTORIES, min_size=1, max_size=3))
def test_every_trajectory_comes_back_exactly_from_parquet(batch):
    assert repr(round_trip(batch)) == repr(batch)


def test_absent_nan_and_zero_stay_three_things():
    rows = [replace(trajectory(), reward=value) for value in (None, float("nan"), 0.0, -0.0)]
    assert [repr(row.reward) for row in round_trip(rows)] == ["None", "nan", "0.0", "-0.0"]


def test_a_scorer_that_failed_is_not_a_zero():
    (row,) = round_trip([odd_trajectory()])
    assert row.components[0].value is None
    assert row.components[0].status is ScoreStatus.ERROR
    assert "main thread" in row.components[0].error


def test_every_declared_column_is_written_and_tokens_only_when_there_are_any():
    without = to_table([trajectory()])
    tokens = TokenDetails(
        sequences=(TrainingSequence(ids=(1,), loss_mask=(1,), attended=(1,), spans=()),)
    )
    with_tokens = to_table([trajectory(), replace(trajectory(), tokens=tokens)])
    assert set(without.column_names) == {column.name for column in COLUMNS}
    assert set(with_tokens.column_names) == {column.name for column in COLUMNS + TOKENS}


def test_what_a_tool_returned_is_not_stored_twice():
    text = "Document ID: 1\n" + "Paris is the capital. " * 100
    shown = replace(trajectory().completion[1], content=text)
    results = [replace(trajectory().tool_results[0], result=result) for result in (text, text[1:])]
    row = replace(trajectory(), completion=(shown,), tool_results=tuple(results))
    cell = to_table([row])["tool_results"][0].as_py()
    assert cell.count("Paris") == 100
    assert round_trip([row]) == [row]


class Tensor:
    """What a trainer may hand over for a float."""

    def __float__(self):
        return 0.5


def test_a_tensor_for_a_reward_is_recorded_as_its_number():
    (row,) = round_trip([replace(trajectory(), reward=Tensor())])
    assert row.reward == 0.5


@pytest.mark.parametrize(
    ("metadata", "error", "says"),
    [
        ({"rlvr.format": "3"}, NewerFormat, "pip install --upgrade rlvr"),
        ({}, DamagedFile, "not written by rlvr"),
        ({"rlvr.format": "x"}, DamagedFile, "not written by rlvr"),
    ],
)
def test_a_table_of_another_format_is_refused_with_a_remedy(metadata, error, says):
    table = to_table([trajectory()]).replace_schema_metadata(metadata)
    with pytest.raises(error, match=says):
        list(from_table(table, bytes))


DERIVED = [
    ("<think>a</think>", "think_valid", True),
    ("<think>a", "think_valid", False),
    ("a</think>", "think_valid", False),
    ("<think> </think>", "think_valid", False),
    ("plain", "think_valid", None),
    ("<answer>x</answer><answer>y</answer>", "answer_valid", True),
    ("<cite>1<cite>2</cite></cite>", "cite_valid", False),
    ('<tool_call>{"name": "f"}</tool_call>', "unparsed_call", True),
    ("I call nothing", "unparsed_call", False),
]


@pytest.mark.parametrize(("text", "column", "value"), DERIVED)
def test_derived_columns_of_a_text(text, column, value):
    row = replace(trajectory(), completion=(Message(role="assistant", content=text),))
    assert derived_columns(row)[f"derived_{column}"] is value


def test_derived_counts():
    counted = derived_columns(trajectory())
    assert (
        counted["derived_num_turns"],
        counted["derived_num_tool_calls"],
        counted["derived_num_tool_responses"],
        counted["derived_num_tool_errors"],
    ) == (3, 2, 2, 0)
    odd = derived_columns(odd_trajectory())
    assert odd["derived_num_tool_errors"] == odd["derived_num_malformed_calls"] == 1
    assert odd["derived_num_scorer_failures"] == 1
    assert counted["derived_num_scorer_failures"] == counted["derived_num_cut_turns"] == 0


def test_the_oldest_weights_of_a_rollout_are_derived_and_absent_where_unknown():
    turns = [
        replace(turn, policy_version=at)
        for at, turn in zip((None, 7, 5), trajectory().turns, strict=True)
    ]
    row = replace(trajectory(), turns=tuple(turns))
    assert derived_columns(row)["derived_policy_version"] == 5
    assert derived_columns(odd_trajectory())["derived_policy_version"] is None


def test_turns_cut_at_the_limit_are_counted():
    turns = [replace(turn, finish_reason="length") for turn in trajectory().turns[:2]]
    assert derived_columns(replace(trajectory(), turns=tuple(turns)))["derived_num_cut_turns"] == 2


@pytest.mark.parametrize(
    ("said", "reference", "stated"),
    [
        ("<answer>Orl</answer>", "Orl", True),
        ("It is Lunt, not Orl.\n<answer>Lunt</answer>", "Orl", False),
        ("<answer>Orl</answer>", "", None),
        ("<answer>Orl</answer>", None, None),
        (None, "Orl", False),
    ],
)
def test_whether_the_final_answer_states_the_reference(said, reference, stated):
    completion = () if said is None else (Message(role="assistant", content=said),)
    row = replace(trajectory(), completion=completion, answer=reference)
    assert derived_columns(row)["derived_reference_in_answer"] is stated


def test_the_prompt_hash_tells_prompts_apart_and_ignores_what_followed():
    other = replace(trajectory(), prompt=(Message(role="user", content="Another?"),))
    hashes = [
        derived_columns(row)["derived_prompt_hash"]
        for row in (trajectory(), replace(trajectory(), completion=()), other)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_file_without_the_newer_evidence_columns_is_read_with_them_absent():
    table = to_table([trajectory()]).drop_columns(["unattended_prompt_tokens", "mismatch_token"])
    (row,) = from_table(table, bytes)
    assert row.evidence.unattended_prompt_tokens is None
    assert row.evidence.attended_share == trajectory().evidence.attended_share


def test_a_parsed_call_is_not_an_unparsed_one():
    call = ToolCall(id=None, name="f", arguments="{}")
    message = Message(role="assistant", content="<tool_call>", tool_calls=(call,))
    row = replace(trajectory(), completion=(message,))
    assert derived_columns(row)["derived_unparsed_call"] is False


def test_the_text_hash_tells_rollouts_apart():
    first, second = trajectory(), replace(trajectory(), completion=trajectory().completion[:1])
    hashes = [derived_columns(row)["derived_text_hash"] for row in (first, second, first)]
    assert hashes[0] == hashes[2] != hashes[1]


@given(
    st.builds(
        Annotation,
        id=TEXT,
        kind=TEXT,
        source=TEXT,
        update=OPTIONAL_COUNT,
        written_at=FLOAT,
        payload=st.dictionaries(TEXT, JSON, max_size=3),
    )
)
def test_every_annotation_comes_back_exactly(annotation):
    (back,) = annotations_from_table(annotations_to_table([annotation]))
    assert repr(back) == repr(annotation)


@given(
    st.builds(
        MetricRow,
        step=COUNT,
        attempt=COUNT,
        mode=TEXT,
        logged_at=FLOAT,
        values=st.dictionaries(TEXT, FLOAT, max_size=3),
    )
)
def test_every_metric_row_comes_back_exactly(row):
    (back,) = metrics_from_table(metrics_to_table([row]))
    assert repr(back) == repr(row)


OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)


@given(
    st.builds(
        RunInfo,
        run=TEXT,
        created_at=FLOAT,
        system_prompt=OPTIONAL_TEXT,
        tools=tuples(OBJECTS),
        config=OBJECTS,
        sampling=OBJECTS,
        components=st.dictionaries(TEXT, FLOAT, max_size=3),
        dirty=st.none(),
    )
)
def test_every_run_info_comes_back_exactly(info):
    assert repr(decode_run(encode_run(info))) == repr(info)


@given(st.builds(Attempt, attempt=COUNT, started_at=FLOAT, first_step=COUNT, changed=OBJECTS))
def test_every_attempt_comes_back_exactly(attempt):
    assert repr(decode_attempt(encode_attempt(attempt))) == repr(attempt)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"{}", b"\xff", b'{"format_version": 1}'])
def test_a_torn_document_is_named_damaged(payload):
    with pytest.raises(DamagedFile, match=r"run\.json"):
        decode_run(payload)


def test_a_newer_document_is_refused_with_a_remedy():
    with pytest.raises(NewerFormat, match="pip install --upgrade rlvr"):
        decode_run(b'{"format_version": 99, "what": "ever"}')


def test_an_empty_batch_is_a_table_without_rows():
    assert isinstance(to_table([]), pa.Table)
    assert to_table([]).num_rows == 0
