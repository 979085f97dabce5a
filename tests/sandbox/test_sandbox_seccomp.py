"""The filters, run by an interpreter of classic BPF that stands here."""

import struct

import pytest

from rlvr.sandbox.seccomp import call_filter, own_calls, zygote_calls, zygote_filter

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = "allow", "kill"
# From the kernel's tables (unistd_64.h; unistd.h of asm-generic).
KNOWN = {
    "x86_64": {"socket": 41, "mount": 165, "bpf": 321, "execve": 59, "clone": 56, "kill": 62},
    "aarch64": {"socket": 198, "mount": 40, "bpf": 280, "execve": 221, "clone": 220, "kill": 129},
}
HARMLESS = {
    "x86_64": {"read": 0, "write": 1, "mmap": 9, "openat": 257, "exit_group": 231, "getpid": 39},
    "aarch64": {"read": 63, "write": 64, "mmap": 222, "openat": 56, "exit_group": 94},
}


def decide(program, *, arch, number, first=0):
    """What the kernel would do with a call: "allow", "kill", or its errno."""
    memory = struct.pack("=IIQ6Q", number, arch, 0, first, 0, 0, 0, 0, 0)
    accumulator, place = 0, 0
    while True:
        code, yes, no, value = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", memory, value)
        elif code in (0x15, 0x35):
            hit = accumulator == value if code == 0x15 else accumulator >= value
            place += yes if hit else no
        else:
            assert code == 0x06
            action = value & 0xFFFF0000
            return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(action, value & 0xFFFF)


@pytest.fixture(params=ARCH)
def machine(request):
    return request.param


@pytest.mark.parametrize("make", [zygote_filter, call_filter])
def test_dangerous_calls_are_refused_and_harmless_ones_are_not(machine, make):
    program = make(machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096
    for number in zygote_calls(machine).values():
        assert decide(program, arch=ARCH[machine], number=number) == 1
    for number in HARMLESS[machine].values():
        assert decide(program, arch=ARCH[machine], number=number) == ALLOW


def test_numbers_are_the_kernel_s(machine):
    calls = zygote_calls(machine) | own_calls(machine)
    assert KNOWN[machine].items() <= calls.items()
    assert len(set(calls.values())) == len(calls)


def test_only_the_one_that_forks_for_each_call_may_fork_and_kill(machine):
    for name, number in own_calls(machine).items():
        assert decide(zygote_filter(machine), arch=ARCH[machine], number=number) == ALLOW, name
        assert decide(call_filter(machine), arch=ARCH[machine], number=number) == 1, name


def test_clone3_does_not_exist_for_a_call(machine):
    assert decide(call_filter(machine), arch=ARCH[machine], number=435) == 38


def test_calls_newer_than_the_table_do_not_exist(machine):
    for make in (zygote_filter, call_filter):
        assert decide(make(machine), arch=ARCH[machine], number=451) == 38
        assert decide(make(machine), arch=ARCH[machine], number=462) == 38


def test_calls_of_another_architecture_kill(machine):
    for make in (zygote_filter, call_filter):
        for arch in {*ARCH.values(), 0x40000003} - {ARCH[machine]}:
            assert decide(make(machine), arch=arch, number=0) == KILL
        assert decide(make(machine), arch=ARCH[machine], number=0x40000000 + 41) == KILL


def test_limits_of_other_processes_are_out_of_reach(machine):
    number = {"x86_64": 302, "aarch64": 261}[machine]
    program = call_filter(machine)
    assert decide(program, arch=ARCH[machine], number=number, first=0) == ALLOW
    for pid in (1, 7, 0xFFFFFFFF, (1 << 32) + 1):
        assert decide(program, arch=ARCH[machine], number=number, first=pid) == 1
