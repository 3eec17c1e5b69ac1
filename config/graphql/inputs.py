"""Create and update inputs of a model, and what they say in Python.

Absent is not null and neither is an order to wipe: an absent or null key changes nothing; `clearX` empties,
`x` replaces, `appendX` adds to a list, `addXIDs` and `removeXIDs` change a relation. Keys the server owns
are part of the contract and refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from strawberry import UNSET

from config.graphql import columns, registry
from config.graphql.naming import camel
from config.graphql.nodes import Absent
from config.graphql.registry import NODES
from config.graphql.scalars import as_id


@dataclass(frozen=True)
class Key:
    """A key of an input. `about`: its column or relation. `empty`: makes what clearing leaves there."""

    name: str
    about: str
    kind: str
    is_required: bool = False
    empty: Callable[[], Any] | None = None


def create_input(
    model: type[models.Model],
    fields: Iterable[str],
    *,
    related: Iterable[str] = (),
    reverse: Iterable[str] = (),
    refused: Iterable[str] = (),
    optional: Collection[str] = (),
) -> None:
    """Define `Create<Model>Input`.

    `fields`: columns, and what is absent(). `related`: to-many relations, in the singular (`organization` ->
    `organizationIDs`). `reverse`: the one row that points here (`setting` -> `settingID`).
    `optional`: columns that are never null on the wire and that the service fills when they are left out.
    `refused`: those of them, or of the keys made for them, that are part of the contract and no more.
    """
    node = NODES[model]
    keys = [
        Key(field, field, _kind(model, field), field not in optional and not _is_optional(model, field))
        for field in fields
    ]
    keys += [Key(f"{relation}_ids", relation, "list[ID]") for relation in related]
    keys += [Key(f"{relation}_id", relation, "ID") for relation in reverse]
    _add_input(f"Create{node.name}Input", keys, set(refused))


def update_input(
    model: type[models.Model],
    fields: Iterable[str],
    *,
    related: Iterable[str] = (),
    reverse: Iterable[str] = (),
    refused: Iterable[str] = (),
) -> None:
    """Define `Update<Model>Input`, as create_input(), with the keys that clear, append, add and remove."""
    keys = [key for field in fields for key in _column_changes(model, field)]
    keys += [key for relation in related for key in _relation_changes(relation)]
    keys += [key for relation in reverse for key in _reverse_changes(relation)]
    _add_input(f"Update{NODES[model].name}Input", keys, set(refused))


def verb_input(model: type[models.Model], verb: str, kinds: Mapping[str, str]) -> None:
    """Define `<Verb><Model>Input` of a verb of its own. `kinds`: key -> its type, all of them optional."""
    keys = [Key(name, name, kind) for name, kind in kinds.items()]
    _add_input(f"{verb.title()}{NODES[model].name}Input", keys, set())


def _column_changes(model: type[models.Model], field: str) -> Iterator[Key]:
    kind = _kind(model, field)
    is_list = kind.startswith("list")
    name = next((one.name for one in model._meta.concrete_fields if one.attname == field), field)
    yield Key(field, field, kind)
    if is_list:
        yield Key(f"append_{field}", field, kind)
    if _is_optional(model, field):
        yield Key(f"clear_{name}", field, "bool", empty=list if is_list else NoneType)


def _relation_changes(relation: str) -> Iterator[Key]:
    yield Key(f"add_{relation}_ids", relation, "list[ID]")
    yield Key(f"remove_{relation}_ids", relation, "list[ID]")
    yield Key(f"clear_{relation}s", relation, "bool")


def _reverse_changes(relation: str) -> Iterator[Key]:
    yield Key(f"{relation}_id", relation, "ID")
    yield Key(f"clear_{relation}", relation, "bool", empty=NoneType)


def _kind(model: type[models.Model], field: str) -> str:
    node = NODES[model]
    if isinstance(node.sources.get(field), Absent):
        return node.annotations[field].removesuffix(" | None")
    return columns.type_name(_column(model, field))


def _is_optional(model: type[models.Model], field: str) -> bool:
    """As the wire shows it; a column that is written and never shown, as the model says."""
    node = NODES[model]
    return (
        node.is_optional(field) if field in node.annotations else columns.is_optional(_column(model, field))
    )


def _column(model: type[models.Model], field: str) -> models.Field[Any, Any]:
    return next(one for one in model._meta.concrete_fields if one.attname == field)


def _add_input(name: str, keys: Sequence[Key], refused: set[str]) -> None:
    made = registry.add_input(
        name, {key.name: key.kind + ("" if key.is_required else " | None") for key in keys}
    )
    made.keys = {key.name: key for key in keys}
    made.refused = {key.name for key in keys if refused & {key.name, key.about}}


# --- what was sent -----------------------------------------------------------------------------------


def sent(given: Any) -> dict[str, Any]:
    """Key -> value of all that was sent, ids as UUIDs. Raises ValidationError for what the server owns."""
    values = {
        name: _plain(key, value)
        for name, key in given.keys.items()
        if (value := getattr(given, name)) is not None and value is not UNSET
    }
    owned = sorted(given.refused & values.keys())
    if owned:
        raise ValidationError(
            {name: f"{camel(name)} is the server's to set. Leave it out." for name in owned}
        )
    return values


def changes(given: Any) -> dict[str, Any]:
    """What an update input asks for: `{column: value}`, with None or [] for what is to be cleared.

    Lists that are appended to and relations keep their own keys (`append_scopes`, `add_organization_ids`).
    Raises ValidationError as sent(), and for keys that contradict each other.
    """
    values = {name: value for name, value in sent(given).items() if value or not name.startswith("clear_")}
    keys = [given.keys[name] for name in values]
    _refuse_contradictions(keys)
    return {
        **{key.name: values[key.name] for key in keys if key.empty is None},
        **{key.about: key.empty() for key in keys if key.empty is not None},
    }


def with_appended(record: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Changes for a service that takes whole lists: `append_x` as the whole of x."""
    answer = {name: value for name, value in changes.items() if not name.startswith("append_")}
    for name in changes.keys() - answer.keys():
        column = name.removeprefix("append_")
        known = getattr(record, column)
        answer[column] = [*known, *(one for one in changes[name] if one not in known)]
    return answer


def _refuse_contradictions(keys: Iterable[Key]) -> None:
    """One thing is changed in one way; only what is added and what is removed may go together."""
    ways: dict[str, list[str]] = {}
    for key in keys:
        ways.setdefault(key.about, []).append(key.name)
    for names in ways.values():
        if len(names) > 1 and not all(name.startswith(("add_", "remove_")) for name in names):
            message = f"Send one of {', '.join(map(camel, names))}, not several."
            raise ValidationError(dict.fromkeys(names, message))


def _plain(key: Key, value: Any) -> Any:
    if key.kind == "ID":
        return as_id(value)
    if key.kind == "list[ID]":
        return [as_id(one) for one in value]
    return getattr(value, "value", value)
