"""What a call gets, what is told of it, and that it leaves nothing behind."""

import platform
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rlvr.sandbox import BubblewrapSandbox, Execution, Limits, UnsandboxedPython, open_sandbox
from rlvr.sandbox.seccomp import own_calls, zygote_calls


def out(execution):
    assert execution.failure is None
    return execution.stdout.text


@pytest.fixture(scope="module")
def quick():
    """One worker with tight limits."""
    limits = Limits(wall_s=1.0, output_bytes=2000)
    opened = BubblewrapSandbox(limits, packages=(), workers=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=["sandboxed", "not"])
def either(request, quick):
    return quick if request.param == "sandboxed" else UnsandboxedPython(quick.limits)


def test_output_status_and_time_are_told(either):
    run = either.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)")
    assert (run.stdout.text, run.stderr.text, run.exit_status) == ("out\n", "err\n", 3)
    assert run.stdout.size_bytes == 4
    assert run.signal is None
    assert [run.ok, run.timed_out, run.memory_exceeded, run.truncated] == [False] * 4
    assert 0 < run.duration_s < 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("1/0", 1),
        ("raise SystemExit", 0),
        ("raise SystemExit(0)", 0),
        ("raise SystemExit('no')", 1),
        ("raise KeyboardInterrupt", None),
        ("import os; os._exit(9)", 9),
        ("def f(: pass", 1),
        ("import sys; sys.stdout.close()", None),
        ("import sys; sys.stdout = None", None),
        ("input()", 1),
        ("raise MemoryError", 1),
        ("x = '\ud800'; print(x)", None),
        ("\x00", 1),
        ("", 0),
        ("class E(Exception):\n  def __str__(self): raise ValueError\nraise E", 1),
        ("def f(): f()\nf()", 1),
        ("while True:\n  try: exec('1+' * 9**5)\n  except BaseException: break", None),
    ],
)
def test_every_ending_has_a_status(code, status, quick):
    run = quick.run(code)
    assert run.failure is None
    assert run.exit_status is not None or run.signal is not None
    if status is not None:
        assert run.exit_status == status


def test_a_traceback_is_the_program_s_own(quick):
    run = quick.run("def f(x):\n    return 1 / x\nf(0)")
    lines = run.stderr.text.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        '  File "<python>", line 3, in <module>',
        "    f(0)",
    ]
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "guest" not in run.stderr.text


def test_a_loop_is_stopped_and_said_to_be(either):
    run = either.run("print('before', flush=True)\nwhile True: pass")
    assert run.timed_out
    assert run.signal == "SIGKILL"
    assert run.exit_status is None
    assert run.stdout.text == "before\n"
    assert 1.0 <= run.duration_s < 3.0


def test_a_loop_that_refuses_signals_is_stopped(quick):
    ignoring = "import signal\nfor n in range(1, 32):\n  try: signal.signal(n, signal.SIG_IGN)\n"
    run = quick.run(f"{ignoring}  except OSError: pass\nwhile True: pass")
    assert run.timed_out


def test_a_sleeper_that_closed_its_streams_is_stopped(quick):
    assert quick.run("import os, time\nos.close(1)\nos.close(2)\ntime.sleep(60)").timed_out


def test_refused_memory_is_said_to_be(either):
    run = either.run("x = bytearray(3 << 30)")
    assert run.memory_exceeded
    assert run.exit_status == 1
    assert "MemoryError" in run.stderr.text


def test_memory_used_up_bit_by_bit_is_said_to_be(sandbox):
    run = sandbox.run("x = []\nwhile True: x.append(bytes(1 << 20))")
    assert run.memory_exceeded


def test_of_much_output_both_ends_are_kept_and_the_size_is_told(either):
    run = either.run("print('a' * 5000, end='z')\nimport sys\nprint('b' * 3000, file=sys.stderr)")
    assert run.truncated
    assert run.stdout.truncated
    assert run.stdout.size_bytes == 5001
    assert run.stdout.text == "a" * 1000 + "\n[... 3001 bytes left out ...]\n" + "a" * 999 + "z"
    assert run.stderr.size_bytes == 3001


def test_endless_output_is_bounded(quick):
    run = quick.run("while True: print('x' * 100000)")
    assert run.timed_out
    assert run.stdout.size_bytes > 1_000_000
    assert len(run.stdout.text) < 2100


