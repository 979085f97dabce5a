"""Makes the data of a benchmark in a folder; what is there already stays."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scale import generate
from benchmarks.scale.columns import BATCH, GROUP
from benchmarks.scale.questions import Example
from benchmarks.scale.texts import Texts

from rlvr.record import Mode, group_prefix

ROOT = Path(__file__).parents[2]
SMALL, COMPACTED = "small files", "compacted"
LONG = "64 of 64k tokens"
RARE, USUAL = 30_000, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The folders of one run. `rollouts` is 0 for the run of long ones."""

    folder: Path
    rollouts: int

    @property
    def name(self) -> str:
        """As tables name it."""
        return f"{self.rollouts:,}" if self.rollouts else LONG

    def run(self, layout: str) -> Path:
        """The folder of the recorded run in a layout."""
        return self.folder / layout.split(" ", maxsplit=1)[0] / "rlvr" / generate.RUN

    def of(self, way: str) -> Path:
        """Where another way keeps the rollouts."""
        return self.folder / ("rollouts.jsonl" if way == "duckdb" else way)

    @property
    def example(self) -> Path:
        """What is asked for."""
        return self.folder / "example.json"


def small(data: Data) -> None:
    """The run in small files, as it is recorded, and what is asked of it."""
    path = data.run(SMALL)
    if data.example.exists():
        return
    output = path.parents[1]
    shutil.rmtree(output, ignore_errors=True)
    if data.rollouts:
        generate.record(output, data.rollouts)
    else:
        generate.record_long(output)
    _example(data).save(data.example)


def compacted(data: Data) -> float | None:
    """The same run compacted; processor seconds that this took, None where it was there."""
    path = data.run(COMPACTED)
    done = path.parent / "compacted"
    if done.exists():
        return None
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(data.run(SMALL), path, copy_function=os.link)
    used = _children_s()
    _python(sys.executable, "-c", "from rlvr.cli import main; main()", "compact", str(path))
    took = _children_s() - used
    done.touch()
    return took


def stored_by(way: str, data: Data, python: str) -> Path:
    """The same rollouts as another way stores them."""
    target = data.of(way)
    lines = data.of("duckdb")
    if not lines.exists():
        generate.write_json_lines(data.run(SMALL), lines)
    if target.exists():
        return target
    beside = target.with_name(f"{target.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    if way == "trl":
        generate.write_completions(data.run(SMALL), beside)
    elif way == "inspect":
        _python(python, "-m", "benchmarks.scale.inspect_reader", str(lines), str(beside))
    else:
        more = {"TRACKIO_DIR": str(beside)}
        _python(python, "-m", "benchmarks.scale.trackio_reader", str(lines), more=more)
    beside.rename(target)
    return target


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where every process finds these benchmarks and rlvr."""
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **(more or {})}


def size(path: Path) -> tuple[int, int]:
    """Bytes and number of the files at or below a path."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files), len(files)


def _example(data: Data) -> Example:
    if not data.rollouts:
        id = "train-s000002-b000002-a00-r000-00007"
        return Example(id=id, step=2, row=7, group="", rare="", usual="", from_step=0)
    steps = -(-data.rollouts // BATCH)
    step, row = steps // 2, 101
    words = Texts(0).words
    return Example(
        id=f"train-s{step:06d}-b{step:06d}-a00-r000-{row:05d}",
        step=step,
        row=row,
        group=f"{group_prefix(Mode.TRAIN, 0, step)}{row // GROUP:05d}",
        rare=words[RARE],
        usual=words[USUAL],
        from_step=steps // 2,
    )


def _python(*command: str, more: Mapping[str, str] | None = None) -> None:
    subprocess.run(command, cwd=ROOT, env=environment(more), check=True, stdout=subprocess.DEVNULL)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def python_of(way: str, inspect: str | None, trackio: str | None) -> str | None:
    """The Python that has a way's packages; None where it was not named."""
    return {"inspect": inspect, "trackio": trackio}.get(way, sys.executable)
