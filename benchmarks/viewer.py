"""What each page of the viewer takes, for runs of any size, and for the longest trajectories.

    python -m benchmarks.viewer --rollouts 100000
    python -m benchmarks.viewer --rollouts 1000000 --folder /scratch/scale --json
    python -m benchmarks.viewer --quick                 # 512 rollouts, to see that it runs

A viewer in a process of its own is asked for each page as a browser asks: the first time, which
opens the run, and again (the median of `--rounds`). Milliseconds are by the clock, `cpu` is the
server's own time; memory is the server's peak after all pages, and beside it that of the largest
process that it started for a question of the whole run. A real browser then opens a trajectory of
200 turns and the tokens of one of 100,000 until they are drawn.
"""

import argparse
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from benchmarks.scale.generate import record
from rich.console import Console
from rich.table import Table

from rlvr.record import (
    Message,
    Mode,
    RunInfo,
    Span,
    TokenDetails,
    ToolCall,
    TrainingSequence,
    Trajectory,
)
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.views.web import Places
from rlvr.views.web.assets import TYPES, asset

LONG_RUN = "20260101-000000-10a6"
TURNS, TOKENS = 200, 100_000
JAVASCRIPT_BYTES, MEMORY_BYTES = 60_000, 300e6
_WAIT_S = 600.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A page: the first time and again, in milliseconds by the clock; `cpu_ms` of the server."""

    page: str
    first_ms: float
    again_ms: float
    cpu_ms: float
    bytes: int


def main(arguments: Sequence[str]) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where runs are kept, as benchmarks.scale does")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rollouts = 512 if options.quick else options.rollouts
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        found = {
            "rollouts": rollouts,
            **_of_a_run(_run(folder / str(rollouts), rollouts), options.rounds),
            **_of_the_longest(Path(temporary), quick=options.quick),
            "javascript_bytes": _javascript(),
        }
    if options.json:
        print(json.dumps(found))
    else:
        _print(found)


def _run(folder: Path, rollouts: int) -> Path:
    """The run of that size, made and compacted unless it is there."""
    runs = sorted(folder.glob("**/rlvr/*/run.json"))
    if runs:
        return runs[0].parent
    _say(f"making {rollouts:,} rollouts")
    path = record(folder, rollouts)
    subprocess.run([*_RLVR, "compact", str(path)], check=True, stdout=subprocess.DEVNULL)
    return path


_RLVR = (sys.executable, "-c", "from rlvr.cli import main; main()")


def _of_a_run(path: Path, rounds: int) -> dict[str, Any]:
    with _viewer(path) as (client, pid), _watched(pid) as largest:
        pages = _pages(path)
        asked = [_ask(client, pid, name, url, rounds) for name, url in pages.items()]
        peak = _peak_bytes(pid)
    return {
        "pages": [asdict(one) for one in asked],
        "memory_bytes": peak,
        "aside_bytes": max(largest.values(), default=0),
    }


def _pages(path: Path) -> Mapping[str, str]:
    run = open_run(path)
    places = Places(run=run.id)
    steps = run.steps()
    middle = next(iter(run.trajectories(step=steps[len(steps) // 2], tokens=False)))
    assert middle.id is not None
    assert middle.example_id is not None
    return {
        "rollouts": places.of_rollouts(),
        "rollouts by reward": places.of_rollouts(order="reward", descending=1),
        "rollouts where": places.of_rollouts(where="reward < 0.2 and derived_num_turns > 2"),
        "step": places.of_step(middle.step),
        "group": places.of_group(middle.group_id),
        "trajectory": places.of_trajectory(middle.id),
        "tokens": places.of_tokens(middle.id),
        "prompts": places.of_prompts(),
        "prompt": places.of_prompt(middle.example_id),
        "run": places.of_run(),
        "rewards": places.of_rewards(),
        "tools": places.of_tools(),
        "contrast": places.of_contrast(),
        "diagnosis": places.of_diagnosis(),
    }


def _ask(client: httpx.Client, pid: int, name: str, url: str, rounds: int) -> Asked:
    """A page, until it is there: one that awaits an answer is asked again, as a browser does."""
    _say(f"  {name}")
    began = time.perf_counter()
    answer = client.get(url)
    while re.search(r'http-equiv="refresh"', answer.text):
        time.sleep(0.05)
        answer = client.get(url)
    answer.raise_for_status()
    first_s = time.perf_counter() - began
    spans, cpu = [], []
    for _ in range(rounds):
        used = _cpu_s(pid)
        began = time.perf_counter()
        client.get(url).raise_for_status()
        spans.append(time.perf_counter() - began)
        cpu.append(_cpu_s(pid) - used)
    return Asked(
        page=name,
        first_ms=first_s * 1e3,
        again_ms=statistics.median(spans) * 1e3,
        cpu_ms=statistics.median(cpu) * 1e3,
        bytes=len(answer.content),
    )


@contextmanager
def _viewer(path: Path) -> Iterator[tuple[httpx.Client, int]]:
    """A viewer of the run, and a client that is signed in."""
    command = [*_RLVR, "view", str(path), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    said = ""
    while not said.endswith("}\n"):
        said += server.stdout.readline()
    try:
        url = json.loads(said)["url"]
        origin = url.partition("/?")[0]
        with httpx.Client(base_url=origin, timeout=_WAIT_S, follow_redirects=True) as client:
            client.get(url)
            yield client, server.pid
    finally:
        server.terminate()
        server.wait()


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_bytes(pid: int) -> int:
    """The most memory that a process has had so far; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


