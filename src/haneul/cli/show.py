"""How the command line shows things: tables and colours in a terminal, tab-separated text in a pipe, JSON on request."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console()
errors = Console(stderr=True)


def rows(title: str, columns: Sequence[str], lines: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table; columns named in `right` are aligned to the right."""
    if not sys.stdout.isatty():
        print("\t".join(columns))
        for line in lines:
            print("\t".join(str(cell) for cell in line))
        return
    table = Table(title=title, title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for line in lines:
        table.add_row(*(str(cell) for cell in line))
    console.print(table)


def as_json(value: Any) -> None:
    """For programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def waterfall(spans: Sequence[dict[str, Any]], *, width: int = 48) -> None:
    """Spans of one trace as bars over a shared time axis; each has name, depth, start_ms, duration_us, note."""
    if not spans:
        return
    begin = min(span["start_ms"] for span in spans)
    end = max(span["start_ms"] + span["duration_us"] / 1000 for span in spans)
    scale = width / max(end - begin, 0.001)
    for span in spans:
        left = min(int((span["start_ms"] - begin) * scale), width - 1)
        length = max(1, min(width - left, round(span["duration_us"] / 1000 * scale)))
        bar = "·" * left + "█" * length + "·" * (width - left - length)
        name = ("  " * span["depth"] + span["name"])[:38]
        failed = "" if span.get("ok", True) else "  failed"
        print(f"{name:38} {bar} {span['duration_us'] / 1000:9.2f} ms  {span.get('note', '')}{failed}".rstrip())
