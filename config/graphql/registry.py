"""Everything generated, by its GraphQL name.

The generated classes live in this module's namespace, so that their annotations can name each other as
strings before they exist; strawberry resolves them when the schema is built. `NODES` maps a model to what
was generated for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import strawberry
from django.db import models
from strawberry import ID

from config.graphql.scalars import Cursor, Map, SSOAuthorizationMap, Time

if TYPE_CHECKING:
    from config.graphql.generate import NodeType

__all__ = ["ID", "NODES", "Cursor", "Map", "Node", "PageInfo", "SSOAuthorizationMap", "Time", "add"]

NODES: dict[type[models.Model], NodeType] = {}


def add(generated: Any) -> Any:
    """Let others refer to a generated class by its name."""
    globals()[generated.__name__] = generated
    return generated


@strawberry.interface(description="Anything with an id")
class Node:
    id: ID


@strawberry.type(description="Where a page lies in its connection")
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: Cursor | None
    end_cursor: Cursor | None
