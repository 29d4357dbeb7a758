"""What the command line draws: waterfalls, tables, bills; in a pipe plain text without colours."""

import io
from typing import Any

import pytest
from rich.console import Console

from haneul.cli import show, words


def span(name: str, depth: int, start_ms: float, ms: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "depth": depth, "start_ms": start_ms, "duration_us": ms * 1000, "note": "", **more}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(show, "console", Console(file=text, width=120, highlight=False))
    return text


def bars(text: str) -> list[str]:
    return ["".join(letter for letter in line if letter in "·█") for line in text.splitlines()]


def test_a_bar_begins_and_ends_where_its_span_did(drawn: io.StringIO) -> None:
    show.waterfall([span("s3 PutObject", 0, 1000, 10), span("function f", 1, 1005, 5)], width=10)

    assert bars(drawn.getvalue()) == ["██████████", "·····█████"]


def test_names_hang_below_what_caused_them_and_bars_stand_under_each_other(drawn: io.StringIO) -> None:
    show.waterfall(
        [span("s3 PutObject", 0, 0, 9), span("delivery to f", 1, 1, 8), span("function f", 2, 2, 7)], width=20
    )

    lines = drawn.getvalue().splitlines()
    assert [line.partition("·")[0].partition("█")[0].rstrip() for line in lines] == [
        "s3 PutObject",
        "└ delivery to f",
        "  └ function f",
    ]
    assert len({min(line.find(letter) for letter in "·█" if letter in line) for line in lines}) == 1
    assert lines[0].endswith("9.00 ms")


@pytest.mark.parametrize("durations", [[0, 0], [0.001, 100_000], [1e-9, 1e9]])
def test_every_span_is_seen_and_none_leaves_the_axis(drawn: io.StringIO, durations: list[float]) -> None:
    show.waterfall([span(str(at), 0, 0, ms) for at, ms in enumerate(durations)], width=12)

    assert all(len(bar) == 12 and "█" in bar for bar in bars(drawn.getvalue()))


def test_a_span_that_begins_at_the_end_is_seen_there(drawn: io.StringIO) -> None:
    show.waterfall([span("a", 0, 0, 100), span("b", 1, 100, 0)], width=10)

    assert bars(drawn.getvalue())[1] == "·" * 9 + "█"


def test_failures_and_notes_are_written_behind(drawn: io.StringIO) -> None:
    show.waterfall([span("a", 0, 0, 1, note="403", ok=False), span("b", 0, 0, 1, note="[bold]")], width=5)

    first, second = drawn.getvalue().splitlines()
    assert first.endswith("1.00 ms  403  failed")
    assert second.endswith("[bold]")  # what functions are called is no markup


def test_long_names_are_cut(drawn: io.StringIO) -> None:
    show.waterfall([span("n" * 200, 0, 0, 1)], width=5)

    assert drawn.getvalue().startswith("n" * (show.NAME_MAX - 1) + "… █████")


def test_no_spans_are_no_lines(drawn: io.StringIO) -> None:
    show.waterfall([])

    assert drawn.getvalue() == ""


def test_tables_in_a_pipe_are_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    show.rows("Title", ("a", "b"), [(1, "x y"), ("[red]", "")])

    assert capsys.readouterr().out == "a\tb\n1\tx y\n[red]\t\n"


def test_a_bill_adds_its_total_and_says_where_prices_are_from(
    capsys: pytest.CaptureFixture[str], drawn: io.StringIO
) -> None:
    line = {"service": "lambda", "resource": "f", "what": "requests", "quantity": "2", "unit": "request",
            "price": "0.20 per 1,000,000", "amount": "4E-7"}  # fmt: skip
    show.bill({"currency": "USD", "lines": [line], "total": "0.0000004", "prices": "AWS, today"})

    out = capsys.readouterr().out.splitlines()
    assert out[0].split("\t")[-1] == "USD"
    assert out[1].split("\t")[-1] == out[2].split("\t")[-1] == "0.0000004000"
    assert out[2].startswith("total\t") and "AWS, today" in drawn.getvalue()


def test_the_tier_says_why_it_is_not_a_stronger_one() -> None:
    assert words.tier("strict", ()) == "strict"
    assert (
        words.tier("userns", ["strict: needs root"]) == "userns: the strongest that works here (no strict: needs root)"
    )


def test_runtimes_are_in_the_order_of_their_versions() -> None:
    assert sorted(["python3.10", "python3.9", "python3.11"], key=words.by_version) == [
        "python3.9",
        "python3.10",
        "python3.11",
    ]
