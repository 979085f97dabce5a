"""A sound run with everything that can be checked, recorded once and copied for each damage."""

import hashlib
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from builders import RUN_ID, batches, run_info
from rlvr.codec import encode_vocabulary
from rlvr.record import Annotation, Blob, MetricRow, Span, TokenDetails, TrainingSequence
from rlvr.recorder import Recorder
from rlvr.store import LocalStore
from rlvr.store.compact import Limits, finished, plan, read_source, write_compacted
from rlvr.store.layers import look, read_segments

STEPS = 4
IMAGE = b"\x89PNG not really"
SHA256 = hashlib.sha256(IMAGE).hexdigest()
BLOB = Blob(sha256=SHA256, media_type="image/png", data=IMAGE)
NAN = float("nan")

SEQUENCE = TrainingSequence(
    ids=tuple(range(12)),
    loss_mask=(0,) * 6 + (1,) * 6,
    attended=(1,) * 12,
    spans=(
        Span(start=0, stop=6, turn=-1, role="prompt"),
        Span(start=6, stop=12, turn=0, role="assistant"),
    ),
    sampler_logprobs=(NAN,) * 6 + (-0.5,) * 6,
    trainer_logprobs=(NAN,) + (-0.75,) * 11,
)


def sound_run(output_dir):
    """Two attempts, the second from the last step on; token details and a blob in step 1."""
    first, *others = list(batches(STEPS))
    with Recorder.open(output_dir, info=run_info(), run=RUN_ID, compact=False) as recorder:
        for step, batch in enumerate([first, *others]):
            rows = [detailed(row) for row in batch] if step == 1 else batch
            recorder.record_batch(rows)
            recorder.metrics(
                MetricRow(step=step, attempt=0, mode="train", values={}, logged_at=1.0)
            )
        id = f"train-s{1:06d}-b{1:06d}-a00-r000-00003"
        recorder.annotate([Annotation(id=id, kind="rescore", source="t", payload={"f1": 1.0})])
    again = [replace(row, batch=0) for row in others[-1]]
    resumed = Recorder.open(output_dir, run=RUN_ID, first_step=STEPS - 1, compact=False)
    with resumed as recorder:
        recorder.record_batch(again)
    folder = output_dir / "rlvr" / RUN_ID
    LocalStore(folder).commit("vocabulary.json", encode_vocabulary(["a"] * 12))
    return folder


def detailed(row):
    """The rollout with token details, evidence that follows from them, and a blob."""
    evidence = replace(
        row.evidence,
        sequence_tokens=12,
        trained_tokens=6,
        gap_mean=0.25,
        ids_match=False,
        mismatch_sequence=0,
        mismatch_turn=0,
        mismatch_token=9,
    )
    expected = ((*SEQUENCE.ids[:9], 3, 3, 3),)
    details = TokenDetails(sequences=(SEQUENCE,), expected_ids=expected)
    return replace(row, tokens=details, evidence=evidence, blobs=(BLOB,))


def step_file(folder, step=1, attempt=0):
    """The file of a step."""
    (path,) = (folder / "trajectories/L0").glob(f"train-s{step:06d}-*-a{attempt:02d}-*.parquet")
    return path


def rewrite(path, column, change, *, keep=lambda row: True):
    """Write a file anew with a column's cells changed, or without some of its rows."""
    table = pq.read_table(path)
    cells = table[column].to_pylist()
    changed = pa.array([change(cell) for cell in cells], type=table.schema.field(column).type)
    table = table.set_column(table.column_names.index(column), table.schema.field(column), changed)
    table = table.filter(pa.array([keep(row) for row in range(table.num_rows)]))
    pq.write_table(table, path)
    path.chmod(0o600)


def compact(folder):
    """Write the compacted files; the small ones stay."""
    names = finished(look(folder, read_segments), None)
    sources = [read_source(folder, name) for name in names]
    for one in plan(sources, Limits(files=4)):
        write_compacted(LocalStore(folder), one)