def test_bytes_that_are_no_text_are_replaced_and_counted(either):
    run = either.run("import os\nos.write(1, b'\\xff\\xfe ok')")
    assert run.stdout.text == "\ufffd\ufffd ok"
    assert run.stdout.size_bytes == 5


def test_an_execution_survives_json(quick):
    run = quick.run("print('\\x00 \\ud800 é')")
    assert Execution.from_json(run.to_json()) == replace(run, duration_s=None)


def test_a_call_finds_nothing_of_the_one_before(sandbox):
    look = (
        "import os; print(os.listdir('.'), oct(os.stat('.').st_mode), globals().get('x'),"
        " os.listxattr('.'), os.stat('.').st_nlink)"
    )
    fresh = out(sandbox.run(look))
    assert fresh.startswith("[] ")
    for left in (
        "x = 1; import builtins; builtins.x = 1; open('left', 'w').write('mine')",
        "import os; os.chmod('/tmp', 0)",
        "import os; os.makedirs('/tmp/a/b/c'); os.chmod('/tmp/a', 0)",
        "import os\nfor n in range(3000): open(f'{n}', 'w').close()",
        "open('gone', 'w').close(); import os; os.remove('gone')",
        "import os; os.setxattr('/tmp', 'user.x', b'mine')",
        "import os; os.symlink('/', 'root'); os.link('root', 'again'); os.mkfifo('pipe')",
        "import os; os.utime('/tmp', (1, 1))",
        "import os\nfor _ in range(400): os.mkdir('d'); os.chdir('d')",
    ):
        sandbox.run(left)
        assert out(sandbox.run(look)) == fresh


def test_a_guest_serves_many_calls_until_one_leaves_more_than_it_clears(quick):
    quick.run("pass")
    before = quick.pids
    quick.run("import os; os.makedirs('a/b'); open('a/b/c', 'w').close(); os.chmod('a', 0)")
    assert out(quick.run("import os; print(os.listdir('.'))")) == "[]\n"
    assert quick.pids == before
    quick.run("for n in range(200): open(f'{n}', 'w').close()")
    assert out(quick.run("import os; print(os.listdir('.'))")) == "[]\n"
    assert quick.pids != before


def test_a_false_answer_is_only_output(sandbox):
    forged = """
import os, struct, json
answer = json.dumps({"stdout": {"head": "", "tail": "", "size": 0}, "exit_status": 0}).encode()
frame = struct.pack(">I", len(answer)) + answer
written = []
for number in range(3, 1024):
    try:
        os.write(number, frame)
        written.append(number)
    except OSError:
        pass
for place in ("/proc/1/fd/0", "/proc/1/fd/1", "/proc/1/fd/4"):
    try:
        open(place, "wb").write(frame)
        written.append(place)
    except OSError:
        pass
os.write(1, frame)
os._exit(7) if not written else print(written)
"""
    run = sandbox.run(forged)
    assert run.exit_status == 7
    assert '"exit_status": 0' in run.stdout.text


def test_the_environment_holds_nothing_of_the_user_s(sandbox):
    names = out(sandbox.run("import os; print(sorted(os.environ))"))
    assert names == "['HOME', 'LANG', 'LD_LIBRARY_PATH', 'OPENBLAS_NUM_THREADS', 'PATH', 'PWD']\n"


def test_nothing_outside_the_scratch_folder_can_be_written(sandbox):
    walk = """
import os
own = ("/proc/self", "/proc/thread-self", f"/proc/{os.getpid()}", "/tmp", "/dev/pts")
seen = 0
for folder, folders, files in os.walk("/"):
    if folder.startswith(own):
        folders.clear()
        continue
    seen += 1
    if os.statvfs(folder).f_flag & os.ST_RDONLY == 0:
        if os.access(folder, os.W_OK):
            print("folder", folder)
        for name in files:
            try:
                os.close(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_NONBLOCK))
                print("file", os.path.join(folder, name))
            except OSError:
                pass
print("done", seen > 50)
"""
    assert out(sandbox.run(walk)).splitlines() == ["done True"]


def test_every_namespace_is_its_own(sandbox):
    look = """
import os
for name in ("user", "pid", "net", "ipc", "uts", "mnt"):
    print(name, os.readlink(f"/proc/self/ns/{name}"))
"""
    inside = out(sandbox.run(look)).splitlines()
    outside = [
        f"{name} {Path(f'/proc/self/ns/{name}').readlink()}"
        for name in ("user", "pid", "net", "ipc", "uts", "mnt")
    ]
    assert len(inside) == 6
    assert not set(inside) & set(outside)


