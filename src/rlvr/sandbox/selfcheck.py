"""A few escapes that a sandbox tries on itself before it is trusted."""

import json
import os
import socket
import tempfile
from pathlib import Path

from rlvr.errors import SandboxUnavailable
from rlvr.sandbox.execution import Sandbox

# Each attempt stands alone: what raises has failed, which is what should happen.
_ATTEMPTS = """
import ctypes, json, os, socket, subprocess

def read_a_file_of_the_user():
    return open(SECRET).read()

def read_an_environment():
    found = dict(os.environ)
    for place in ("self", "1"):
        try:
            found[place] = open(f"/proc/{place}/environ").read()
        except OSError:
            pass
    return any(value in str(found) for value in VALUES)

def write_outside_the_scratch_folder():
    for folder in ("/", "/usr/lib", "/python/lib", "/dev", "/dev/shm", "/packages", "/etc"):
        try:
            open(folder + "/rlvr-escaped", "w").close()
            os.remove(folder + "/rlvr-escaped")
            return True
        except OSError:
            pass

def connect_to_the_network():
    return socket.create_connection(("127.0.0.1", PORT), timeout=1)

def start_a_process():
    pid = os.fork()
    if not pid:
        os._exit(0)
    return True

def start_a_program():
    return subprocess.Popen([os.readlink("/proc/self/exe")])

def signal_another_process():
    os.kill(1, 0)
    return True

def write_into_another_process():
    return open("/proc/1/mem", "r+b")

def make_a_namespace():
    return ctypes.CDLL(None).unshare(0x10000000) == 0

def change_the_kernel():
    names = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper")
    for name in names:
        try:
            os.close(os.open(name, os.O_WRONLY))
            return True
        except OSError:
            pass

def become_privileged():
    return os.geteuid() == 0 or "CapEff:\\t0000000000000000" not in open("/proc/self/status").read()

def go_unfiltered():
    return "Seccomp:\\t2" not in open("/proc/self/status").read()

succeeded = {}
for attempt in (read_a_file_of_the_user, read_an_environment, write_outside_the_scratch_folder,
                connect_to_the_network, start_a_process, start_a_program, signal_another_process,
                write_into_another_process, make_a_namespace, change_the_kernel,
                become_privileged, go_unfiltered):
    try:
        succeeded[attempt.__name__] = bool(attempt())
    except Exception:
        succeeded[attempt.__name__] = False
print(json.dumps(succeeded))
"""
ATTEMPTS = 12


def escapes(sandbox: Sandbox) -> tuple[str, ...]:
    """Which of the attempts succeed in the sandbox, by name.

    Raises:
        SandboxUnavailable: the attempts did not run to their end.
    """
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        secret = Path(folder, "secret")
        secret.write_text("secret", encoding="utf-8")
        # Short values ("1", "C.UTF-8") may well occur in the sandbox too.
        values = [value for value in os.environ.values() if len(value) > 12]
        given = {"SECRET": str(secret), "PORT": server.getsockname()[1], "VALUES": values}
        setting = "".join(f"{name} = {value!r}\n" for name, value in given.items())
        execution = sandbox.run(setting + _ATTEMPTS)
    try:
        succeeded: dict[str, bool] = json.loads(execution.stdout.text)
    except ValueError:
        succeeded = {}
    if len(succeeded) != ATTEMPTS:
        raise SandboxUnavailable(
            "the sandbox could not be tried out: "
            f"{execution.failure or execution.stderr.text or execution.stdout.text}"
        )
    return tuple(name for name, success in succeeded.items() if success)


def check(sandbox: Sandbox) -> None:
    """Raise SandboxUnavailable if an attempt to escape succeeds."""
    passed = escapes(sandbox)
    if passed:
        raise SandboxUnavailable(
            f"the sandbox let code {', '.join(name.replace('_', ' ') for name in passed)}, so "
            "nothing is run in it. Please report this with the version of bubblewrap and the kernel"
        )
