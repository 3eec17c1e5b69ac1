"""What a model field is on the wire: its GraphQL type, whether it can be null, which predicates it has."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.db import models
from django.db.models import Q

from config.graphql import (
    lookups,  # noqa: F401 (registers them)
    registry,
)
from config.graphql.scalars import as_id

_TYPES: tuple[tuple[type[models.Field[Any, Any]], str], ...] = (
    (models.ForeignKey, "ID"),
    (models.UUIDField, "ID"),
    (models.JSONField, "Map"),
    (models.BooleanField, "bool"),
    (models.DateTimeField, "Time"),
    (models.IntegerField, "int"),
    (models.CharField, "str"),
    (models.TextField, "str"),
)
_ENUM_NAME = re.compile(r"[A-Z][A-Z0-9_]*")

ENUMS: dict[Any, str] = {}
"""Column -> name of its enum, where that is not made of the names of model and column."""


def type_name(column: models.Field[Any, Any]) -> str:
    """The annotation of a column, as a name of registry.py: `str`, `ID`, `list[str]`, an enum."""
    if is_list(column):
        return "list[str]"
    values = [value for value, _ in column.choices or ()]
    if values and all(_ENUM_NAME.fullmatch(value) for value in values):
        return _enum(column, values)
    for kind, name in _TYPES:
        if isinstance(column, kind):
            return name
    raise TypeError(f"{column} has no GraphQL type; name one in columns.py.")


def is_list(column: models.Field[Any, Any]) -> bool:
    return isinstance(column, models.JSONField) and column.default is list


def is_optional(column: models.Field[Any, Any]) -> bool:
    """Null on the wire, and not required in an input: whatever may be left out when a row is made."""
    return not column.primary_key and (column.null or column.blank or column.has_default())


def path(column: models.Field[Any, Any]) -> str:
    """How a query names a column. Of a foreign key: the key itself, which has the predicates of an id."""
    return f"{column.name}__pk" if isinstance(column, models.ForeignKey) else column.attname


def _enum(column: models.Field[Any, Any], values: list[str]) -> str:
    words = (word.title() for word in column.name.split("_"))
    name = ENUMS.get(column) or f"{column.model.__name__}{''.join(words)}"
    if name not in vars(registry):
        registry.add_enum(name, {value: value for value in values})
    return name


def is_enum(name: str) -> bool:
    return isinstance(getattr(registry, name, None), enum.EnumType)


# --- predicates ------------------------------------------------------------------------------------
# suffix on the wire -> (type of the value, Q for a lookup path and a value)

Predicate = Callable[[str, Any], Q]


def _lookup(name: str) -> Predicate:
    return lambda path, value: Q(**{f"{path}__{name}": value})


def _unlike(name: str) -> Predicate:
    """SQL's own reading of `<>`: a null is not unlike anything."""
    return lambda path, value: ~Q(**{f"{path}__{name}": value}) & Q(**{f"{path}__isnull": False})


def _reading(read: Callable[[Any], Any], predicate: Predicate) -> Predicate:
    """The predicate, for values the column has another word for."""
    return lambda path, value: predicate(
        path, [read(one) for one in value] if isinstance(value, list) else read(value)
    )


def _null(is_null: bool) -> Predicate:
    return lambda path, value: Q(**{f"{path}__isnull": is_null}) if value else Q()


_EQUAL: dict[str, Predicate] = {"": _lookup("exact"), "NEQ": _unlike("exact")}
_ANY: dict[str, Predicate] = {"In": _lookup("in"), "NotIn": _unlike("in")}
_ORDER: dict[str, Predicate] = {
    "GT": _lookup("gt"),
    "GTE": _lookup("gte"),
    "LT": _lookup("lt"),
    "LTE": _lookup("lte"),
}
_TEXT: dict[str, Predicate] = {
    "Contains": _lookup("has_substring"),
    "HasPrefix": _lookup("has_prefix"),
    "HasSuffix": _lookup("has_suffix"),
}
_FOLD: dict[str, Predicate] = {"EqualFold": _lookup("iexact"), "ContainsFold": _lookup("icontains")}
_NIL: dict[str, Predicate] = {"IsNil": _null(True), "NotNil": _null(False)}


def predicates(column: models.Field[Any, Any], is_optional: bool) -> dict[str, tuple[str, Predicate]]:
    """Suffix -> (annotation of the value, predicate). The first one has no suffix: equality."""
    return predicates_of(type_name(column), is_optional, is_key=isinstance(column, models.ForeignKey))


def predicates_of(name: str, is_optional: bool, *, is_key: bool = False) -> dict[str, tuple[str, Predicate]]:
    """As predicates(), of whatever has this type. `is_key`: an id of another row, which is text, too."""
    if name.startswith("list"):
        return {"Has": ("str", _lookup("has"))}
    if name == "Map":
        return {}
    found = dict(_EQUAL)
    if name != "bool":
        found |= _ANY
    if name in ("ID", "str", "Time", "DateTime", "int"):
        found |= _ORDER
    if name == "ID":
        found = {suffix: _reading(as_id, predicate) for suffix, predicate in found.items()}
    if is_enum(name):
        found = {suffix: _reading(attrgetter("value"), predicate) for suffix, predicate in found.items()}
    if name == "str" or is_key:
        found |= _TEXT
    if name in ("str", "ID"):
        found |= _FOLD
    answer = {
        suffix: (f"list[{name}]" if suffix in _ANY else name, predicate)
        for suffix, predicate in found.items()
    }
    if is_optional:
        answer |= {suffix: ("bool", predicate) for suffix, predicate in _NIL.items()}
    return answer
