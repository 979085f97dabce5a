import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr.environments.musique.core import synthetic
from rlvr.environments.musique.core.loading import Selection, drop_noise, load_examples, select
from rlvr.environments.rows import DatasetSpec, Split, local_rows, parse_specs, parse_split
from rlvr.errors import ConfigurationError

ODDITIES = Path(__file__).parents[2] / "fixtures" / "musique_oddities.jsonl"
ROWS = [json.loads(line) for line in ODDITIES.read_text(encoding="utf-8").splitlines()]
ALL = Selection(max_hops=None, sort_by_hops=False)


def ids(examples):
    return [example.id for example in examples]


def expected(rows):
    return [row["id"] for row in rows]


@pytest.fixture
def folder(tmp_path):
    """A folder with two splits: train in two parquet shards, validation as JSON lines."""
    tables = [pa.Table.from_pylist(rows) for rows in (ROWS[:6], ROWS[6:10])]
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"train-{number:05}-of-00002.parquet")
    lines = "\n\n".join(json.dumps(row) for row in ROWS[10:])
    (tmp_path / "validation.jsonl").write_text(lines)
    (tmp_path / "README.md").write_text("not data")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "name", "bounds"),
    [
        ("train", "train", (0, 10)),
        ("train[:4]", "train", (0, 4)),
        ("train[2:]", "train", (2, 10)),
        ("train[2:5]", "train", (2, 5)),
        ("train[-3:]", "train", (7, 10)),
        ("train[:-3]", "train", (0, 7)),
        ("validation[:20%]", "validation", (0, 2)),
        ("a.b-c_d[50%:75%]", "a.b-c_d", (5, 8)),
        ("train[:99]", "train", (0, 10)),
        ("train[5:3]", "train", (5, 3)),
        ("train[:]", "train", (0, 10)),
    ],
)
def test_splits_and_slices(text, name, bounds):
    split = parse_split(text)
    assert (split.name, split.bounds(10)) == (name, bounds)


@pytest.mark.parametrize(
    "text", ["", "train[", "train[5]", "train[a:b]", "train[:5]x", "[:5]", "train[:5.5]", "a+b"]
)
def test_a_bad_slice_is_answered_with_good_ones(text):
    with pytest.raises(ConfigurationError, match=r"is no split; write .* train\[:256\]"):
        parse_split(text)


def test_several_specs_are_joined_by_semicolons():
    assert parse_specs("a/b, answerable ,train; ./x,,dev[:2] ;") == (
        DatasetSpec(path="a/b", name="answerable", split=Split(name="train")),
        DatasetSpec(path="./x", name="", split=Split(name="dev", stop="2")),
    )


@pytest.mark.parametrize("text", ["", ";", "a", "a,b", "a,b,train,c", ",b,train"])
def test_a_spec_that_is_none_is_answered_with_the_grammar(text):
    with pytest.raises(ConfigurationError, match="write path,name,split"):
        parse_specs(text)


@pytest.mark.parametrize("split", ["train", "musique", "musique_oddities"])
def test_a_file_is_one_split(split):
    assert ids(load_examples(f"{ODDITIES},,{split}", ALL)) == expected(ROWS)


def test_a_file_that_has_not_the_split_names_what_it_has():
    with pytest.raises(ConfigurationError, match="has no 'validation'; call it train or musique"):
        load_examples(f"{ODDITIES},,validation")


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_every_format_gives_the_same_examples(tmp_path, suffix):
    path = tmp_path / f"train.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_text(json.dumps(ROWS) if suffix == "json" else ODDITIES.read_text("utf-8"))
    assert load_examples(f"{path},,train", ALL) == load_examples(f"{ODDITIES},,train", ALL)


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("train", ROWS[:10]),
        ("train[:7]", ROWS[:7]),
        ("train[5:8]", ROWS[5:8]),
        ("train[-2:]", ROWS[8:10]),
        ("train[50%:]", ROWS[5:10]),
        ("validation", ROWS[10:]),
    ],
)
def test_a_folder_has_one_file_or_several_shards_a_split(folder, split, rows):
    assert ids(load_examples(f"{folder},,{split}", ALL)) == expected(rows)


