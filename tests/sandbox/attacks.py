"""Programs that try to break out, and the world around the sandbox that they try to reach."""

import contextlib
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FRAME = '''
import ctypes, os, socket, sys
{names}
libc = ctypes.CDLL(None, use_errno=True)

def system(result):
    """A system call through ctypes: raise as Python would."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True

{attack}

try:
    won = attack()
except BaseException as error:
    print("FAILED", type(error).__name__, error)
else:
    print("ESCAPED" if won else "FAILED")
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is outside: a secret file, a folder, servers, and a process with a secret of its own."""

    names: dict[str, object]
    folder: Path

    def program(self, attack: str) -> str:
        """A program that defines `attack()`, with the names of this world."""
        names = "\n".join(f"{name} = {json.dumps(value)}" for name, value in self.names.items())
        return _FRAME.format(names=names, attack=attack)


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """A world in a folder; its servers and its process end with the block."""
    secret = secrets.token_hex(16)
    (folder / "secret").write_text(secret)
    shared = folder / "shared"
    shared.mkdir()
    abstract = f"rlvr-{secret}"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        for address in (str(folder / "socket"), "\0" + abstract):
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(address)
            server.listen()
        victim = subprocess.Popen(
            [sys.executable, "-I", "-c", "input()", secret],
            stdin=subprocess.PIPE,
            env={"SECRET": secret},
        )
        stack.callback(_end, victim)
        yield World(
            names={
                "SECRET": secret,
                "FILE": str(folder / "secret"),
                "FOLDER": str(shared),
                "TCP": tcp.getsockname()[1],
                "UDP": udp.getsockname()[1],
                "SOCKET": str(folder / "socket"),
                "ABSTRACT": abstract,
                "VICTIM": victim.pid,
            },
            folder=shared,
        )


def plainly(program: str, folder: Path) -> str:
    """What a program prints without any sandbox."""
    run = subprocess.run(
        [sys.executable, "-I", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return run.stdout


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


# What succeeds for any user outside, where it does no harm.
ATTACKS = {
    "reads a file of the user": """
def attack():
    return open(FILE).read() == SECRET
""",
    "reads a file of the user through a link": """
def attack():
    os.symlink(FILE, "link")
    return open("link").read() == SECRET
""",
    "reads a file of the user through /proc": """
def attack():
    return open("/proc/self/root" + FILE).read() == SECRET
""",
    "lists the user's folder": """
def attack():
    return bool(os.listdir(os.path.dirname(FILE)))
""",
    "reads the environment of processes": """
def attack():
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(open(f"/proc/{name}/environ").read())
        except OSError:
            pass
    return any(SECRET in environ for environ in found)
""",
    "reads the command lines of processes": """
def attack():
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(open(f"/proc/{name}/cmdline").read())
        except OSError:
            pass
    return any(SECRET in line for line in found)
""",
    "connects by TCP": """
def attack():
    socket.create_connection(("127.0.0.1", TCP), timeout=2)
    return True
""",
    "sends by UDP": """
def attack():
    return socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", UDP)) == 1
""",
    "resolves a name": """
def attack():
    return bool(socket.getaddrinfo("localhost", 80))
""",
    "listens on the network": """
def attack():
    return bool(socket.create_server(("127.0.0.1", 0)))
""",
    "connects to a unix socket": """
def attack():
    socket.socket(socket.AF_UNIX).connect(SOCKET)
    return True
""",
    "connects to an abstract unix socket": """
def attack():
    socket.socket(socket.AF_UNIX).connect(chr(0) + ABSTRACT)
    return True
""",
    "makes a socket by a bare system call": """
def attack():
    number = 41 if os.uname().machine == "x86_64" else 198
    return system(libc.syscall(number, 2, 1, 0))
""",
    "writes into the user's folder": """
def attack():
    open(FOLDER + "/written", "w").close()
    return True
""",
    "writes into shared memory": """
def attack():
    open("/dev/shm/" + SECRET, "w").close()
    os.remove("/dev/shm/" + SECRET)
    return True
""",
    "forks": """
def attack():
    children = [os.fork() or os._exit(0) for _ in range(50)]
    return len(children) == 50
""",
    "starts threads": """
def attack():
    import threading
    for _ in range(50):
        threading.Thread(target=int).start()
    return True
""",
    "starts a program": """
def attack():
    import subprocess
    return subprocess.run([os.readlink("/proc/self/exe"), "-c", ""]).returncode == 0
""",
    "runs the loader as a program": """
def attack():
    import glob
    os.execv(glob.glob("/lib*/ld-linux-*")[0], ["ld", "--version"])
""",
    "starts a program from a pickle": """
def attack():
    import pickle
    return pickle.loads(b"cposix\\nsystem\\n(S'exit 0'\\ntR.") == 0
""",
    "makes a file of memory to run": """
def attack():
    return os.memfd_create("x") > 2
""",
    "leaves a process behind": """
def attack():
    if os.fork():
        return True
    os.setsid()
    os.close(1)
    os.close(2)
    os._exit(0)
""",
    "takes much memory": """
def attack():
    return len(bytearray(5 << 28)) > 0
""",
    "maps much memory": """
def attack():
    import mmap
    return bool(mmap.mmap(-1, 5 << 28))
""",
    "fills the disk": """
def attack():
    for number in range(12):
        with open(f"filler-{number}", "wb") as file:
            file.write(bytes(8 << 20))
    return True
""",
    "writes a large file": """
def attack():
    with open("large", "wb") as file:
        file.write(bytes(32 << 20))
    return True
""",
    "opens many files": """
def attack():
    return len([open("/dev/null") for _ in range(200)]) == 200
""",
    "signals a process": """
def attack():
    os.kill(VICTIM, 0)
    return True
""",
    "signals every process": """
def attack():
    os.kill(-1, 0)
    return True
""",
    "opens its parent's descriptors": """
def attack():
    return bool(os.listdir(f"/proc/{os.getppid()}/fd"))
""",
    "looks through its parent's root": """
def attack():
    return bool(os.listdir(f"/proc/{os.getppid()}/root/"))
""",
    "changes its parent's limits": """
def attack():
    import resource
    limit = resource.prlimit(os.getppid(), resource.RLIMIT_CORE)
    return bool(resource.prlimit(os.getppid(), resource.RLIMIT_CORE, limit))
""",
    "changes a process's priority": """
def attack():
    os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))
    return True
""",
    "leaves memory to the next": """
def attack():
    import mmap
    segment = libc.shmget(0x726C7672, 4096, 0o1600)
    return system(segment) and system(libc.shmctl(segment, 0, None))
""",
    "lists the user's processes": """
def attack():
    return any(int(name) == VICTIM for name in filter(str.isdigit, os.listdir("/proc")))
""",
}

# What would do harm outside, or is not every user's there: tried inside, and why it fails.
INSIDE_ONLY = {
    "traces a process": (
        "def attack():\n    return system(libc.ptrace(0x4206, 1, 0, 0))",
        "not permitted",
    ),
    "opens another's memory": ("def attack():\n    return open('/proc/1/mem')", "No such file"),
    "makes a user namespace": (
        "def attack():\n    return system(libc.unshare(0x10000000))",
        "not permitted",
    ),
    "kills process 1": ("def attack():\n    os.kill(1, 9)\n    return True", "not permitted"),
    "becomes root": ("def attack():\n    os.setuid(0)\n    return True", "Invalid argument"),
    "mounts": (
        "def attack():\n    return system(libc.mount(b'x', b'/tmp', b'tmpfs', 0, None))",
        "not permitted",
    ),
    "changes the root": ("def attack():\n    os.chroot('/tmp')\n    return True", "not permitted"),
    "makes a device": (
        "def attack():\n    os.mknod('/tmp/d', 0o20600, os.makedev(1, 1))\n    return True",
        "not permitted",
    ),
    "opens physical memory": ("def attack():\n    return open('/dev/mem')", "No such file"),
    "opens a disk": ("def attack():\n    return open('/dev/vda')", "No such file"),
    "opens a terminal": ("def attack():\n    return open('/dev/tty')", "No such device"),
    "loads a kernel program": (
        "def attack():\n    return system(libc.syscall("
        "321 if os.uname().machine == 'x86_64' else 280, 0, 0, 0))",
        "not permitted",
    ),
    "makes a ring": (
        "def attack():\n    return system(libc.syscall(425, 1, ctypes.create_string_buffer(120)))",
        "not permitted",
    ),
    "enters a namespace": (
        "def attack():\n    return system(libc.setns(os.open('/proc/self/ns/net', 0), 0))",
        "not permitted",
    ),
    "writes to the guest": ("def attack():\n    return open('/guest.py', 'a')", "Read-only"),
    "writes to the library": ("def attack():\n    return open('/python/lib/x', 'w')", "Read-only"),
    "writes to the root": ("def attack():\n    return open('/x', 'w')", "Read-only"),
    "changes the kernel": (
        "def attack():\n    return open('/proc/sys/kernel/core_pattern', 'w')",
        "No such file",
    ),
    "unlocks the processors": (
        "def attack():\n    os.sched_setaffinity(1, {0})\n    return True",
        "not permitted",
    ),
    "takes the host's name": (
        "def attack():\n    socket.sethostname('x')\n    return True",
        "not permitted",
    ),
    "sees a home": ("def attack():\n    return os.listdir('/root') or 1", "No such file"),
    "sees accounts": ("def attack():\n    return open('/etc/passwd')", "No such file"),
    "raises its limits": (
        "def attack():\n    import resource\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40))\n    return True",
        "not allowed|not permitted",
    ),
    "makes a pair of sockets": ("def attack():\n    return socket.socketpair()", "not permitted"),
    "makes a 32-bit call": (
        "def attack():\n    return system(libc.syscall(0x40000000 + 41, 2, 1, 0))",
        "SIGSYS|not implemented",
    ),
}
