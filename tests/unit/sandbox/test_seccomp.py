"""The compiled filter, run by a small interpreter of classic BPF."""

import struct

import pytest

from haneul.sandbox import numbers, seccomp

ALLOW, EPERM, ENOSYS, KILL, EAFNOSUPPORT = 0x7FFF0000, 0x50001, 0x50026, 0x80000000, 0x50061


def run(program: bytes, machine: str, number: int, *arguments: int) -> int:
    """What the kernel would answer."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, numbers.AUDIT_ARCH[machine], 0, *padded)
    code = list(struct.iter_unpack("<HBBI", program))
    at, accumulator = 0, 0
    while True:
        operation, yes, no, value = code[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x06:
            return int(value)
        else:
            taken = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            at += yes if taken else no


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_number_has_the_answer_of_its_list(machine: str) -> None:
    program = seccomp.compile_filter(machine)
    allowed = set(numbers.numbers(numbers.ALLOWED, machine).values())
    refused = set(numbers.numbers(numbers.REFUSED, machine).values())
    special = {numbers.numbers(numbers.ALLOWED, machine)[name] for name in ("clone", "socket", "ioctl")}

    for number in range(600):
        expected = ALLOW if number in allowed else EPERM if number in refused else ENOSYS
        if number not in special:
            assert run(program, machine, number) == expected, number


def test_no_call_is_in_both_lists(machine: str) -> None:
    allowed = numbers.numbers(numbers.ALLOWED, machine)
    refused = numbers.numbers(numbers.REFUSED, machine)

    assert not set(allowed) & set(refused) and not set(allowed.values()) & set(refused.values())
    assert "clone3" not in allowed and "clone3" not in refused


def test_numbers_of_the_x32_interface_do_not_exist() -> None:
    assert run(seccomp.compile_filter("x86_64"), "x86_64", 0x40000000 + 59) == ENOSYS


def test_another_architecture_is_killed() -> None:
    program = seccomp.compile_filter("x86_64")

    assert run(program, "aarch64", 0) == KILL


@pytest.mark.parametrize("flag", [0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000])
def test_clone_is_allowed_without_namespaces_only(machine: str, flag: int) -> None:
    clone = numbers.numbers(numbers.ALLOWED, machine)["clone"]
    program = seccomp.compile_filter(machine)

    assert run(program, machine, clone, 0x3D0F00 | 17) == ALLOW
    assert run(program, machine, clone, flag | 17) == EPERM


@pytest.mark.parametrize(
    ("family", "protocol", "answer"),
    [(1, 0, ALLOW), (2, 6, ALLOW), (10, 17, ALLOW), (16, 0, ALLOW), (16, 12, EAFNOSUPPORT)]
    + [(family, 0, EAFNOSUPPORT) for family in (17, 38, 40, 44, 0)],
)
def test_only_the_usual_kinds_of_socket_exist(machine: str, family: int, protocol: int, answer: int) -> None:
    socket = numbers.numbers(numbers.ALLOWED, machine)["socket"]

    assert run(seccomp.compile_filter(machine), machine, socket, family, 1, protocol) == answer


def test_a_terminal_cannot_be_typed_into(machine: str) -> None:
    ioctl = numbers.numbers(numbers.ALLOWED, machine)["ioctl"]
    program = seccomp.compile_filter(machine)

    answers = [run(program, machine, ioctl, 0, command) for command in (0x5412, 0x541C, 0x5401)]

    assert answers == [EPERM, EPERM, ALLOW]


def test_a_template_may_make_mount_namespaces_and_attach_mounts_and_no_more(machine: str) -> None:
    refused = numbers.numbers(numbers.REFUSED, machine)
    program = seccomp.compile_filter(machine, template=True)

    assert run(program, machine, refused["unshare"], 0x20000) == ALLOW
    assert run(program, machine, refused["unshare"], 0x20000 | 0x10000000) == EPERM
    assert run(program, machine, refused["move_mount"]) == ALLOW
    for name in sorted(set(refused) - {"unshare", "move_mount"}):
        assert run(program, machine, refused[name]) == EPERM, name
