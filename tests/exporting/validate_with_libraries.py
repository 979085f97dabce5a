"""Has the libraries that own the formats read what we write.

    python tests/exporting/validate_with_libraries.py [FOLDER]

Exports the bundled run and a run with something of everything, installs each library into a virtual
environment of its own beneath FOLDER (a temporary one unless given; given again, they are reused),
and runs the checks of `library_checks/` there. Not part of the suite: it needs a package index and
some minutes. Exits with 1 where a library refuses.
"""

import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

LIBRARIES = {
    "verifiers": "verifiers==0.4.0",
    "atif": "atif==1.8.0",
    "scout": "inspect_scout",
    "hf": "datasets>=4",
}


def main(folder: Path) -> None:
    """Check every library, then fail if one refused."""
    refused = []
    for name, requirement in LIBRARIES.items():
        python = installed(folder / f"env-{name}", requirement)
        for what, rollouts in exports(folder, name):
            check = HERE / "library_checks" / f"check_{name}.py"
            command = [str(python), str(check), str(what), str(rollouts)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            print(f"{name:10} {what.name:20} {done.stdout.strip() or done.stderr.strip()[-600:]}")
            refused += [name] * (done.returncode != 0)
    if refused:
        raise SystemExit(f"refused: {', '.join(refused)}")


def installed(folder: Path, requirement: str) -> Path:
    """The Python of an environment that has the library."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", requirement]
        subprocess.run(install, check=True)
    return python


def exports(folder: Path, name: str) -> list[tuple[Path, int]]:
    """Both runs in that format, each with how many rollouts it holds."""
    from full_run import record

    from rlvr.cli.opening import open_sample
    from rlvr.exporting import FORMATS, export_run
    from rlvr.runs import open_run

    recorded = folder / "recorded"
    full = open_run(recorded) if recorded.exists() else record(recorded)
    runs = {"full": full, "repaired": open_sample("repaired").run}
    return [
        (out, export_run(run, FORMATS[name], out, overwrite=True).rollouts)
        for called, run in runs.items()
        for out in [folder / f"{name}-{called}"]
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with TemporaryDirectory() as temporary:
            main(Path(temporary))
