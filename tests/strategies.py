"""Any value that a record can hold, for property tests."""

import hashlib
from dataclasses import fields

from hypothesis import strategies as st

from rlvr.record import (
    Blob,
    Component,
    ContentPart,
    Cost,
    Message,
    Mode,
    RolloutError,
    ScoreStatus,
    Span,
    TokenDetails,
    TokenEvidence,
    ToolCall,
    ToolResult,
    TrainingSequence,
    Trajectory,
    Turn,
)

TEXT = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["", "\0", "\ud800", "\ud83d\ude00", "$rlvr:str:x", "{not json", "👤"]
)
OPTIONAL_TEXT = st.none() | TEXT
FLOAT = st.floats()
OPTIONAL_FLOAT = st.none() | FLOAT
COUNT = st.integers(-(2**63), 2**63 - 1)
OPTIONAL_COUNT = st.none() | COUNT
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOAT | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def tuples(strategy):
    return st.lists(strategy, max_size=3).map(tuple)


CALLS = st.builds(ToolCall, id=OPTIONAL_TEXT, name=OPTIONAL_TEXT, arguments=TEXT)
PARTS = st.builds(
    ContentPart,
    type=TEXT,
    text=OPTIONAL_TEXT,
    blob=OPTIONAL_TEXT,
    media_type=OPTIONAL_TEXT,
    rest=OPTIONAL_TEXT,
)
MESSAGES = st.builds(
    Message,
    role=TEXT,
    content=OPTIONAL_TEXT,
    parts=tuples(PARTS),
    reasoning=OPTIONAL_TEXT,
    tool_calls=tuples(CALLS),
    tool_call_id=OPTIONAL_TEXT,
    name=OPTIONAL_TEXT,
    rest=OPTIONAL_TEXT,
)
RESULTS = st.builds(
    ToolResult,
    turn=COUNT,
    call_id=OPTIONAL_TEXT,
    name=OPTIONAL_TEXT,
    arguments=TEXT,
    result=OPTIONAL_TEXT,
    error=OPTIONAL_TEXT,
    traceback=OPTIONAL_TEXT,
    duration_s=OPTIONAL_FLOAT,
    malformed=st.booleans(),
    rolled_back=st.booleans(),
)
COMPONENTS = st.builds(
    Component,
    name=TEXT,
    value=OPTIONAL_FLOAT,
    weight=OPTIONAL_FLOAT,
    status=st.sampled_from(ScoreStatus),
    error=OPTIONAL_TEXT,
    duration_s=OPTIONAL_FLOAT,
)
BLOBS = st.binary(max_size=4).map(
    lambda data: Blob(sha256=hashlib.sha256(data).hexdigest(), media_type="image/png", data=data)
)


@st.composite
def training_sequences(draw):
    length = draw(st.integers(0, 4))

    def values(strategy):
        return st.lists(strategy, min_size=length, max_size=length).map(tuple)

    return TrainingSequence(
        ids=draw(values(COUNT)),
        loss_mask=draw(values(st.integers(0, 1))),
        attended=draw(st.none() | values(st.integers(0, 1))),
        spans=draw(tuples(st.builds(Span, start=COUNT, stop=COUNT, turn=COUNT, role=TEXT))),
        sampler_logprobs=draw(st.none() | values(FLOAT)),
        trainer_logprobs=draw(st.none() | values(FLOAT)),
        reference_logprobs=draw(st.none() | values(FLOAT)),
        entropy=draw(st.none() | values(FLOAT)),
    )


EVIDENCE_KINDS = {
    "int | None": OPTIONAL_COUNT,
    "float | None": OPTIONAL_FLOAT,
    "bool | None": st.none() | st.booleans(),
    "tuple[float, ...] | None": st.none() | tuples(FLOAT),
    "tuple[int, ...] | None": st.none() | tuples(COUNT),
}
EVIDENCE = st.builds(
    TokenEvidence, **{f.name: EVIDENCE_KINDS[str(f.type)] for f in fields(TokenEvidence)}
)
TRAJECTORIES = st.builds(
    Trajectory,
    run=TEXT,
    mode=st.sampled_from(Mode),
    step=COUNT,
    batch=COUNT,
    attempt=COUNT,
    group_id=TEXT,
    sample=COUNT,
    id=OPTIONAL_TEXT,
    rank=COUNT,
    task=OPTIONAL_TEXT,
    example_id=OPTIONAL_TEXT,
    parent_id=OPTIONAL_TEXT,
    agent=OPTIONAL_TEXT,
    finished_at=OPTIONAL_FLOAT,
    question=OPTIONAL_TEXT,
    answer=OPTIONAL_TEXT,
    info=st.dictionaries(TEXT, JSON, max_size=3),
    prompt=tuples(MESSAGES),
    completion=tuples(MESSAGES),
    tool_results=tuples(RESULTS),
    turns=tuples(
        st.builds(
            Turn,
            index=COUNT,
            finish_reason=OPTIONAL_TEXT,
            prompt_tokens=OPTIONAL_COUNT,
            sampled_tokens=OPTIONAL_COUNT,
            policy_version=OPTIONAL_COUNT,
            duration_s=OPTIONAL_FLOAT,
        )
    ),
    stop_reason=OPTIONAL_TEXT,
    errors=tuples(
        st.builds(RolloutError, where=TEXT, type=TEXT, text=TEXT, traceback=OPTIONAL_TEXT)
    ),
    blobs=tuples(BLOBS),
    components=tuples(COMPONENTS),
    reward=OPTIONAL_FLOAT,
    advantage=OPTIONAL_FLOAT,
    evidence=EVIDENCE,
    tokens=st.none()
    | st.builds(
        TokenDetails,
        sequences=tuples(training_sequences()),
        expected_ids=st.none() | tuples(tuples(COUNT)),
    ),
    cost=st.builds(
        Cost, generation_s=OPTIONAL_FLOAT, tools_s=OPTIONAL_FLOAT, scoring_s=OPTIONAL_FLOAT
    ),
)
