"""The bubblewrap command: what the sandbox sees, and what it is cut off from."""

import importlib.util
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from rlvr.errors import ConfigurationError, SandboxUnavailable
from rlvr.sandbox import guest
from rlvr.sandbox.execution import Limits

OLDEST = (0, 8, 0)
ACCEPT_THE_RISK = "none-i-accept-the-risk"
INSTALL = (
    f"Install bubblewrap {'.'.join(map(str, OLDEST))} or later (Debian, Ubuntu: apt install "
    "bubblewrap). It needs unprivileged user namespaces: a container needs a seccomp profile that "
    "allows them, Ubuntu 24.04 an AppArmor profile for bwrap. Code that a model wrote can also "
    f'run with your own rights, if you accept that risk: sandbox="{ACCEPT_THE_RISK}"'
)
_SYSTEM = ("lib", "lib64", "lib32")
_SHOWN_KERNEL_FILES = frozenset(
    {"cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "uptime", "version"}
)


def bubblewrap_version(program: str) -> tuple[int, ...]:
    """The version of bubblewrap.

    Raises:
        SandboxUnavailable: it is not installed, does not start, or is too old.
    """
    try:
        asked = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, timeout=10, env={}
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxUnavailable(f"bubblewrap does not start ({error}). {INSTALL}") from error
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", asked.stdout)
    version = tuple(map(int, numbers.groups())) if numbers else ()
    if version < OLDEST:
        raise SandboxUnavailable(f"bubblewrap is {asked.stdout.strip()}, too old. {INSTALL}")
    return version


def command(
    program: str, *, limits: Limits, packages: Iterable[str], filter_descriptor: int
) -> list[str]:
    """The command that starts a guest in its sandbox.

    It sees the system's libraries, Python's standard library and the named packages, all
    read-only, /proc of its own processes, an almost empty /dev, and its scratch folder. The
    user's files, environment, other packages, network and processes are not there.
    """
    return [
        *(program, "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net"),
        *("--unshare-uts", "--unshare-cgroup-try", "--disable-userns", "--assert-userns-disabled"),
        *("--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "sandbox"),
        *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"),
        *("--setenv", "PATH", "/usr/bin", "--setenv", "HOME", guest.SCRATCH),
        *("--setenv", "LANG", "C.UTF-8", "--setenv", "OPENBLAS_NUM_THREADS", "1"),
        *("--setenv", "LD_LIBRARY_PATH", "/python/lib"),
        *_system(),
        *_python(),
        *_packages(packages),
        *("--ro-bind", guest.__file__, "/guest.py", "--proc", "/proc", "--dev", "/dev"),
        *_hidden_kernel_files(),
        *("--size", str(limits.scratch_bytes), "--tmpfs", guest.SCRATCH),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", guest.SCRATCH),
        *("--seccomp", str(filter_descriptor)),
        *("/python/bin/python3", "-I", "-S", "-B", "-X", "utf8", "/guest.py"),
    ]


def installed(packages: Iterable[str]) -> list[str]:
    """Those of the packages that this Python has."""
    return [name for name in packages if importlib.util.find_spec(name) is not None]


def _system() -> Iterator[str]:
    """The system's libraries, without its programs."""
    for name in _SYSTEM:
        yield from ("--ro-bind-try", f"/usr/{name}", f"/usr/{name}")
        top = Path("/", name)
        if top.is_symlink():
            yield from ("--symlink", str(top.readlink()), str(top))
        elif top.is_dir():
            yield from ("--ro-bind", str(top), str(top))
    yield from ("--ro-bind-try", "/usr/share/zoneinfo", "/usr/share/zoneinfo")


def _python() -> Iterator[str]:
    """This interpreter and its standard library, under /python, without its site-packages."""
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    yield from ("--ro-bind", str(program), "/python/bin/python3")
    base = Path(sys.base_prefix)
    for name in ("lib", "lib64"):
        yield from ("--ro-bind-try", str(base / name), f"/python/{name}")
    site = Path(sysconfig.get_path("stdlib")) / "site-packages"
    if site.is_dir():
        inside = f"/python/{site.relative_to(base)}"
        yield from ("--tmpfs", inside, "--remount-ro", inside)


def _hidden_kernel_files() -> Iterator[str]:
    """Everything in /proc that is about the machine and not about a process, but a few.

    Where root trains, the sandbox's user is root for the kernel's own files, whatever its name
    inside: without this it could write /proc/sys/kernel/core_pattern, a command that runs outside.
    Process 1 is the guest that forks for each call, and is nobody's business either.
    """
    for entry in sorted(Path("/proc").iterdir()):
        if entry.name.isdigit() or entry.is_symlink() or entry.name in _SHOWN_KERNEL_FILES:
            continue
        if entry.is_dir():
            yield from ("--tmpfs", str(entry), "--remount-ro", str(entry))
        else:
            yield from ("--ro-bind", "/dev/null", str(entry))
    yield from ("--tmpfs", "/proc/1", "--remount-ro", "/proc/1")


def _packages(packages: Iterable[str]) -> Iterator[str]:
    """Each package's folder, and the libraries that its wheel keeps beside it."""
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError(
                f"the python tool's package {name!r} is not installed as a folder; install it, or "
                "leave it out of the tool's packages"
            )
        folder = Path(next(iter(spec.submodule_search_locations))).resolve()
        yield from ("--ro-bind", str(folder), f"{guest.PACKAGES}/{name}")
        libraries = folder.with_name(f"{folder.name}.libs")
        if libraries.is_dir():
            yield from ("--ro-bind", str(libraries), f"{guest.PACKAGES}/{libraries.name}")