def test_a_name_is_a_subfolder_where_there_is_one(folder):
    assert ids(load_examples(f"{folder.parent},{folder.name},validation", ALL)) == expected(
        ROWS[10:]
    )


def test_a_wrong_split_of_a_folder_is_answered_with_those_there_are(folder):
    with pytest.raises(ConfigurationError, match="no split 'test'; it has train, validation"):
        load_examples(f"{folder},,test")


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match="it has no data files"):
        load_examples(f"{tmp_path},,train")


def test_several_datasets_come_one_after_the_other(folder):
    joined = load_examples(f"{folder},,validation;{folder},,train[:2]", ALL)
    assert ids(joined) == expected(ROWS[10:] + ROWS[:2])


def test_only_the_rows_of_the_slice_are_read(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\nnot JSON\n")
    assert ids(load_examples(f"{path},,train[:1]")) == expected(ROWS[:1])
    with pytest.raises(ConfigurationError, match="line 2: not valid JSON"):
        load_examples(f"{path},,train[:2]")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.jsonl", "[1]\n", "line 1: not a JSON object"),
        ("train.json", "[1, ", "not valid JSON"),
        ("train.parquet", "no parquet", "no readable parquet"),
        ("train.csv", "a,b", r"suffix \.csv; rows are read from \.jsonl"),
        ("train.jsonl", '{"id": "x"}', "row 0 of the slice: the row lacks question"),
        ("train.jsonl", "", "holds no rows"),
    ],
)
def test_a_file_that_can_not_be_read_says_where_and_why(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        load_examples(f"{tmp_path / name},,train")


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "nowhere.jsonl", "a/b/c", "~/no"])
def test_a_missing_path_says_where_it_was_looked_for(path):
    with pytest.raises(ConfigurationError, match=r"there is no file or folder .*looked from"):
        load_examples(f"{path},,train")


def test_the_bundled_sample_goes_through_the_same_door():
    examples = load_examples("synthetic,seed-3,train[:32]")
    assert len(examples) == 32
    assert all(example.hops == 2 and len(example.supporting) == 2 for example in examples)
    assert examples == load_examples("synthetic,seed-3,train[:32]")
    assert examples != load_examples("synthetic,seed-4,train[:32]")


def test_slices_of_the_bundled_sample_fit_together():
    whole = load_examples("synthetic,,train[:20]", ALL)
    parts = load_examples("synthetic,,train[:8];synthetic,seed-0,train[8:20]", ALL)
    assert parts == whole
    assert not {e.question for e in whole} & {
        e.question for e in load_examples("synthetic,,validation[:20]")
    }


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("synthetic,small,train", "no name 'small'; write seed-0"),
        ("synthetic,seed-0,test", "no split 'test'"),
        ("synthetic,seed-0,train[:10000000]", "rows asked for"),
    ],
)
def test_the_bundled_sample_says_what_it_has(spec, message):
    with pytest.raises(ConfigurationError, match=message):
        load_examples(spec)


def test_rows_written_to_disk_load_as_the_sample_they_were(tmp_path):
    path = tmp_path / "train.jsonl"
    rows = islice(synthetic.rows(seed=0, count=12, split="train"), 12)
    path.write_text("\n".join(map(json.dumps, rows)))
    assert load_examples(f"{path},,train") == load_examples("synthetic,seed-0,train[:12]")


def test_questions_below_the_hop_limit_are_kept_sorted_and_unshuffled():
    examples = load_examples(f"{ODDITIES},,train", ALL)
    two = [example.id for example in examples if example.hops == 2]
    assert ids(select(examples, Selection())) == two
    by_hops = select(list(reversed(examples)), Selection(max_hops=None))
    assert [example.hops for example in by_hops] == sorted(example.hops for example in examples)
    assert ids(by_hops)[: len(two)] == two[::-1]