@contextmanager
def _watched(pid: int) -> Iterator[dict[int, int]]:
    """The peaks of the processes that a process starts, by their ids, looked at all the while."""
    largest: dict[int, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_EVERY_S):
            for child in _children(pid):
                largest[child] = max(largest.get(child, 0), _peak_bytes(child))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield largest
    finally:
        over.set()
        watcher.join()


def _children(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found += [int(child) for child in path.read_text().split()]
    return found


def _javascript() -> int:
    """Bytes of all scripts, as they are sent compressed."""
    return sum(len(gzip.compress(asset(name))) for name in TYPES if name.endswith(".js"))


def _of_the_longest(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Seconds until a browser has drawn the longest pages."""
    turns, tokens = (10, 2_000) if quick else (TURNS, TOKENS)
    path, ids = _long_run(folder / "long", turns, tokens)
    places = Places(run=path.name)
    with _viewer(path) as (client, pid):
        urls = {
            f"trajectory of {turns} turns": places.of_trajectory(ids[0]),
            f"tokens of a trajectory of {tokens:,}": places.of_tokens(ids[1]),
        }
        asked = [_ask(client, pid, name, url, 3) for name, url in urls.items()]
        drawn = _drawn(client, urls)
    return {"longest": [{**asdict(one), "drawn_ms": drawn[one.page]} for one in asked]}


def _drawn(client: httpx.Client, urls: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds from the request to the second frame, in chromium."""
    from playwright.sync_api import sync_playwright

    found = {}
    origin = str(client.base_url).rstrip("/")
    cookies = [{"name": k, "value": v, "url": origin} for k, v in client.cookies.items()]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        context = browser.new_context()
        context.add_cookies(cookies)  # type: ignore[arg-type]
        page = context.new_page()
        for name, url in urls.items():
            began = time.perf_counter()
            page.goto(origin + url)
            page.evaluate(
                "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
            )
            found[name] = (time.perf_counter() - began) * 1e3
        browser.close()
    return found


def _long_run(folder: Path, turns: int, tokens: int) -> tuple[Path, list[str]]:
    """A rollout of so many turns, and one of so many tokens with all their details."""
    many_turns = replace(_rollout(0), completion=tuple(_turns(turns)))
    many_tokens = replace(_rollout(1), tokens=_tokens(tokens))
    info = RunInfo(run=LONG_RUN, created_at=0.0, name="long", num_generations=2)
    with Recorder.open(folder, info=info, run=LONG_RUN) as recorder:
        recorder.keep_vocabulary([f" w{at}" for at in range(5_000)])
        recorder.record_batch([many_turns, many_tokens])
    path = folder / "rlvr" / LONG_RUN
    return path, [str(one.id) for one in open_run(path).trajectories(tokens=False)]


def _rollout(sample: int) -> Trajectory:
    return Trajectory(
        run=LONG_RUN,
        mode=Mode.TRAIN,
        step=0,
        batch=0,
        attempt=0,
        group_id="g",
        sample=sample,
        example_id="e",
        question="q",
        prompt=(Message(role="user", content="q"),),
        completion=(Message(role="assistant", content="a"),),
        reward=float(sample),
        advantage=0.5,
    )


def _turns(count: int) -> Iterator[Message]:
    for at in range(count):
        call = ToolCall(id=f"c{at}", name="retrieve", arguments=json.dumps({"query": f"q {at}"}))
        yield Message(role="assistant", content="think " * 60, tool_calls=(call,))
        yield Message(role="tool", content="a document says so. " * 60, tool_call_id=f"c{at}")


def _tokens(count: int) -> TokenDetails:
    """Turns of 400 sampled and 100 tool tokens after a prompt."""
    spans = [Span(start=0, stop=500, turn=0, role="prompt")]
    mask = [0] * 500
    for turn, start in enumerate(range(500, count, 500)):
        stop = min(start + 400, count)
        spans.append(Span(start=start, stop=stop, turn=turn, role="assistant"))
        mask += [1] * (stop - start)
        if stop < min(start + 500, count):
            end = min(start + 500, count)
            spans.append(Span(start=stop, stop=end, turn=turn, role="tool"))
            mask += [0] * (end - stop)
    logprobs = tuple(-(at % 97) / 20 if mask[at] else float("nan") for at in range(count))
    sequence = TrainingSequence(
        ids=tuple(at % 5_000 for at in range(count)),
        loss_mask=tuple(mask),
        attended=(1,) * count,
        spans=tuple(spans),
        sampler_logprobs=logprobs,
        trainer_logprobs=tuple(value - 0.01 for value in logprobs),
    )
    return TokenDetails(sequences=(sequence,))


def _print(found: Mapping[str, Any]) -> None:
    rollouts: int = found["rollouts"]
    table = Table(title=f"{rollouts:,} rollouts: milliseconds")
    for column in ("page", "first", "again", "server's CPU", "kB", "budget"):
        table.add_column(column, justify="left" if column == "page" else "right")
    for one in found["pages"]:
        table.add_row(*_row(one), _budget(one, rollouts))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for one in found["longest"]:
        console.print(
            f"{one['page']}: {one['again_ms']:.0f} ms of the server, {one['bytes'] / 1e3:,.0f} kB,"
            f" drawn by the browser after {one['drawn_ms']:.0f} ms"
        )
    memory, script = found["memory_bytes"], found["javascript_bytes"]
    console.print(
        f"memory of the server {memory / 1e6:.0f} MB ({_met(memory, MEMORY_BYTES)} 300 MB), of a"
        f" process beside it at most {found['aside_bytes'] / 1e6:.0f} MB;"
        f" JavaScript {script / 1e3:.1f} kB compressed ({_met(script, JAVASCRIPT_BYTES)} 60 kB)"
    )


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (one["first_ms"], one["again_ms"], one["cpu_ms"], one["bytes"] / 1e3)
    return one["page"], *(f"{value:,.0f}" for value in numbers)


def _budget(one: Mapping[str, Any], rollouts: int) -> str:
    if not one["page"].startswith(("rollouts", "prompts")):
        return ""
    limit = 300 if rollouts <= 100_000 else 500
    return f"{_met(one['again_ms'], limit)} {limit}"


def _met(value: float, limit: float) -> str:
    return "within" if value <= limit else "MISSES"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
