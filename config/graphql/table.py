"""A CSV file as rows of an input: the header names the keys, as the schema spells them.

UTF-8, with or without a byte order mark. An empty cell is an absent key. Lists are a JSON array, or are
separated by semicolons. Rows are counted as a spreadsheet does: the header is row 1.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from graphql import GraphQLError

from config.graphql import registry
from config.graphql.inputs import Key
from config.graphql.naming import camel
from config.graphql.scalars import parse_time

MOST_BYTES = 1_048_576


def read(
    file: Any, keys: Mapping[str, Key], most: int, also: Iterable[str] = ()
) -> dict[int, dict[str, str]]:
    """Row number -> {key: cell}. Raises ValidationError for what is no such table."""
    names = {camel(name): name for name in keys} | {name: name for name in also}
    lines = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        _require_known(header, names)
        rows = {number: row for number, row in enumerate(lines, start=2) if any(cell.strip() for cell in row)}
    except csv.Error as fault:
        raise ValidationError({"input": f"This is not CSV: {fault}."}) from fault
    if len(rows) > most:
        raise ValidationError(
            {"input": f"At most {most} rows at once; these are {len(rows)}. Send them in parts."}
        )
    wide = [number for number, row in rows.items() if len(row) != len(header)]
    if wide:
        raise ValidationError(
            {"input": f"Row {wide[0]} has {len(rows[wide[0]])} cells where the header has {len(header)}."}
        )
    return {
        number: {names[name]: cell for name, cell in zip(header, row, strict=True) if cell != ""}
        for number, row in rows.items()
    }


def _text(file: Any) -> str:
    if not isinstance(file, UploadedFile):
        raise ValidationError({"input": "Send a file, by the GraphQL multipart convention."})
    size = file.size or 0
    if size > MOST_BYTES:
        raise ValidationError({"input": f"The file has {size} bytes; {MOST_BYTES} is the most."})
    try:
        text: str = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ValidationError({"input": f"The file is not UTF-8 at byte {fault.start}."}) from fault
    if "\0" in text:
        raise ValidationError({"input": "The file holds a NUL. Is it CSV?"})
    return text


def _require_known(header: list[str], names: Mapping[str, str]) -> None:
    """Raises ValidationError for a header that is empty, repeats itself, or names no key."""
    if not any(header):
        raise ValidationError({"input": "The file is empty. The first row names the columns."})
    unknown = [name for name in header if name not in names]
    if unknown:
        raise ValidationError(
            {"input": f"Unknown column {unknown[0][:80]!r}. The columns are: {', '.join(sorted(names))}."}
        )
    if len(set(header)) < len(header):
        raise ValidationError({"input": "A column is there twice."})


def given(kind: Any, row: Mapping[str, str]) -> Any:
    """An instance of an input type out of a row's cells. Raises ValidationError by key."""
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, cell in row.items():
        try:
            values[name] = _value(kind.keys[name].kind, cell)
        except (ValueError, GraphQLError) as fault:
            faults[name] = str(fault)
    missing = [name for name, key in kind.keys.items() if key.is_required and name not in values]
    faults |= {name: "This column needs a value." for name in missing if name not in faults}
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
    if not cell.lstrip().startswith("["):
        return [one.strip() for one in cell.split(";") if one.strip()]
    found = json.loads(cell)
    if not all(isinstance(one, str) for one in found):
        raise ValueError("Give a JSON array of strings, or values separated by semicolons.")
    return list(found)


def _bool(cell: str) -> bool:
    if cell.lower() not in ("true", "false"):
        raise ValueError("Give true or false.")
    return cell.lower() == "true"
