"""Root fields that write: create, update, delete. Each translates, calls one service, and reads back.

The answer is re-read through the type's own queryset, so that it shows what a query would show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import strawberry
from django.db import models
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from config.graphql import inputs, registry, selection
from config.graphql.naming import camel, snake
from config.graphql.nodes import NodeType
from config.graphql.policy import scope_in
from config.graphql.registry import NODES
from config.graphql.scalars import as_id

Service = Callable[..., Any]


def create(
    model: type[models.Model],
    service: Service,
    *,
    after: Callable[[Info, Any], None] = lambda info, made: None,
    **options: Any,
) -> StrawberryField:
    """`create<Model>(input)`: `service(principal, given)` answers the new instance.

    `after` may tell the rest of the request what the new instance changes for the caller.
    """
    node = NODES[model]
    payload = _payload(node, "Create")

    def resolver(info: Info, input: Any) -> Any:  # noqa: A002 (the contract's name)
        made = service(info.context.principal, inputs.sent(input))
        after(info, made)
        return payload(**read_back(info, node, made))

    return root_field(resolver, {"input": f"Create{node.name}Input"}, payload, options)


def update(model: type[models.Model], service: Service, **options: Any) -> StrawberryField:
    """`update<Model>(id, input)`: `service(principal, instance, changes)` answers the changed instance."""
    node = NODES[model]
    payload = _payload(node, "Update")

    def resolver(info: Info, id: str, input: Any) -> Any:  # noqa: A002
        principal = info.context.principal
        instance = node.visible_to(principal).get(pk=as_id(id))
        changed = service(principal, instance, inputs.changes(input))
        return payload(**read_back(info, node, changed))

    return root_field(resolver, {"id": "ID", "input": f"Update{node.name}Input"}, payload, options)


def act(model: type[models.Model], verb: str, service: Service, **options: Any) -> StrawberryField:
    """`<verb><Model>(id, input: <Verb><Model>Input!)`: `service(principal, instance, given)` answers what is
    to be shown, of the same type."""
    node = NODES[model]
    payload = _payload(node, verb.title())

    def resolver(info: Info, id: str, input: Any) -> Any:  # noqa: A002
        principal = info.context.principal
        instance = node.visible_to(principal).get(pk=as_id(id))
        return payload(**read_back(info, node, service(principal, instance, inputs.sent(input))))

    return root_field(resolver, {"id": "ID", "input": f"{verb.title()}{node.name}Input"}, payload, options)


def delete(model: type[models.Model], service: Service, **options: Any) -> StrawberryField:
    """`delete<Model>(id)`: `service(principal, instance)`."""
    node = NODES[model]
    payload = registry.add_type(f"{node.name}DeletePayload", {"deleted_id": "ID"})

    def resolver(info: Info, id: str) -> Any:  # noqa: A002
        principal = info.context.principal
        instance = node.visible_to(principal).get(pk=as_id(id))
        deleted = instance.pk
        service(principal, instance)
        return payload(deleted_id=str(deleted))

    return root_field(resolver, {"id": "ID"}, payload, options)


def single(model: type[models.Model], **options: Any) -> StrawberryField:
    """`<model>(id)`: one visible row. A read, at home here beside its siblings by id."""
    node = NODES[model]
    node.scope = scope_in(options.get("directives", ()))

    def resolver(info: Info, id: str) -> Any:  # noqa: A002
        raw, principal = info._raw_info, info.context.principal
        rows = node.visible_to(principal).filter(pk=as_id(id))
        return selection.one(raw, node, raw.field_nodes, rows, principal)

    return root_field(resolver, {"id": "ID"}, node.name, options)


def _payload(node: NodeType, verb: str) -> Any:
    return registry.add_type(f"{node.name}{verb}Payload", {snake(node.name): node.name})


def read_back(info: Info, node: NodeType, written: Any) -> dict[str, Any]:
    """The payload's one field, with the row as a query would show it."""
    raw, principal = info._raw_info, info.context.principal
    nodes = selection.below(raw, raw.field_nodes, camel(snake(node.name)))
    rows = node.visible_to(principal).filter(pk=written.pk)
    row = selection.one(raw, node, nodes, rows, principal)
    node.carry(written, row)
    return {snake(node.name): row}


def root_field(
    resolver: Any, arguments: dict[str, str], answer: type | str, options: dict[str, Any]
) -> StrawberryField:
    """A field whose arguments and answer are named as registry.py has them."""
    answer = answer if isinstance(answer, str) else answer.__name__
    resolver.__module__ = registry.__name__
    resolver.__annotations__ = {"info": Info, **arguments, "return": answer}
    return strawberry.field(resolver=resolver, **options)  # type: ignore[no-any-return]
