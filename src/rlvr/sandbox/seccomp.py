"""System calls that are refused, as programs for the kernel's seccomp filter.

A filter is classic BPF: eight bytes an instruction. `ZYGOTE` holds for the process that forks for
each call, from before its first instruction; `CALL` is put on top in the child that runs a
model's code, which neither starts processes nor touches others. A system call that is newer than
this table does not exist as far as either is concerned.
"""

import struct
from collections.abc import Iterable

from rlvr.errors import SandboxUnavailable

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_EPERM, _ENOSYS = 1, 38
_NEWEST = 450
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16

# Name, number on x86_64, number on aarch64; "-" where the architecture has no such call.
_ZYGOTE_TABLE = """
socket 41 198|socketpair 53 199|connect 42 203|bind 49 200|listen 50 201|accept 43 202
accept4 288 242|ptrace 101 117|process_vm_readv 310 270|process_vm_writev 311 271
pidfd_getfd 438 438|kcmp 312 272|process_madvise 440 440|process_mrelease 448 448
mount 165 40|umount2 166 39|move_mount 429 429|open_tree 428 428|fsopen 430 430
fsconfig 431 431|fsmount 432 432|fspick 433 433|mount_setattr 442 442|pivot_root 155 41
chroot 161 51|unshare 272 97|setns 308 268|name_to_handle_at 303 264
open_by_handle_at 304 265|mknod 133 -|mknodat 259 33|quotactl 179 60|quotactl_fd 443 443
swapon 167 224|swapoff 168 225|acct 163 89|bpf 321 280|io_uring_setup 425 425
io_uring_enter 426 426|io_uring_register 427 427|memfd_create 319 279|memfd_secret 447 447
userfaultfd 323 282|perf_event_open 298 241|fanotify_init 300 262|keyctl 250 219
add_key 248 217|request_key 249 218|init_module 175 105|finit_module 313 273
delete_module 176 106|create_module 174 -|kexec_load 246 104|kexec_file_load 320 294
reboot 169 142|syslog 103 116|iopl 172 -|ioperm 173 -|modify_ldt 154 -|uselib 134 -
lookup_dcookie 212 18|nfsservctl 180 42|vhangup 153 58|settimeofday 164 170
clock_settime 227 112|adjtimex 159 171|clock_adjtime 305 266|sethostname 170 161
setdomainname 171 162|personality 135 92|shmget 29 194|shmat 30 196|shmctl 31 195
msgget 68 186|msgctl 71 187|semget 64 190|semctl 66 191|mq_open 240 180|mq_unlink 241 181
"""
_CALL_TABLE = """
fork 57 -|vfork 58 -|clone 56 220|execve 59 221|execveat 322 281|kill 62 129|tkill 200 130
tgkill 234 131|rt_sigqueueinfo 129 138|rt_tgsigqueueinfo 297 240|pidfd_open 434 434
pidfd_send_signal 424 424|setpriority 141 140|sched_setaffinity 203 122
sched_setscheduler 144 119|sched_setparam 142 118|sched_setattr 314 274|ioprio_set 251 30
migrate_pages 256 238|move_pages 279 239
"""
_CLONE3 = {"x86_64": 435, "aarch64": 435}
_PRLIMIT64 = {"x86_64": 302, "aarch64": 261}


def zygote_filter(machine: str) -> bytes:
    """The filter of a zygote on that machine ("x86_64" or "aarch64").

    Raises:
        SandboxUnavailable: there is no table for the machine.
    """
    return _program(machine, refused(_ZYGOTE_TABLE, machine).values())


def call_filter(machine: str) -> bytes:
    """The filter of a child that runs a model's code; it includes the zygote's.

    `prlimit64` is left for one's own limits. `clone3` does not exist, since its arguments stand
    in memory, where no filter can see them; libraries then fall back to `clone`.
    """
    numbers = refused(_ZYGOTE_TABLE, machine) | refused(_CALL_TABLE, machine)
    return _program(
        machine,
        numbers.values(),
        before=[
            *_when(_CLONE3[machine], [_instruction(_RETURN, _ERRNO | _ENOSYS)]),
            *_when(
                _PRLIMIT64[machine],
                [
                    # The kernel takes a process id as 32 bits: the low half of the argument.
                    _instruction(_LOAD, _FIRST_ARGUMENT_AT),
                    _instruction(_JUMP_EQUAL, 0, yes=1, no=0),
                    _instruction(_RETURN, _ERRNO | _EPERM),
                    _instruction(_RETURN, _ALLOW),
                ],
            ),
        ],
    )


def refused(table: str, machine: str) -> dict[str, int]:
    """Number of each call of a table that the machine has."""
    if machine not in _AUDIT_ARCH:
        raise SandboxUnavailable(
            f"no table of system calls for a machine of type {machine!r}; the sandbox runs on "
            f"{' and '.join(_AUDIT_ARCH)}"
        )
    column = 1 if machine == "x86_64" else 2
    rows = (entry.split() for line in table.split("\n") for entry in line.split("|") if entry)
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def zygote_calls(machine: str) -> dict[str, int]:
    """What the zygote's filter refuses, by name."""
    return refused(_ZYGOTE_TABLE, machine)


def own_calls(machine: str) -> dict[str, int]:
    """What the filter of a call refuses beyond the zygote's, by name."""
    return refused(_CALL_TABLE, machine)


def _program(machine: str, numbers: Iterable[int], *, before: Iterable[bytes] = ()) -> bytes:
    start = [
        _instruction(_LOAD, _ARCH_AT),
        _instruction(_JUMP_EQUAL, _AUDIT_ARCH[machine], yes=1, no=0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
        # 32-bit calls of x86_64 (x32) have numbers of their own, which no table here knows.
        _instruction(_JUMP_AT_LEAST, _X32_BIT, yes=0, no=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_JUMP_AT_LEAST, _NEWEST + 1, yes=0, no=1),
        _instruction(_RETURN, _ERRNO | _ENOSYS),
    ]
    deny = [_instruction(_RETURN, _ERRNO | _EPERM)]
    checks = [part for number in sorted(numbers) for part in _when(number, deny)]
    return b"".join([*start, *before, *checks, _instruction(_RETURN, _ALLOW)])


def _when(number: int, then: list[bytes]) -> list[bytes]:
    """Instructions for one system call. They end in a return, so the rest still has the number."""
    return [_instruction(_JUMP_EQUAL, number, yes=0, no=len(then)), *then]


def _instruction(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
