"""Everything generated, by its GraphQL name.

The generated classes live in this module's namespace, so that their annotations can name each other as
strings before they exist; strawberry resolves them when the schema is built. `NODES` maps a model to what
was generated for it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import strawberry
from django.db import models
from strawberry import ID
from strawberry.file_uploads import Upload

from config.graphql.scalars import Cursor, DateTime, Map, SSOAuthorizationMap, Time

if TYPE_CHECKING:
    from config.graphql.nodes import NodeType

__all__ = [
    "ID",
    "NODES",
    "Cursor",
    "DateTime",
    "Map",
    "Node",
    "PageInfo",
    "SSOAuthorizationMap",
    "Time",
    "Upload",
    "add",
]

NODES: dict[type[models.Model], NodeType] = {}

T = TypeVar("T", bound=type)


def add(generated: T) -> T:
    """Let others refer to a generated class by its name."""
    globals()[generated.__name__] = generated
    return generated


def add_type(name: str, annotations: Mapping[str, str]) -> type:
    """An object type. `annotations`: attribute -> name of its type."""
    body = {"__module__": __name__, "__annotations__": dict(annotations)}
    return add(strawberry.type(type(name, (), body), name=name))


def add_input(name: str, annotations: Mapping[str, str], **defaults: Any) -> Any:
    """An input type. What may be null may be absent, and is then UNSET."""
    optional = {key: strawberry.UNSET for key, kind in annotations.items() if kind.endswith("| None")}
    body = {"__module__": __name__, "__annotations__": dict(annotations), **optional, **defaults}
    return add(strawberry.input(type(name, (), body), name=name))


def add_enum(name: str, values: Mapping[str, str]) -> type[enum.Enum]:
    """An enum. `values`: name on the wire -> value."""
    made: Any = enum.Enum(name, dict(values))  # type: ignore[misc]
    return add(strawberry.enum(made, name=name))  # type: ignore[no-any-return]


@strawberry.interface(description="Anything with an id")
class Node:
    id: ID


@strawberry.type(description="Where a page lies in its connection")
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: Cursor | None
    end_cursor: Cursor | None


@add
@strawberry.enum(name="OrderDirection")
class OrderDirection(enum.Enum):
    ASC = "ASC"
    DESC = "DESC"
