"""A disk that fills up while a file for others, or the output, is written."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from builders import write_run
from rlvr.cli import main

ONE = "train-s000000-b000000-a00-r000-00000"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full") / "run"
    write_run(folder, steps=2)
    return folder


@pytest.fixture
def full_disk():
    """The kernel refuses files of more than a kilobyte, as a full disk would."""
    bound = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, bound[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, bound)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("report", "RUN", "--html"), "x.html"),
        (("report", "RUN", "--markdown"), "x.md"),
        (("report", "RUN", "--plots"), "reward.svg"),
        (("export", "RUN", ONE, "--html"), "x.html"),
        (("export", "RUN", ONE, "--markdown"), "x.md"),
        (("export", "RUN", "--to", "jsonl", "--output"), "x.jsonl"),
    ],
)
def test_an_older_file_stays_whole_and_one_line_says_why(
    recorded, full_disk, tmp_path, capsys, monkeypatch, given, name
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).write_text("older")
    place = folder if "--plots" in given else folder / name
    arguments = [str(recorded) if one == "RUN" else one for one in given]
    full_disk()
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, str(place), "--overwrite"])
    said = [line for line in capsys.readouterr().err.splitlines() if "could not be written" in line]
    assert stopped.value.code == 2
    assert len(said) == 1
    assert said[0].startswith(f"rlvr: {folder / name} could not be written (File too large)")
    assert "has space" in said[0]
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "older"


@pytest.mark.parametrize(
    "given", [("report", "RUN", "--markdown", "-"), ("show", "RUN", "--json"), ("show", "RUN")]
)
def test_standard_output_on_a_full_disk_is_one_line_too(recorded, given):
    program = "from rlvr.cli import main; main()"
    arguments = [str(recorded) if one == "RUN" else one for one in given]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    (said,) = [line for line in ended.stderr.splitlines() if "could not be written" in line]
    assert said.startswith("rlvr: the output could not be written whole (No space left on device)")
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert ended.returncode == 2
