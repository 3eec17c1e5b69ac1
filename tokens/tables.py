"""Rows as people and machines read them: a plain-text table, CSV, one JSON object. All of them stream.

Neighbours: console.py, whose commands print them; selection.py, which says what a token's row is.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

MEASURED_ROWS = 500
"""So many rows decide how wide the columns are; a longer cell further down pushes its neighbours."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def text(
    headings: Sequence[str], rows: Iterable[Sequence[Any]], like: Sequence[Any] | None = None
) -> Iterator[str]:
    """The lines of a table: numbers to the right, everything else to the left.

    `like`: a row as wide as any, so that no row waits for others to be measured.
    """
    rest = iter(rows)
    measured = list(islice(rest, MEASURED_ROWS)) if like is None else [like]
    widths = [max(map(len, column)) for column in zip(headings, *map(_shown, measured), strict=True)]
    is_number = [isinstance(cell, int) for cell in measured[0]] if measured else [False] * len(headings)
    for row in chain([headings], measured if like is None else (), rest):
        cells = zip(_shown(row), widths, is_number, strict=True)
        line = "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells)
        yield line.rstrip()


def _shown(row: Sequence[Any]) -> list[str]:
    return [_cell(value) for value in row]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
    if isinstance(value, list | tuple):
        value = " ".join(value) or "-"
    # A control character in an old row must not move a terminal's cursor.
    return "".join(character if character.isprintable() else "�" for character in str(value))


def short(value: str, longest: int = 40) -> str:
    """Cut to fit a column."""
    return value if len(value) <= longest else f"{value[: longest - 1]}…"


def comma_separated(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of a CSV file (RFC 4180), none of whose cells is a formula to a spreadsheet."""
    for row in chain([headings], rows):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([without_formula(cell) for cell in row])
        yield line.getvalue()


def without_formula(cell: Any) -> str:
    """Spreadsheets run what starts like a formula; an apostrophe makes it text (OWASP, CSV injection)."""
    shown = "" if cell is None else str(cell)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown


def json_object(content: Any) -> str:
    return json.dumps(content, cls=DjangoJSONEncoder, indent=2)


def json_list(
    before: Mapping[str, Any],
    name: str,
    items: Iterable[Any],
    after: Callable[[], Mapping[str, Any]],
) -> Iterator[str]:
    """The pieces of `{...before, name: [items, one a line], ...after}`; `after` is asked at the end."""
    head = "".join(f"{_dumped(key)}: {_dumped(value)}, " for key, value in before.items())
    yield f"{{{head}{_dumped(name)}: ["
    separator = "\n"
    for item in items:
        yield separator + _dumped(item)
        separator = ",\n"
    yield "]" + "".join(f", {_dumped(key)}: {_dumped(value)}" for key, value in after().items()) + "}\n"


def _dumped(content: Any) -> str:
    return json.dumps(content, cls=DjangoJSONEncoder)
