"""Root fields that write many rows at once, from a list or from a CSV file.

Creating is all or nothing: what is wrong is told by row, and nothing is written. Updating and deleting do
what can be done, row by row, and name the ids that were left. Neighbours: mutations.py, table.py (CSV).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import IntegrityError, models, transaction
from strawberry import UNSET
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from config.graphql import inputs, registry, selection, table
from config.graphql.mutations import Service, root_field
from config.graphql.naming import camel, snake
from config.graphql.nodes import NodeType
from config.graphql.registry import NODES
from config.graphql.scalars import as_id

MOST = 1_000
"""Rows of one call."""

INCOMPLETE = "BULK_ACTION_INCOMPLETELY_APPLIED"

Rows = dict[int, dict[str, Any]]
"""Number of a row, as the caller counts them -> what it says."""

Many = Callable[[Any, Rows], list[Any]]


class InvalidRows(ValidationError):
    """What is wrong with which row, counted as the caller counts them. Nothing was written."""

    def __init__(self, rows: dict[int, ValidationError]) -> None:
        self.rows = rows
        listed = ", ".join(str(row) for row in list(rows)[:20])
        super().__init__(f"Nothing was written: see extensions.rows for what is wrong with rows {listed}.")


def create(model: type[models.Model], service: Many, **options: Any) -> StrawberryField:
    """`createBulk<Model>(input: [...])`: `service(principal, rows)` answers the new instances."""
    node = NODES[model]
    payload = _created(node)

    def resolver(info: Info, input: Any = UNSET) -> Any:  # noqa: A002 (the contract's name)
        rows = each_valid(dict(enumerate(_few(input or []), start=1)), inputs.sent)
        made = service(info.context.principal, rows)
        return payload(**_read_back(info, node, made))

    return root_field(resolver, {"input": f"list[Create{node.name}Input] | None"}, payload, options)


def create_from_csv(model: type[models.Model], service: Many, **options: Any) -> StrawberryField:
    """`createBulkCSV<Model>(input: Upload!)`: the columns are the keys of the create input."""
    node = NODES[model]
    payload = _created(node)

    def resolver(info: Info, input: Any) -> Any:  # noqa: A002
        kind = vars(registry)[f"Create{node.name}Input"]
        rows = each_valid(table.read(input, kind.keys, MOST), lambda row: inputs.sent(table.given(kind, row)))
        made = service(info.context.principal, rows)
        return payload(**_read_back(info, node, made))

    return root_field(resolver, {"input": "Upload"}, payload, options)


def update(model: type[models.Model], service: Service, **options: Any) -> StrawberryField:
    """`updateBulk<Model>(ids, input)`: the same changes to each."""
    node = NODES[model]
    payload = _updated(node)

    def resolver(info: Info, ids: list[str], input: Any) -> Any:  # noqa: A002
        changes = inputs.changes(input)
        return payload(**_apply(info, node, service, [(one, dict(changes)) for one in _few(ids)]))

    return root_field(resolver, {"ids": "list[ID]", "input": f"Update{node.name}Input"}, payload, options)


def update_from_csv(model: type[models.Model], service: Service, **options: Any) -> StrawberryField:
    """`updateBulkCSV<Model>(input: Upload!)`: a column `id`, and keys of the update input."""
    node = NODES[model]
    payload = _updated(node)

    def resolver(info: Info, input: Any) -> Any:  # noqa: A002
        kind = vars(registry)[f"Update{node.name}Input"]
        rows = table.read(input, kind.keys, MOST, also=("id",))
        ids = [row.pop("id", "") for row in rows.values()]
        wanted = each_valid(rows, lambda row: inputs.changes(table.given(kind, row)))
        return payload(**_apply(info, node, service, list(zip(ids, wanted.values(), strict=True))))

    return root_field(resolver, {"input": "Upload"}, payload, options)


def delete(model: type[models.Model], service: Service, **options: Any) -> StrawberryField:
    """`deleteBulk<Model>(ids)`."""
    node = NODES[model]
    payload = registry.add_type(
        f"{node.name}BulkDeletePayload",
        {"deleted_ids": "list[ID]", "not_deleted_ids": "list[ID]", "error": "str | None"},
    )

    def resolver(info: Info, ids: list[str]) -> Any:
        def end(principal: Any, instance: Any, _: Any) -> None:
            service(principal, instance)

        done, left = _each(info, node, end, [(one, None) for one in _few(ids)])
        return payload(deleted_ids=list(done), not_deleted_ids=left, error=INCOMPLETE if left else None)

    return root_field(resolver, {"ids": "list[ID]"}, payload, options)


def one_by_one(service: Callable[[Any, dict[str, Any]], Any]) -> Many:
    """A service for many rows out of one for a single row: all are written, or what is wrong is told."""

    def create_all(principal: Any, rows: Rows) -> list[Any]:
        made, faults = [], {}
        with transaction.atomic():
            for number, given in rows.items():
                try:
                    with transaction.atomic():
                        made.append(service(principal, given))
                except ValidationError as fault:
                    faults[number] = fault
            if faults:
                raise InvalidRows(faults)
        return made

    return create_all


def _created(node: NodeType) -> Any:
    return registry.add_type(f"{node.name}BulkCreatePayload", {_plural(node): f"list[{node.name}] | None"})


def _updated(node: NodeType) -> Any:
    return registry.add_type(
        f"{node.name}BulkUpdatePayload",
        {
            _plural(node): f"list[{node.name}] | None",
            "updated_ids": "list[ID] | None",
            "not_updated_ids": "list[ID]",
            "error": "str | None",
        },
    )


def _plural(node: NodeType) -> str:
    return f"{snake(node.name)}s"


def _few(rows: Sequence[Any]) -> Sequence[Any]:
    """Raises ValidationError for more than one call may write."""
    if len(rows) > MOST:
        raise ValidationError(f"At most {MOST} rows at once; these are {len(rows)}. Send them in parts.")
    return rows


def each_valid(rows: dict[int, Any], read: Callable[[Any], Any]) -> dict[int, Any]:
    """Row number -> what `read` makes of it. Raises InvalidRows with everything that is wrong."""
    found: dict[int, Any] = {}
    faults: dict[int, ValidationError] = {}
    for number, row in rows.items():
        try:
            found[number] = read(row)
        except ValidationError as fault:
            faults[number] = fault
    if faults:
        raise InvalidRows(faults)
    return found


def _apply(info: Info, node: NodeType, service: Service, wanted: list[tuple[str, Any]]) -> dict[str, Any]:
    done, left = _each(info, node, service, wanted)
    return {
        **_read_back(info, node, done.values()),
        "updated_ids": list(done),
        "not_updated_ids": left,
        "error": INCOMPLETE if left else None,
    }


def _each(
    info: Info, node: NodeType, service: Service, wanted: Iterable[tuple[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    """What was done, by id, and the ids that were left: not there, not allowed, or not valid."""
    principal = info.context.principal
    done: dict[str, Any] = {}
    left: list[str] = []
    for key, changes in wanted:
        try:
            with transaction.atomic():
                instance = node.visible_to(principal).get(pk=as_id(key))
                done[key] = service(principal, instance, changes)
        except (ValidationError, ObjectDoesNotExist, PermissionDenied, IntegrityError):
            left.append(key)
    return done, left


def _read_back(info: Info, node: NodeType, written: Iterable[Any]) -> dict[str, Any]:
    """The payload's list, in the order written, as a query would show it."""
    raw, principal = info._raw_info, info.context.principal
    instances = list(written)
    nodes = selection.below(raw, raw.field_nodes, camel(_plural(node)))
    rows = node.visible_to(principal).filter(pk__in=[one.pk for one in instances])
    found = {row.pk: row for row in selection.many(raw, node, nodes, rows, principal)} if nodes else {}
    for one in instances:
        if one.pk in found:
            node.carry(one, found[one.pk])
    return {_plural(node): [found[one.pk] for one in instances if one.pk in found]}
