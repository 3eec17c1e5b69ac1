"""Create and update inputs of a model, and what they say in Python.

Absent is not null and neither is an order to wipe: an absent or null key changes nothing; `clearX` empties,
`x` replaces, `appendX` adds to a list, `addXIDs` and `removeXIDs` change a relation. Keys the server owns
are part of the contract and refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import strawberry
from django.core.exceptions import ValidationError
from django.db import models

from config.graphql import columns, registry
from config.graphql.generate import NODES, _input, as_id
from config.graphql.naming import camel


def create_input(
    model: type[models.Model],
    fields: Iterable[str],
    *,
    refused: Iterable[str] = (),
    related: Mapping[str, type[models.Model]] | None = None,
) -> str:
    """Define `Create<Model>Input`; returns its name.

    `fields`: writable columns. `refused`: columns, or `name: annotation` pairs, that the server owns.
    `related`: to-many relations, named in the singular (`organization` -> `organizationIDs`).
    """
    name = f"Create{NODES[model].name}Input"
    entries: dict[str, tuple[str, str]] = {}
    for column in (*fields, *refused):
        field = _column(model, column)
        optional = columns.is_optional(field) or isinstance(field, models.ForeignKey) or column in refused
        entries[field.attname] = (
            camel(field.attname),
            columns.type_name(field) + (" | None" if optional else ""),
        )
    for relation in related or {}:
        entries[f"{relation}_ids"] = (camel(f"{relation}_ids"), "list[ID] | None")
    made = _input(name, entries)
    made.refused = tuple(_column(model, column).attname for column in refused)
    made.related = dict(related or {})
    return name


def update_input(
    model: type[models.Model],
    fields: Iterable[str],
    *,
    refused: Iterable[str] = (),
    related: Mapping[str, type[models.Model]] | None = None,
) -> str:
    """Define `Update<Model>Input`, as create_input, with the keys that clear, append, add and remove."""
    name = f"Update{NODES[model].name}Input"
    entries: dict[str, tuple[str, str]] = {}
    blocked: list[str] = []
    for column in (*fields, *refused):
        field = _column(model, column)
        kind = columns.type_name(field)
        keys = {field.attname: f"{kind} | None"}
        if columns.is_list(field):
            keys[f"append_{column}"] = f"{kind} | None"
        if columns.is_optional(field) or isinstance(field, models.ForeignKey):
            keys[f"clear_{column.removesuffix('_id')}"] = "bool | None"
        entries |= {key: (camel(key), annotation) for key, annotation in keys.items()}
        if column in refused:
            blocked += keys
    for relation in related or {}:
        entries[f"add_{relation}_ids"] = (camel(f"add_{relation}_ids"), "list[ID] | None")
        entries[f"remove_{relation}_ids"] = (camel(f"remove_{relation}_ids"), "list[ID] | None")
        entries[f"clear_{relation}s"] = (camel(f"clear_{relation}s"), "bool | None")
    made = _input(name, entries)
    made.refused = tuple(blocked)
    made.related = dict(related or {})
    return name


def _column(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    for field in model._meta.concrete_fields:
        if name in (field.name, field.attname):
            return field
    raise LookupError(f"{model.__name__} has no column {name}")


def sent(given: Any) -> dict[str, Any]:
    """Attribute -> value of every key that was sent with a value. Raises ValidationError for refused ones.

    Ids become UUIDs; enums become their values.
    """
    values = {
        key: value
        for key, value in vars(given).items()
        if value is not None and value is not strawberry.UNSET
    }
    owned = [key for key in given.refused if key in values]
    if owned:
        raise ValidationError({key: f"{camel(key)} is set by the server. Leave it out." for key in owned})
    return {key: _plain(key, value) for key, value in values.items()}


def changes(given: Any) -> dict[str, Any]:
    """What an update input asks for: `{column: value}`, with None or [] for what is to be cleared.

    Lists that are appended to and relations keep their own keys (`append_scopes`, `add_organization_ids`).
    Raises ValidationError for refused keys, and for two keys that contradict each other.
    """
    values = sent(given)
    answer = {key: value for key, value in values.items() if not key.startswith("clear_")}
    for key in [key for key, value in values.items() if key.startswith("clear_") and value]:
        column = key.removeprefix("clear_")
        _refuse_both(answer, key, column, f"append_{column}", f"add_{column.removesuffix('s')}_ids")
        answer[key if column.removesuffix("s") in given.related else column] = _empty(given, column)
    for key in [key for key in answer if key.startswith("append_")]:
        _refuse_both(answer, key, key.removeprefix("append_"))
    return answer


def _refuse_both(answer: Mapping[str, Any], key: str, *others: str) -> None:
    for other in others:
        if other in answer:
            raise ValidationError({key: f"Send {camel(key)} or {camel(other)}, not both."})


def _empty(given: Any, column: str) -> Any:
    return [] if f"append_{column}" in vars(given) else None


def _plain(key: str, value: Any) -> Any:
    if key.endswith("_ids"):
        return [as_id(one) for one in value]
    if key.endswith("_id"):
        return as_id(value)
    return getattr(value, "value", value)


def annotation(name: str) -> Any:
    return vars(registry)[name]
