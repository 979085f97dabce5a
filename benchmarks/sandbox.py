"""How many calls a minute the python tool's sandbox answers, and what a call costs.

python benchmarks/sandbox.py
python benchmarks/sandbox.py --calls 1000 --workers 4
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

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
    print(f"{'sandbox':22} {'program':20} {'calls/min':>10} {'median':>9} {'p99':>9}")
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
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            runs = list(pool.map(sandbox.run, [code] * calls))
        elapsed_s = time.perf_counter() - started
        assert all(run.failure is None and not run.timed_out for run in runs)
        seconds = sorted(run.duration_s for run in runs)
        median_ms, p99_ms = 1000 * statistics.median(seconds), 1000 * seconds[-1 - calls // 100]
        a_minute = 60 * calls / elapsed_s
        print(f"{name:22} {label:20} {a_minute:10.0f} {median_ms:6.1f} ms {p99_ms:6.1f} ms")


if __name__ == "__main__":
    typer.run(main)
