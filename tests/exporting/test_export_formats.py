"""What verifiers, ATIF, Scout and datasets get of a run; `validate_with_libraries.py` asks them."""

import json
import math

import pyarrow.parquet as pq
import pytest
from full_run import PICTURE

from rlvr.cli.opening import open_sample
from rlvr.exporting import FORMATS, export_run
from rlvr.interchange import Options, import_source, recognise
from rlvr.runs import open_run

ONE = "train-s000000-b000000-a00-r000-00000"
TOKENS = "train-s000001-b000001-a00-r000-00000"
ODD = "train-s000003-b000003-a00-r000-00000"
EVAL = "eval-s000003-b000000-a00-r000-00000"


@pytest.fixture(scope="session")
def written(full, tmp_path_factory):
    """Every format's output of the whole run."""
    folder = tmp_path_factory.mktemp("written")
    for name, form in FORMATS.items():
        export_run(open_run(full / "full"), form, folder / name)
    return folder


def episodes(written):
    lines = (written / "verifiers").read_text().splitlines()
    return {episode["id"]: episode for episode in map(json.loads, lines)}


def document(written, id):
    return json.loads((written / "atif" / f"{id}.json").read_text())


def transcripts(written):
    rows = pq.read_table(written / "scout" / "transcripts.parquet").to_pylist()
    return {row["transcript_id"]: row for row in rows}


def dataset(written, mode="train"):
    table = pq.read_table(written / "hf" / "data" / f"{mode}-00000-of-00001.parquet")
    return {row["id"]: row for row in table.to_pylist()}


def test_an_episode_as_a_whole(written, snapshot):
    assert episodes(written)[ONE] == snapshot


def test_an_atif_document_as_a_whole(written, snapshot):
    assert document(written, ONE) == snapshot


def test_a_transcript_as_a_whole(written, snapshot):
    row = transcripts(written)[ONE]
    assert {name: json.loads(v) if name in JSON else v for name, v in row.items()} == snapshot


JSON = ("messages", "components", "info", "model_options", "score")


def test_every_rollout_is_in_each_of_them(written, run):
    ids = {row.id for row in run.trajectories()}
    assert set(episodes(written)) == set(transcripts(written)) == ids
    assert {path.stem for path in (written / "atif").iterdir()} == ids
    assert set(dataset(written)) | set(dataset(written, "eval")) == ids
    assert len(dataset(written, "eval")) == 2


def test_groups_modes_and_scores_are_those_of_the_record(written, run):
    found = episodes(written)
    for row in run.trajectories(step=range(3)):
        episode = found[row.id]
        assert episode["group"] == {"id": row.group_id}
        assert episode["run"]["work"]["type"] == row.mode
        assert episode["run"]["work"]["step"] == row.step
        rewards = episode["traces"][0]["rewards"]
        total = sum(reward["score"] * reward["weight"] for reward in rewards.values())
        assert total == pytest.approx(row.reward)
        assert episode["traces"][0]["info"]["rlvr"]["advantage"] == row.advantage
    assert found[EVAL]["run"]["work"]["type"] == "eval"
    assert found[EVAL]["traces"][0]["agent"]["trainable"] is False


def test_tokens_stand_on_the_nodes_that_wrote_them(run, tmp_path):
    from dataclasses import replace

    from rlvr.exporting import About, Exported
    from rlvr.record import Span, TokenDetails, TrainingSequence

    row = next(run.trajectories(step=1))
    nan = float("nan")
    spans = [("prompt", -1, 3), ("assistant", 0, 2), ("environment", 0, 2), ("assistant", 1, 1)]
    spans += [("environment", 1, 1), ("assistant", 2, 2)]
    placed, at = [], 0
    for role, turn, count in spans:
        placed.append(Span(start=at, stop=at + count, turn=turn, role=role))
        at += count
    mask = (0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1)
    logprobs = tuple(-float(n) if bit else nan for n, bit in enumerate(mask))
    sequence = TrainingSequence(
        ids=tuple(range(100, 111)), loss_mask=mask, spans=tuple(placed), sampler_logprobs=logprobs
    )
    row = replace(row, tokens=TokenDetails(sequences=(sequence,)), advantage=0.5)
    about = About(run="full", info=run.info)
    FORMATS["verifiers"].write(iter([Exported(trajectory=row)]), tmp_path / "x", about)
    (trace,) = json.loads((tmp_path / "x").read_text())["traces"]
    nodes = trace["nodes"]
    ids = [node.get("token_ids", []) for node in nodes]
    assert ids == [[], [100, 101, 102], [103, 104], [105, 106], [107], [108], [109, 110]]
    assert nodes[2]["mask"] == [True, True]
    assert (nodes[2]["logprobs"], nodes[2]["advantages"]) == ([-3.0, -4.0], [0.5, 0.5])
    assert nodes[3]["mask"] == [False, False]
    assert "logprobs" not in nodes[3]
    assert [node["sampled"] for node in nodes] == [False, False, True, False, True, False, True]

    (tmp_path / "atif").mkdir()
    FORMATS["atif"].write(iter([Exported(trajectory=row)]), tmp_path / "atif", about)
    (path,) = (tmp_path / "atif").iterdir()
    steps = json.loads(path.read_text())["steps"]
    answers = [step["metrics"] for step in steps if step["source"] == "agent"]
    assert [answer["completion_token_ids"] for answer in answers] == [
        [103, 104],
        [107],
        [109, 110],
    ]
    assert answers[2]["logprobs"] == [-9.0, -10.0]

    broken = replace(sequence, spans=sequence.spans[:-1])
    partly = replace(row, tokens=TokenDetails(sequences=(broken,)))
    FORMATS["verifiers"].write(iter([Exported(trajectory=partly)]), tmp_path / "y", about)
    (trace,) = json.loads((tmp_path / "y").read_text())["traces"]
    assert not any("token_ids" in node for node in trace["nodes"])


