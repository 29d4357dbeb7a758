"""The filter on system calls, compiled to classic BPF without a library.

Order of the checks: architecture; calls whose arguments matter (clone, socket, ioctl); then a binary search over ranges
of numbers with one answer each. clone3 is not listed anywhere, so it answers ENOSYS and C libraries fall back to clone,
whose flags can be seen.
"""

from __future__ import annotations

import struct

from . import numbers

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_EPERM = 0x00050000 | 1
_ENOSYS = 0x00050000 | 38
_EAFNOSUPPORT = 0x00050000 | 97

_NEW_NAMESPACES = 0x7E020000
_FAMILIES = (1, 2, 10)  # unix, inet, inet6
_NETLINK = 16
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_CLONE_NEWNS = 0x20000

Instruction = "tuple[int, int, int, int]"


def compile_filter(machine: str, *, template: bool = False) -> bytes:
    """The program for a machine ("x86_64" or "aarch64").

    template: for a snapshot's template, which must still give each fork a mount namespace of its own: unshare with
    exactly CLONE_NEWNS, and move_mount, are allowed. The forks load the plain filter on top.
    """
    allowed = numbers.numbers(numbers.ALLOWED, machine)
    refused = numbers.numbers(numbers.REFUSED, machine)
    program = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, numbers.AUDIT_ARCH[machine]), (_RETURN, 0, 0, _KILL)]
    program += [(_LOAD, 0, 0, _NUMBER)]
    program += _when(allowed["clone"], _clone())
    program += _when(allowed["socket"], _socket())
    program += _when(allowed["ioctl"], _ioctl())
    if template:
        program += _when(refused["unshare"], _only(_CLONE_NEWNS))
        allowed["move_mount"] = refused.pop("move_mount")
    program += _search(_ranges(allowed, refused))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _argument(index: int) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)  # the low half; both machines are little-endian


def _when(number: int, block: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Run block, which always returns, for one number; the accumulator holds the number before and after."""
    return [(_EQUAL, 0, len(block), number), *block]


def _clone() -> list[tuple[int, int, int, int]]:
    return [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]


def _only(flags: int) -> list[tuple[int, int, int, int]]:
    return [_argument(0), (_EQUAL, 0, 1, flags), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]


def _ioctl() -> list[tuple[int, int, int, int]]:
    first, second = _TERMINAL_INJECTION
    return [
        _argument(1),
        (_EQUAL, 1, 0, first),
        (_EQUAL, 0, 1, second),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _socket() -> list[tuple[int, int, int, int]]:
    """The usual families; netlink only for routes, which getifaddrs and getaddrinfo read."""
    unix, inet, inet6 = _FAMILIES
    return [
        _argument(0),
        (_EQUAL, 5, 0, unix),
        (_EQUAL, 4, 0, inet),
        (_EQUAL, 3, 0, inet6),
        (_EQUAL, 0, 3, _NETLINK),
        _argument(2),
        (_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _EAFNOSUPPORT),
    ]


def _ranges(allowed: dict[str, int], refused: dict[str, int]) -> list[tuple[int, int]]:
    """(first number, answer) of each run of numbers with the same answer, from 0 up; the last run has no end."""
    answers = dict.fromkeys(refused.values(), _EPERM)
    answers.update(dict.fromkeys(allowed.values(), _ALLOW))
    runs = [(0, answers.get(0, _ENOSYS))]
    for number in range(1, max(answers) + 2):
        answer = answers.get(number, _ENOSYS)
        if answer != runs[-1][1]:
            runs.append((number, answer))
    return runs


def _search(runs: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    if len(runs) == 1:
        return [(_RETURN, 0, 0, runs[0][1])]
    middle = len(runs) // 2
    low, high = _search(runs[:middle]), _search(runs[middle:])
    assert len(low) < 256, "a jump reaches 255 instructions"
    return [(_AT_LEAST, len(low), 0, runs[middle][0]), *low, *high]
