"""`node` and `nodes`: any visible thing by its id, whatever it is."""

from __future__ import annotations

from typing import Any

import strawberry
from django.core.exceptions import ObjectDoesNotExist
from strawberry.types.info import Info

from config.graphql import registry, selection
from config.graphql.policy import authenticated
from config.graphql.registry import NODES
from config.graphql.scalars import as_id


class Node:
    class DoesNotExist(ObjectDoesNotExist):
        """Nothing visible has this id."""


def _found(info: Info, key: str) -> Any:
    """The row, with what its own type's fragments select. Raises Node.DoesNotExist."""
    raw, principal = info._raw_info, info.context.principal
    wanted = as_id(key)
    for node in NODES.values():
        rows = node.visible_to(principal).filter(pk=wanted)
        try:
            return selection.one(raw, node, raw.field_nodes, rows, principal)
        except node.model.DoesNotExist:  # type: ignore[attr-defined]
            continue
    raise Node.DoesNotExist


def node(info: Info, id: strawberry.ID) -> registry.Node | None:  # noqa: A002
    return _found(info, id)  # type: ignore[no-any-return]


def nodes(info: Info, ids: list[strawberry.ID]) -> list[registry.Node | None]:
    """In the order asked for, null for what is not there."""
    answer: list[registry.Node | None] = []
    for key in ids[:100]:
        try:
            answer.append(_found(info, key))
        except ObjectDoesNotExist:
            answer.append(None)
    return answer


@strawberry.type
class Query:
    node: registry.Node | None = strawberry.field(resolver=node, directives=authenticated())
    nodes: list[registry.Node | None] = strawberry.field(resolver=nodes, directives=authenticated())