def test_no_privileged_program_is_in_sight(sandbox):
    find = """
import os
for folder, _, files in os.walk("/usr"):
    for name in files:
        mode = os.lstat(os.path.join(folder, name)).st_mode
        if mode & 0o6000 and os.access(os.path.join(folder, name), os.X_OK):
            print(folder, name)
print(open("/proc/self/mountinfo").read().count("nosuid") > 5, os.path.exists("/usr/bin"))
"""
    assert out(sandbox.run(find)).splitlines()[-1] == "True False"


def test_every_refused_system_call_is_refused(sandbox):
    numbers = {**zygote_calls(platform.machine()), **own_calls(platform.machine())}
    program = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for name, number in {numbers!r}.items():
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
    if result != -1 or ctypes.get_errno() != 1:
        print(name, result, ctypes.get_errno())
print("done")
"""
    assert out(sandbox.run(program)) == "done\n"


def test_code_may_use_what_mathematics_needs():
    opened = BubblewrapSandbox(Limits(wall_s=20), workers=1)
    try:
        run = opened.run(
            "import sympy, numpy as np, fractions, decimal, itertools, json, random, tempfile\n"
            "x = sympy.symbols('x')\n"
            "print(sympy.solve(x**2 - 2), sympy.integrate(x, x), np.linalg.det(np.eye(3)))\n"
            "open('notes', 'w').write('kept for this call')\n"
            "print(open('notes').read())"
        )
        assert out(run) == "[-sqrt(2), sqrt(2)] x**2/2 1.0\nkept for this call\n"
        draws = {out(opened.run("import numpy as np; print(np.random.rand())")) for _ in range(3)}
        assert len(draws) == 3
        assert out(opened.run("import pytest")) == ""
    finally:
        opened.close()


def test_packages_of_the_user_are_not_there(sandbox):
    run = sandbox.run("import pytest")
    assert run.exit_status == 1
    assert "No module named 'pytest'" in run.stderr.text
    installed = "import glob; print(glob.glob('/python/lib*/python3*/site-packages/*'))"
    assert out(sandbox.run(installed)) == "[]\n"


def test_calls_from_many_threads_each_get_their_own_answer():
    with_two = BubblewrapSandbox(Limits(wall_s=20), packages=(), workers=2)
    answers = {}

    def ask(number):
        answers[number] = with_two.run(f"print({number} ** 2)").stdout.text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with_two.close()
    assert answers == {number: f"{number**2}\n" for number in range(24)}


def test_code_that_is_far_too_long_is_not_sent(quick):
    run = quick.run("#" * (2 << 20))
    assert "characters, more than" in run.failure
    assert not run.ok


def test_a_guest_that_dies_is_replaced(sandbox):
    import os
    import signal

    (guest,) = sandbox.pids
    os.kill(guest, signal.SIGKILL)
    lost = sandbox.run("print(1)")
    assert lost.failure is None or "the sandbox ended" in lost.failure
    assert out(sandbox.run("print(2)")) == "2\n"


def test_closing_leaves_no_process():
    opened = BubblewrapSandbox(Limits(wall_s=5), packages=(), workers=1)
    pids = opened.pids
    assert pids
    opened.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with pytest.raises(RuntimeError, match="stopped"):
        opened.run("print(1)")


def test_a_host_that_is_killed_leaves_no_process():
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST], stdout=subprocess.PIPE, text=True, stdin=subprocess.PIPE
    )
    pids = host.stdout.readline().split()
    assert pids
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    host.kill()
    host.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


_HOST = """
import threading
from rlvr.sandbox import BubblewrapSandbox, Limits
sandbox = BubblewrapSandbox(Limits(wall_s=600), packages=(), workers=1)
threading.Thread(target=sandbox.run, args=("while True: pass",)).start()
from pathlib import Path
guests = sandbox.pids
children = [c for g in guests for c in Path(f"/proc/{g}/task/{g}/children").read_text().split()]
print(*guests, *children, flush=True)
input()
"""


def test_the_risk_is_accepted_in_so_many_words(tmp_path):
    (tmp_path / "mine").write_text("secret")
    accepted = open_sandbox("none-i-accept-the-risk", Limits(wall_s=20))
    assert out(accepted.run(f"print(open({str(tmp_path / 'mine')!r}).read())")) == "secret\n"
    assert out(accepted.run("import os; print(dict(os.environ), os.listdir('.'))")).endswith(
        " []\n"
    )