def test_a_limit_that_keeps_nothing_says_how_many_hops_there_are():
    examples = load_examples(f"{ODDITIES},,train", ALL)
    with pytest.raises(ConfigurationError, match="fewer than 2 hops, the fewest is 2; raise"):
        select(examples, Selection(max_hops=2))


@pytest.mark.parametrize(("share", "left"), [(0.0, 18), (0.5, 9), (0.25, 14), (1.0, 0)])
def test_noise_drops_a_share_of_the_paragraphs_that_do_not_support(share, left):
    example = load_examples(f"{ODDITIES},,train[:1]")[0]
    thinned = drop_noise(example, share=share, seed=0)
    assert thinned.supporting == example.supporting
    assert sum(not paragraph.supporting for paragraph in thinned.paragraphs) == left
    kept = set(thinned.paragraphs)
    assert [p for p in example.paragraphs if p in kept] == list(thinned.paragraphs)


def test_noise_is_drawn_by_seed_and_example():
    example = load_examples(f"{ODDITIES},,train[:1]")[0]
    drawn = [drop_noise(example, share=0.5, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("noise", [-0.1, 1.1, float("nan")])
def test_noise_is_a_share(noise):
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        Selection(noise=noise)


def test_the_core_loads_no_framework():
    code = (
        "import sys; from rlvr.environments.musique.core import loading, retrieval, rewards, "
        "prompts; loading.load_examples('synthetic,,train[:4]'); "
        "print(sorted({'torch', 'trl', 'verifiers', 'datasets', 'pyarrow', 'pandas'} "
        "& set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.train
def test_a_saved_datasets_folder_is_read(tmp_path):
    import datasets

    saved = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_list(ROWS[:5]),
            "dev": datasets.Dataset.from_list(ROWS[5:8]),
        }
    )
    saved.save_to_disk(str(tmp_path / "both"))
    saved["train"].save_to_disk(str(tmp_path / "one"))
    assert ids(load_examples(f"{tmp_path}/both,,dev[1:]", ALL)) == expected(ROWS[6:8])
    assert ids(load_examples(f"{tmp_path}/one,,train[:2]", ALL)) == expected(ROWS[:2])
    with pytest.raises(ConfigurationError, match="no split 'test'; it has train, dev"):
        list(local_rows(tmp_path / "both", "", Split(name="test")))


HUB = """
import sys
from rlvr.environments.musique.core.loading import load_examples
from rlvr.environments.rows import hub_rows, parse_split
from rlvr.errors import ConfigurationError

folder = sys.argv[1]
print([row["id"] for row in hub_rows(folder, "", parse_split("train[5:8]"))])
for attempt in (
    lambda: hub_rows(folder, "", parse_split("test")),
    lambda: hub_rows(folder, "nowhere", parse_split("train")),
    lambda: load_examples("bdsaglam/musique-mini,answerable,train"),
):
    try:
        attempt()
    except ConfigurationError as error:
        print(" ".join(str(error).split()))
"""


@pytest.mark.train
def test_the_hub_is_read_with_datasets_and_its_absence_is_said(tmp_path):
    """`load_dataset` for real: on a folder it knows, and offline on the first user's dataset."""
    folder = tmp_path / "repository"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS[:10]), folder / "train-00000-of-00001.parquet")
    home = str(tmp_path / "home")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HUB, str(folder)],
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": home, "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, split, name, offline = done.stdout.strip().splitlines()
    assert rows == str(expected(ROWS[5:8]))
    assert "with name '' and split 'test': " in split
    assert "with name 'nowhere' and split 'train': " in name
    assert "the hub can't be reached" in offline
    assert "synthetic,seed-0,train[:256]" in offline
