"""Wording that `haneul up` and the other commands share; imports nothing, so that up starts at once."""

from collections.abc import Sequence


def tier(name: str, reasons: Sequence[str]) -> str:
    """The sandbox tier in force, and why it is not a stronger one."""
    if not reasons:
        return name
    return f"{name}: the strongest that works here (" + "; ".join(f"no {reason}" for reason in reasons) + ")"


def by_version(runtime: str) -> list[int | str]:
    """Sorts python3.9 before python3.10."""
    digits = runtime.lstrip("abcdefghijklmnopqrstuvwxyz").split(".")
    return [runtime.rstrip("0123456789."), *(int(part) for part in digits if part.isdigit())]
