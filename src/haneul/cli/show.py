"""How the command line shows things: tables and colours in a terminal, tab-separated text in a pipe, JSON on request."""

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
COLOURS = {"function": "green", "delivery": "yellow"}
OTHER_COLOUR = "cyan"
NAME_MAX = 44
BAR_MIN, BAR_MAX = 16, 72
AMOUNT_DECIMALS = 10


def rows(
    title: str,
    columns: Sequence[str],
    lines: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    total: bool = False,
    plain: bool = True,
) -> None:
    """A table. right: columns that are aligned to the right. total: the last line is one.

    plain: in a pipe it is tab-separated text, for programs; False draws it there, too, for people who read it later.
    """
    if plain and not sys.stdout.isatty():
        print("\t".join(columns))
        for line in lines:
            print("\t".join(str(cell) for cell in line))
        return
    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="dim", box=SIMPLE_HEAD,
                  show_edge=False, pad_edge=False)  # fmt: skip
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for number, line in enumerate(lines):
        last = total and number == len(lines) - 1
        if last:
            table.add_section()
        table.add_row(*(Text(str(cell)) for cell in line), style="bold" if last else None)
    _wide(table) if plain is False and not sys.stdout.isatty() else console.print(table)


def facts(title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one pair a line."""
    if not sys.stdout.isatty():
        rows(title, ("what", "value"), pairs)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, Text(value))
    console.print(Text(title, style="bold"))
    console.print(grid)


def heading(text: str, explanation: str = "") -> None:
    """Opens a part of a longer story."""
    console.print()
    console.print(Text.assemble((text, "bold"), ("  " + explanation if explanation else "", "dim")), soft_wrap=True)


def step(name: str, text: str, remark: str = "") -> None:
    """One step that was done: its name, what came of it, and a word of explanation."""
    console.print(Text.assemble((f"{name:11}", "cyan"), text, (f"  {remark}" if remark else "", "dim")), soft_wrap=True)
    console.file.flush()


def remark(text: str) -> None:
    """Small print."""
    console.print(Text(text, style="dim"), soft_wrap=not sys.stdout.isatty())


def as_json(value: Any) -> None:
    """For programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def bill(found: dict[str, Any], *, plain: bool = True) -> None:
    """A bill with its total, and where the prices come from."""
    lines = [
        (line["service"], line["resource"], line["what"], line["quantity"], line["unit"], line["price"], _amount(line["amount"]))
        for line in found["lines"]
    ]  # fmt: skip
    lines.append(("total", "", "", "", "", "", _amount(found["total"])))
    currency = found["currency"]
    columns = ("service", "resource", "what", "quantity", "unit", "price", currency)
    rows("", columns, lines, right=("quantity", "price", currency), total=True, plain=plain)
    remark(f"prices: {found['prices']}")


def waterfall(spans: Sequence[dict[str, Any]], *, width: int | None = None) -> None:
    """Spans of one trace as bars over a shared time axis; each has name, depth, start_ms, duration_us, note."""
    if not spans:
        return
    names = [("  " * (span["depth"] - 1) + "└ " if span["depth"] else "") + span["name"] for span in spans]
    wide = min(max(map(len, names)), NAME_MAX)
    if width is None:
        notes = max(len(span.get("note", "")) for span in spans)
        width = max(BAR_MIN, min(BAR_MAX, console.width - wide - notes - 17))
    begin = min(span["start_ms"] for span in spans)
    end = max(span["start_ms"] + span["duration_us"] / 1000 for span in spans)
    scale = width / max(end - begin, 0.001)
    for name, span in zip(names, spans, strict=True):
        left = min(int((span["start_ms"] - begin) * scale), width - 1)
        length = max(1, min(width - left, round(span["duration_us"] / 1000 * scale)))
        failed = not span.get("ok", True)
        colour = "red" if failed else COLOURS.get(span["name"].partition(" ")[0], OTHER_COLOUR)
        shown = name if len(name) <= wide else name[: wide - 1] + "…"
        line = Text.assemble(
            f"{shown:{wide}} ", ("·" * left, "dim"), ("█" * length, colour), ("·" * (width - left - length), "dim"),
            f"{span['duration_us'] / 1000:9.2f} ms  ", (span.get("note", ""), "dim"), ("  failed" if failed else "", "red"),
        )  # fmt: skip
        line.rstrip()
        console.print(line, soft_wrap=True)


def _amount(text: str) -> str:
    return f"{Decimal(text):.{AMOUNT_DECIMALS}f}"


def _wide(table: Table) -> None:
    """In a file lines may be as long as they are."""
    Console(file=sys.stdout, width=200, highlight=False).print(table)
