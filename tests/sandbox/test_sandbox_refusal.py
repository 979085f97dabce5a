"""Where the sandbox can't be trusted, nothing runs in it. These need no bubblewrap."""

import stat
import sys
import textwrap
from pathlib import Path

import pytest

import rlvr.sandbox.guest
from rlvr.errors import ConfigurationError, SandboxUnavailable
from rlvr.sandbox import BubblewrapSandbox, Limits, ScriptedSandbox, UnsandboxedPython, open_sandbox
from rlvr.sandbox.selfcheck import ATTEMPTS, check, escapes


@pytest.fixture
def program(tmp_path):
    """Makes a program that is taken for bubblewrap; `body` is Python."""

    def make(body, version="0.8.0"):
        path = tmp_path / "bwrap"
        head = f"#!{sys.executable}\nimport os, sys\n"
        says = f"if sys.argv[1:] == ['--version']:\n    sys.exit(print('bubblewrap {version}'))\n"
        path.write_text(head + says + textwrap.dedent(body))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def refused(program, **options):
    with pytest.raises(SandboxUnavailable) as raised:
        BubblewrapSandbox(Limits(wall_s=10), packages=(), workers=1, program=program, **options)
    return str(raised.value)


def test_without_bubblewrap_it_refuses_and_says_what_to_do(tmp_path):
    message = refused(str(tmp_path / "nowhere"))
    assert "bubblewrap does not start" in message
    assert "apt install bubblewrap" in message
    assert 'sandbox="none-i-accept-the-risk"' in message


def test_an_old_bubblewrap_is_refused(program):
    assert "bubblewrap 0.6.1, too old" in refused(program("", version="0.6.1"))


def test_where_namespaces_are_forbidden_it_says_what_bubblewrap_said(program):
    message = refused(program("sys.exit('No permissions to create new namespace')"))
    assert "No permissions to create new namespace" in message
    assert "unprivileged user namespaces" in message


def test_a_sandbox_that_keeps_nothing_in_is_found_out(program):
    leaky = program(
        f"""
        os.execv({sys.executable!r}, [{sys.executable!r}, "-I", "-S", "-B",
                 {rlvr.sandbox.guest.__file__!r}])
        """
    )
    message = refused(leaky)
    assert "read a file of the user" in message
    assert "connect to the network" not in message  # the filter of system calls still held


def test_every_attempt_succeeds_where_there_is_no_sandbox():
    found = set(escapes(UnsandboxedPython(Limits(wall_s=20))))
    assert {
        "read_a_file_of_the_user",
        "connect_to_the_network",
        "start_a_process",
        "start_a_program",
        "go_unfiltered",
    } <= found
    assert len(found) <= ATTEMPTS
    with pytest.raises(SandboxUnavailable, match="start a process"):
        check(UnsandboxedPython(Limits(wall_s=20)))


@pytest.mark.parametrize("answer", ["", "{}", "nonsense", '{"read_a_file_of_the_user": false}'])
def test_a_sandbox_that_can_not_be_tried_out_is_refused(answer):
    with pytest.raises(SandboxUnavailable, match="could not be tried out"):
        check(ScriptedSandbox(lambda _: answer))


def test_other_machines_are_refused():
    from rlvr.sandbox.seccomp import call_filter

    with pytest.raises(SandboxUnavailable, match="'riscv64'; the sandbox runs on x86_64 and"):
        call_filter("riscv64")


@pytest.mark.parametrize("kind", ["none", "", "docker", "None"])
def test_no_other_word_switches_the_sandbox_off(kind):
    with pytest.raises(ConfigurationError, match="use bubblewrap, or none-i-accept-the-risk"):
        open_sandbox(kind)


def test_a_package_that_is_not_there_is_named(program):
    with pytest.raises(ConfigurationError, match="'nowhere_at_all' is not installed"):
        BubblewrapSandbox(packages=["nowhere_at_all"], program=program(""))


@pytest.mark.parametrize("limit", ["wall_s", "memory_bytes", "output_bytes"])
def test_a_limit_is_above_zero(limit):
    with pytest.raises(ConfigurationError, match=f"{limit} is 0"):
        Limits(**{limit: 0})


def test_the_probes_clean_up_after_themselves():
    escapes(UnsandboxedPython(Limits(wall_s=20)))
    assert not Path("/rlvr-escaped").exists()
    assert not Path("/dev/shm/rlvr-escaped").exists()
