"""How many calls a minute the python tool's sandbox answers, and what a call costs.

The processor time of a call is told beside, since it says what a quiet machine would do.

python benchmarks/sandbox.py
python benchmarks/sandbox.py --calls 1000 --workers 4
"""

import os
import resource
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import typer

from rlvr.sandbox import BubblewrapSandbox, Limits, Sandbox, UnsandboxedPython

PROGRAMS = {
    "prints a sum": "print(sum(range(100)))",
    "solves with sympy": "import sympy as s\nx = s.symbols('x')\nprint(s.solve(x**2 - 5*x + 6))",
    "raises": "print(1 / 0)",
    "writes a file": "open('notes', 'w').write('x')\nprint(open('notes').read())",
}


def main(calls: int = 300, workers: int = 2) -> None:
    """Measure each program in a sandbox with packages, without, and in none at all."""
    print(f"{workers} workers, {calls} calls each, from {2 * workers} threads")
    columns = f"{'calls/min':>10} {'median':>10} {'p99':>10} {'processor':>10}"
    print(f"{'sandbox':20} {'program':18} {columns}")
    limits = Limits(wall_s=60)
    packages = BubblewrapSandbox(limits, workers=workers)
    _measure("numpy, sympy loaded", packages, PROGRAMS, calls=calls, threads=2 * workers)
    packages.close()
    bare = BubblewrapSandbox(limits, packages=(), workers=workers)
    no_sympy = {name: code for name, code in PROGRAMS.items() if "sympy" not in code}
    _measure("no packages", bare, no_sympy, calls=calls, threads=2 * workers)
    bare.close()
    _measure(
        "none (a new Python)",
        UnsandboxedPython(limits),
        PROGRAMS,
        calls=max(calls // 5, 1),
        threads=workers,
    )


def _measure(
    name: str, sandbox: Sandbox, programs: dict[str, str], *, calls: int, threads: int
) -> None:
    for label, code in programs.items():
        sandbox.run(code)
        started, busy_s = time.perf_counter(), _processor_s(sandbox)
        with ThreadPoolExecutor(threads) as pool:
            runs = list(pool.map(sandbox.run, [code] * calls))
        elapsed_s, busy_s = time.perf_counter() - started, _processor_s(sandbox) - busy_s
        assert all(run.failure is None and not run.timed_out for run in runs)
        seconds = sorted(run.duration_s or 0.0 for run in runs)
        each_s = (statistics.median(seconds), seconds[-1 - calls // 100], busy_s / calls)
        times = " ".join(f"{1000 * value:7.1f} ms" for value in each_s)
        print(f"{name:20} {label:18} {60 * calls / elapsed_s:10.0f} {times}")


def _processor_s(sandbox: Sandbox) -> float:
    """Processor time that the sandbox's processes have used, with those that ended before."""
    if not isinstance(sandbox, BubblewrapSandbox):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime
    ticks = 0
    for pid in sandbox.pids:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for member in (str(pid), *children):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    typer.run(main)
