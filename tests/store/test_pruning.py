"""What can be taken out of trajectory files afterwards, and that nothing else goes with it."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import batches, token_details, trajectory
from rlvr.codec import from_table
from rlvr.errors import ConfigurationError
from rlvr.record import Mode, Part, TokenEvidence
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.schema import COLUMNS, MESSAGES, TOKENS
from rlvr.store import BatchName, LocalStore, folder_bytes
from rlvr.store.pruning import batch_names, batch_size, limit_order, prune_batch
from rlvr.utils.sizes import parse_size, size_text


def name(step, *, batch=None, attempt=0, mode=Mode.TRAIN):
    number = step if batch is None else batch
    return BatchName(attempt=attempt, step=step, mode=mode, batch=number, rank=0)


@pytest.fixture
def folder(tmp_path):
    """A run of three steps with token details."""
    with Recorder.open(tmp_path) as recorder:
        for batch in batches(3):
            recorder.record_batch([replace(row, tokens=token_details(64)) for row in batch])
    return recorder.folder


def scalars(run):
    return run.to_arrow(superseded=True).to_pydict()


@pytest.mark.parametrize("parts", [{Part.TOKENS}, {Part.MESSAGES}, set(Part)])
def test_what_is_pruned_goes_and_everything_else_stays(folder, parts):
    before = {row.id: row for row in open_run(folder).trajectories()}
    table = scalars(open_run(folder))
    store = LocalStore(folder)
    for file in batch_names(folder):
        assert prune_batch(store, batch_size(folder, file), parts) > 0
    run = open_run(folder)
    after = {row.id: row for row in run.trajectories()}
    gone = {"tokens": None} if Part.TOKENS in parts else {}
    if Part.MESSAGES in parts:
        gone |= {"prompt": (), "completion": (), "tool_results": (), "info": {}}
    assert after == {id: replace(row, **gone) for id, row in before.items()}
    assert scalars(run) == table
    assert run.damaged == ()


def test_removing_a_part_frees_its_size_and_what_the_footer_says_of_it(folder):
    file = batch_names(folder)[0]
    for part in Part:
        size = batch_size(folder, file)
        freed = prune_batch(LocalStore(folder), size, {part})
        assert freed == pytest.approx(size.bytes_of(part), rel=0.25)
        assert batch_size(folder, file).bytes_of(part) == 0


def test_pruning_again_frees_nothing_and_keeps_the_first_reason(folder):
    store, file = LocalStore(folder), batch_names(folder)[0]
    prune_batch(store, batch_size(folder, file), {Part.TOKENS}, limit_bytes=1000)
    assert prune_batch(store, batch_size(folder, file), {Part.TOKENS}) == 0
    pruning = open_run(folder).pruning()
    assert pruning.sentences == ("Token details of step 0 were pruned to keep the limit of 1 kB.",)


def test_a_file_without_messages_that_nobody_pruned_is_damaged(folder):
    path = folder / batch_names(folder)[0].path
    table = pq.read_table(path)
    with pytest.raises(KeyError):
        list(from_table(table.drop_columns(["completion"]), lambda _: b""))


def test_scalars_are_no_part_that_can_go():
    removable = {column.name for column in TOKENS + MESSAGES}
    evidence = set(TokenEvidence.__dataclass_fields__)
    scalar = {column.name for column in COLUMNS if column.kind in ("scalar", "derived")}
    assert not removable & (evidence | scalar | {"components", "turns"})


def test_token_details_go_first_oldest_first_then_messages_spread_over_the_run():
    order = list(limit_order([name(step) for step in range(10)]))
    steps = {part: [file.step for file, of in order if of is part] for part in Part}
    assert [of for _, of in order] == sorted([of for _, of in order], reverse=True)
    assert steps[Part.TOKENS] == list(range(9))
    assert steps[Part.MESSAGES] == [1, 3, 5, 7, 2, 6, 4, 8, 0]


def test_a_step_that_was_trained_again_after_a_resume_is_another_one():
    order = list(limit_order([name(0), name(1), name(1, attempt=1), name(2, attempt=1)]))
    assert [(file.attempt, file.step) for file, of in order if of is Part.TOKENS] == [
        (0, 0),
        (0, 1),
        (1, 1),
    ]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 2)), unique=True))
def test_every_part_of_every_old_file_goes_once_and_none_of_the_newest_step(places):
    names = sorted(name(step, batch=batch, attempt=at) for at, step, batch in places)
    order = list(limit_order(names))
    newest = max(((file.attempt, file.step) for file in names), default=None)
    old = [file for file in names if (file.attempt, file.step) != newest]
    assert sorted(order) == sorted((file, part) for file in old for part in Part)


@pytest.mark.parametrize(("gone", "every"), [(32, 2), (48, 4), (56, 8)])
def test_the_messages_that_stay_are_spread_evenly_over_the_run(gone, every):
    order = limit_order([name(step) for step in range(65)])
    messages = [file.step for file, of in order if of is Part.MESSAGES]
    assert set(range(64)) - set(messages[:gone]) == set(range(0, 64, every))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (3_400_000, "3.4 MB"),
        (50_000_000_000, "50 GB"),
        (999_600, "1 MB"),
    ],
)
def test_sizes_are_written_as_people_write_them(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("10GB", 10**10), ("1.5 MB", 1_500_000), ("512MiB", 2**29), ("1000", 1000), ("2k", 2000)],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "ten"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigurationError, match="is no size"):
        parse_size(text)


def test_the_size_of_a_run_is_that_of_its_files(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder_bytes(folder) == sum(path.stat().st_size for path in files)
    assert open_run(folder).size_bytes == folder_bytes(folder)
    assert trajectory().tokens is None