@pytest.mark.parametrize("to", ["verifiers", "atif"])
def test_our_own_import_reads_the_bundled_run_back(tmp_path, to):
    run = open_sample("repaired").run
    export_run(run, FORMATS[to], tmp_path / "out", filters={"step": range(11)})
    report = import_source(recognise(tmp_path / "out", Options()), tmp_path / "again")
    assert report.damaged == 0

    def content(row):
        return [m.text for m in row.messages], row.reward, row.advantage, row.stop_reason

    was = sorted((content(row) for row in run.trajectories(step=range(11))), key=repr)
    found = [content(row) for row in open_run(report.folder).trajectories()]
    if to == "verifiers":  # the reader takes advantages from tokens alone
        was, found = ([(*row[:2], row[3]) for row in rows] for rows in (was, found))
    assert sorted(found, key=repr) == sorted(was, key=repr)


def test_the_tokens_of_the_bundled_run_come_back_from_traces(tmp_path):
    run = open_sample("repaired").run
    export_run(run, FORMATS["verifiers"], tmp_path / "out", filters={"step": 10})
    report = import_source(recognise(tmp_path / "out", Options()), tmp_path / "again")
    was = [ids_and_logprobs(row) for row in run.trajectories(step=10)]
    found = [ids_and_logprobs(row) for row in open_run(report.folder).trajectories()]
    single = [row for row in was if row is not None]
    assert [row for row in found if row is not None] == single
    assert len(single) > 60


def ids_and_logprobs(row):
    """Of a rollout with one training sequence: its ids, and the logprobs of what was trained."""
    if row.tokens is None or len(row.tokens.sequences) != 1:
        return None
    (sequence,) = row.tokens.sequences
    trained = [at for at, masked in enumerate(sequence.loss_mask) if masked]
    return list(sequence.ids), [sequence.sampler_logprobs[at] for at in trained]


def test_a_call_that_does_not_parse_stays_as_it_was_written(written):
    as_written = '{"query": oops'
    (trace,) = episodes(written)[ODD]["traces"]
    assert trace["nodes"][2]["message"]["tool_calls"][0]["arguments"] == as_written
    step = document(written, ODD)["steps"][2]
    assert step["tool_calls"][0]["arguments"] == {}
    assert step["tool_calls"][0]["extra"] == {"arguments_as_written": as_written}
    assert step["observation"]["results"][0]["extra"]["malformed"] is True
    calls = json.loads(transcripts(written)[ODD]["messages"])[2]["tool_calls"]
    assert as_written in calls[0]["parse_error"]
    completion = dataset(written)[ODD]["completion"]
    assert completion[0]["tool_calls"][0]["function"]["arguments"] == as_written


def test_a_scorer_that_failed_is_no_zero_anywhere(written):
    (trace,) = episodes(written)[ODD]["traces"]
    assert trace["rewards"] == {"exact_match": None, "f1": None}
    assert trace["metrics"] == {"calls": 1.0}
    assert trace["ok"] is False
    assert "signal only works in main" in trace["errors"][0]["message"]
    extra = document(written, ODD)["extra"]
    assert extra["components"][0] == {
        "name": "exact_match",
        "value": None,
        "weight": 0.6,
        "status": "error",
        "error": "ValueError: signal only works in main thread",
    }
    row = dataset(written)[ODD]
    assert row["components"][0]["value"] is None
    assert math.isnan(row["components"][1]["value"])
    assert transcripts(written)[ODD]["score"] is None


def test_a_picture_goes_where_a_format_has_room_for_it(written):
    url = "data:image/png;base64,cGljdHVyZQ=="
    assert PICTURE.data == b"picture"
    (trace,) = episodes(written)[EVAL]["traces"]
    assert trace["nodes"][0]["message"]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    assert json.loads(transcripts(written)[EVAL]["messages"])[0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "image": url},
    ]
    assert document(written, EVAL)["steps"][0]["message"] == "What is this?"
    for name in ("atif", "trl", "hf"):
        assert any("images" in lack for lack in FORMATS[name].lacks)


def test_a_dataset_has_the_columns_of_the_record_and_a_card(written, run):
    row = dataset(written)[TOKENS]
    was = run.trajectory(TOKENS)
    assert tuple(row["token_ids"][0]) == was.tokens.sequences[0].ids
    assert row["reward"] == was.reward
    assert row["derived_num_tool_calls"] == 2
    assert row["gap_mean_by_turn"] == list(was.evidence.gap_mean_by_turn)
    card = (written / "hf" / "README.md").read_text()
    assert card.startswith("---\n")
    assert "- split: train\n    path: data/train-00000-of-00001.parquet" in card
    assert "- split: eval" in card
    assert "| advantage | the advantage that was trained on" in card
    assert "- train rollouts: 26" in card


@pytest.mark.train
def test_datasets_loads_the_folder(written, tmp_path):
    import datasets

    found = datasets.load_dataset(str(written / "hf"), cache_dir=str(tmp_path))
    assert {mode: split.num_rows for mode, split in found.items()} == {"train": 26, "eval": 2}
    assert found["train"][0]["completion"][0]["role"] == "assistant"
