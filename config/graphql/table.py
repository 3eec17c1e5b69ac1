"""A CSV file as rows of an input: the header names the keys, as the schema spells them.

UTF-8, with or without a byte order mark. An empty cell is an absent key. Lists are written as a JSON array,
or separated by semicolons. Rows are counted as a spreadsheet does: the header is row 1, and a row is one row
however many lines its cells have. Neighbours: uploads.py (where the file comes from), bulk.py.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from graphql import GraphQLError

from config.graphql import registry
from config.graphql.inputs import Key
from config.graphql.naming import camel
from config.graphql.scalars import parse_time

MOST_BYTES = 1_048_576


@dataclass(frozen=True)
class Table:
    """`header`: the key of each column. `rows`: number of a row -> its cells, as they stand there."""

    header: Sequence[str]
    rows: Mapping[int, Sequence[str]]

    def row(self, number: int) -> dict[str, str]:
        """Key -> cell, of those that hold something. Raises ValidationError for a row of another width."""
        cells = self.rows[number]
        if len(cells) != len(self.header):
            raise ValidationError(f"The row has {len(cells)} cells where the header has {len(self.header)}.")
        return {name: cell for name, cell in zip(self.header, cells, strict=True) if cell != ""}


def read(file: Any, keys: Mapping[str, Key], most: int, also: Iterable[str] = ()) -> Table:
    """The file as a table of these keys, and of columns that must be there `also`.

    Raises ValidationError for what is no such table. The cells are still to be read: see given().
    """
    names = {name: name for name in also} | {camel(name): name for name in keys}
    required = [*also, *(camel(name) for name, key in keys.items() if key.is_required)]
    lines = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        _require_known(header, names, required)
        rows = dict(_first(lines, most))
    except csv.Error as fault:
        raise ValidationError({"input": f"Line {lines.line_num} is not CSV: {fault}."}) from fault
    return Table([names[name] for name in header], rows)


def _first(lines: Iterator[list[str]], most: int) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its number. Raises ValidationError for more than `most` of them."""
    count = 0
    for number, cells in enumerate(lines, start=2):
        if any(cell.strip() for cell in cells):
            count += 1
            if count > most:
                raise ValidationError({"input": f"The file has more than {most} rows. Send it in parts."})
            yield number, cells


def _text(file: Any) -> str:
    if not isinstance(file, UploadedFile):
        raise ValidationError({"input": "Send a file, by the GraphQL multipart convention."})
    size = file.size or 0
    if size > MOST_BYTES:
        raise ValidationError({"input": f"The file has {size} bytes; {MOST_BYTES} is the most."})
    file.seek(0)  # an earlier field of the same request may have read it
    try:
        text: str = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ValidationError({"input": f"The file is not UTF-8 at byte {fault.start}."}) from fault
    if "\0" in text:
        raise ValidationError({"input": "The file holds a NUL. Is it CSV?"})
    return text


def _require_known(header: Sequence[str], names: Mapping[str, str], required: Iterable[str]) -> None:
    """Raises ValidationError for a header that is empty, repeats itself, lacks a key, or names none."""
    known = f"The columns are: {', '.join(sorted(names))}."
    if not any(header):
        raise ValidationError({"input": f"The first row must name the columns. {known}"})
    for name in header:
        if name not in names:
            raise ValidationError({"input": f"Unknown column {name[:80]!r}. {known}"})
        if header.count(name) > 1:
            raise ValidationError({"input": f"The column {name} is there twice."})
    for name in required:
        if name not in header:
            raise ValidationError({"input": f"The column {name} is missing."})


def given(kind: Any, row: Mapping[str, str]) -> Any:
    """An instance of an input type out of a row's cells. Raises ValidationError by key."""
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, cell in row.items():
        try:
            values[name] = _value(kind.keys[name].kind, cell)
        except (ValueError, GraphQLError) as fault:
            faults[name] = str(fault)
    missing = [name for name, key in kind.keys.items() if key.is_required and name not in row]
    faults |= dict.fromkeys(missing, "This column needs a value.")
    if faults:
        raise ValidationError(faults)
    return kind(**values)


def _value(kind: str, cell: str) -> Any:
    """A cell as its kind. Raises ValueError, GraphQLError."""
    if kind.startswith("list"):
        return _list(cell)
    if kind == "bool":
        return _bool(cell)
    if kind == "int":
        return int(cell)
    if kind == "Time":
        return parse_time(cell)
    if kind in ("str", "ID"):
        return cell
    members = vars(registry)[kind].__members__
    if cell not in members:
        raise ValueError(f"Give one of {', '.join(members)}.")
    return members[cell]


def _list(cell: str) -> list[str]:
    """Raises ValueError, also for what JSON can smuggle in and no database stores: NUL, half a character."""
    if not cell.lstrip().startswith("["):
        return [one.strip() for one in cell.split(";") if one.strip()]
    try:
        found = json.loads(cell)
        if all(isinstance(one, str) and b"\0" not in one.encode() for one in found):
            return list(found)
    except (ValueError, RecursionError):
        pass
    raise ValueError("Give a JSON array of strings, or values separated by semicolons.")


def _bool(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise ValueError("Give true or false.")
    return cell.lower() == "true"
