"""`node` and `nodes`: any visible thing by its id, whatever it is.

One SELECT over all types finds what has these ids, then one per type loads what is asked of it. A type is
looked through when the caller holds the scope that its own root field asks for, and by `visible_to` as ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import strawberry
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import IntegerField, Value
from graphql import GraphQLError
from strawberry.types.info import Info

from config.graphql import registry, selection
from config.graphql.errors import BAD_REQUEST
from config.graphql.nodes import NodeType
from config.graphql.policy import authenticated
from config.graphql.registry import NODES
from config.graphql.scalars import NIL, as_id

MOST = 100
"""Ids of one field."""


class Node:
    class DoesNotExist(ObjectDoesNotExist):
        """Nothing visible has this id."""


def _found(info: Info, keys: Iterable[str]) -> dict[UUID, Any]:
    """Id -> row, of all that is there to see, with what the fragments on its own type select."""
    raw, principal = info._raw_info, info.context.principal
    found: dict[UUID, Any] = {}
    for node, ids in _sorted(principal, {as_id(key) for key in keys} - {NIL}):
        rows = node.visible_to(principal).filter(pk__in=ids)
        found |= {row.pk: row for row in selection.many(raw, node, raw.field_nodes, rows, principal)}
    return found


def _sorted(principal: Any, keys: Collection[UUID]) -> list[tuple[NodeType, list[UUID]]]:
    """Those of the ids that are visible rows, by their type."""
    nodes = [node for node in NODES.values() if node.is_open_to(principal)]
    visible = [
        node.visible_to(principal)
        .filter(pk__in=keys)
        .order_by()
        .annotate(kind=Value(number, IntegerField()))
        .values_list("kind", "pk")
        for number, node in enumerate(nodes)
    ]
    found: dict[int, list[UUID]] = {}
    for number, key in visible[0].union(*visible[1:], all=True) if keys and visible else ():
        found.setdefault(number, []).append(key)
    return [(nodes[number], ids) for number, ids in found.items()]


def node(info: Info, id: strawberry.ID) -> registry.Node | None:  # noqa: A002
    """Raises Node.DoesNotExist."""
    row = _found(info, [id]).get(as_id(id))
    if row is None:
        raise Node.DoesNotExist
    return row  # type: ignore[no-any-return]


def nodes(info: Info, ids: list[strawberry.ID]) -> list[registry.Node | None]:
    """In the order asked for, null for what is not there. Raises GraphQLError for too many."""
    if len(ids) > MOST:
        raise GraphQLError(
            f"At most {MOST} ids at once; these are {len(ids)}. Ask in several requests.",
            extensions={"code": BAD_REQUEST},
        )
    found = _found(info, ids)
    return [found.get(as_id(key)) for key in ids]


@strawberry.type
class Query:
    node: registry.Node | None = strawberry.field(resolver=node, directives=authenticated())
    nodes: list[registry.Node | None] = strawberry.field(resolver=nodes, directives=authenticated())
