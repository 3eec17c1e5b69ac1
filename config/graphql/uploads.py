"""Files of a request, by the GraphQL multipart convention.

`operations` is the request as JSON, with null where a file goes; `map` names the places of each file; the
files follow, each under its name in `map`. Neighbours: view.py (the parts), table.py (a CSV).
"""

from __future__ import annotations

import re
from typing import Any

from django.utils.datastructures import MultiValueDict


class Misplaced(ValueError):
    """Operations, map and files do not fit together. The message says how."""


def place(operations: dict[str, Any], places: dict[str, Any], files: MultiValueDict[str, Any]) -> None:
    """Put each file where the map says, into `operations` itself. Raises Misplaced."""
    for name in {*places, *files}:
        count = len(files.getlist(name)) if name in places else 0
        if count != 1:
            raise Misplaced(
                f'"map" and the files differ: each of them comes once in both, and {name!r} does not.'
            )
    for name, paths in places.items():
        if not isinstance(paths, list) or not paths:
            raise Misplaced(f'"map" must list the places of {name!r}, such as ["variables.input"].')
        for path in paths:
            _put(operations, path, files[name])


def _put(operations: dict[str, Any], path: Any, file: Any) -> None:
    """Raises Misplaced."""
    try:
        first, *way, last = path.split(".")
        if first != "variables":
            raise ValueError
        target = operations[first]
        for step in way:
            target = target[_key(target, step)]
        key = _key(target, last)
        if target[key] is not None:
            raise ValueError
        target[key] = file
    except (AttributeError, LookupError, TypeError, ValueError):
        raise Misplaced(
            f'"map" names a place that is not there, or is not null: {str(path)[:80]!r}.'
        ) from None


def _key(target: Any, step: str) -> Any:
    return int(step) if isinstance(target, list) else step


def hold(files: MultiValueDict[str, Any], secret: re.Pattern[str]) -> bool:
    """Whether a file holds what belongs in a header alone. Small: view.py has counted its bytes."""
    return any(secret.search(_text(file)) for _, each in files.lists() for file in each)


def _text(file: Any) -> str:
    """Whatever its encoding: a token is ASCII."""
    text = file.read().decode("latin-1")
    file.seek(0)
    return str(text)
