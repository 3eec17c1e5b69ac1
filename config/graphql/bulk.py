"""Root fields that write many rows at once, from a list or from a CSV file.

Creating is all or nothing: what is wrong is told by row, and nothing is written. Updating and deleting do
what can be done, row by row, and name the ids that were left; of a file only ids may be left, what it says
must be sound. Neighbours: mutations.py (one row), table.py (CSV).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import models, transaction
from strawberry import UNSET
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from config.graphql import errors, inputs, registry, selection, table
from config.graphql.mutations import Service, root_field
from config.graphql.naming import camel, snake
from config.graphql.nodes import NodeType
from config.graphql.registry import NODES
from config.graphql.scalars import NIL, as_id

T = TypeVar("T")

MOST = 1_000
"""Rows of one call."""

INCOMPLETE = "BULK_ACTION_INCOMPLETELY_APPLIED"

OUR_FAILURES = (errors.INTERNAL, errors.UNAVAILABLE)
"""Codes of what is wrong with no row, and ends the call."""

NO_FAULT_OF_VALUES = (ObjectDoesNotExist, PermissionDenied)
"""Exceptions that keep their code; what they concern is one row."""

Row = Callable[[], dict[str, Any]]
"""Reads what a row says. Raises ValidationError."""

Rows = Mapping[int, Row]
"""By number, as the caller counts them: inputs from 1, a file as a spreadsheet does."""

Many = Callable[[Any, Rows], list[Any]]
"""(principal, rows) -> the new instances, of all rows."""


class InvalidRows(ValidationError):
    """What is wrong with which row, counted as the caller counts them. Nothing was written."""

    def __init__(self, rows: Mapping[int, ValidationError]) -> None:
        self.rows = rows
        listed = ", ".join(str(row) for row in list(rows)[:20]) + (", ..." if len(rows) > 20 else "")
        super().__init__(f"Nothing was written: see extensions.rows for what is wrong with rows {listed}.")


@dataclass
class Outcome:
    """`done`: id of a row -> the instance as it is now. `left`: id as it was sent -> why."""

    done: dict[str, Any] = field(default_factory=dict)
    left: dict[str, Exception] = field(default_factory=dict)

    @property
    def error(self) -> str | None:
        return INCOMPLETE if self.left else None


def create(model: type[models.Model], service: Many, **options: Any) -> StrawberryField:
    """`createBulk<Model>(input: [...])`: `service(principal, rows)` answers the new instances, in order."""
    node = NODES[model]
    payload = _created(node)

    def resolver(info: Info, input: Any = UNSET) -> Any:  # noqa: A002 (the contract's name)
        sent = enumerate(_few("input", input or []), start=1)
        rows = {number: functools.partial(inputs.sent, one) for number, one in sent}
        return payload(**_read_back(info, node, service(info.context.principal, rows)))

    return root_field(resolver, {"input": f"list[Create{node.name}Input] | None"}, payload, options)


def create_from_csv(model: type[models.Model], service: Many, **options: Any) -> StrawberryField:
    """`createBulkCSV<Model>(input: Upload!)`: the columns are the keys of the create input."""
    node = NODES[model]
    payload = _created(node)

    def resolver(info: Info, input: Any) -> Any:  # noqa: A002
        kind = vars(registry)[f"Create{node.name}Input"]
        found = table.read(input, kind.keys, MOST)
        rows = {number: functools.partial(_sent, kind, found, number) for number in found.rows}
        return payload(**_read_back(info, node, service(info.context.principal, rows)))

    return root_field(resolver, {"input": "Upload"}, payload, options)


def update(model: type[models.Model], service: Service, **options: Any) -> StrawberryField:
    """`updateBulk<Model>(ids, input)`: the same changes to each."""
    node = NODES[model]
    payload = _updated(node)

    def resolver(info: Info, ids: list[str], input: Any) -> Any:  # noqa: A002
        changes = inputs.changes(input)
        outcome = _each(info, node, service, {one: dict(changes) for one in _few("ids", ids)})
        return payload(**_updated_rows(info, node, outcome))

    return root_field(resolver, {"ids": "list[ID]", "input": f"Update{node.name}Input"}, payload, options)


def update_from_csv(model: type[models.Model], service: Service, **options: Any) -> StrawberryField:
    """`updateBulkCSV<Model>(input: Upload!)`: a column `id`, and keys of the update input.

    Ids that are not there or not the caller's to change are left; what is not valid is told by row, and then
    nothing is written.
    """
    node = NODES[model]
    payload = _updated(node)

    def resolver(info: Info, input: Any) -> Any:  # noqa: A002
        kind = vars(registry)[f"Update{node.name}Input"]
        found = table.read(input, kind.keys, MOST, also=("id",))
        seen: set[UUID] = set()
        rows = {number: functools.partial(_changes, kind, found, number, seen) for number in found.rows}
        wanted = each_valid(rows, lambda row: row)
        with transaction.atomic():
            outcome = _each(info, node, service, dict(wanted.values()))
            _refuse_invalid(wanted, outcome)
        return payload(**_updated_rows(info, node, outcome))

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

        outcome = _each(info, node, end, dict.fromkeys(_few("ids", ids)))
        return payload(
            deleted_ids=list(outcome.done), not_deleted_ids=list(outcome.left), error=outcome.error
        )

    return root_field(resolver, {"ids": "list[ID]"}, payload, options)


def one_by_one(service: Callable[[Any, dict[str, Any]], Any]) -> Many:
    """A service for many rows out of one for a single row: all are written, or what is wrong is told."""

    def create_all(principal: Any, rows: Rows) -> list[Any]:
        made, faults = [], {}
        with transaction.atomic():
            for number, row in rows.items():
                try:
                    with transaction.atomic(), _telling(number):
                        made.append(service(principal, row()))
                except ValidationError as fault:
                    faults[number] = fault
            if faults:
                raise InvalidRows(faults)
        return made

    return create_all


def all_together(service: Callable[[Any, Iterable[dict[str, Any]]], list[Any]]) -> Many:
    """A service for many rows out of one that takes them one after the other: what it finds fault with is the
    row it took last.
    """

    def create_all(principal: Any, rows: Rows) -> list[Any]:
        taken: list[int] = []

        def read() -> Iterator[dict[str, Any]]:
            for number, row in rows.items():
                taken.append(number)
                yield row()

        try:
            return service(principal, read())
        except ValidationError as fault:
            if not taken:
                raise
            raise InvalidRows({taken[-1]: fault}) from fault
        except NO_FAULT_OF_VALUES as fault:
            _tell(fault, *taken[-1:])
            raise

    return create_all


@contextmanager
def _telling(number: int) -> Iterator[None]:
    """A row that names what is not there, or asks for what is not allowed, is told with the refusal."""
    try:
        yield
    except NO_FAULT_OF_VALUES as fault:
        _tell(fault, number)
        raise


def _tell(fault: Any, *numbers: int) -> None:
    fault.rows = dict.fromkeys(numbers, ValidationError(errors.message_of(fault)))


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


def _few(name: str, rows: Sequence[T]) -> Sequence[T]:
    """Raises ValidationError for more than one call may write."""
    if len(rows) > MOST:
        raise ValidationError({name: f"At most {MOST} at once; these are {len(rows)}. Send them in parts."})
    return rows


def each_valid(rows: Mapping[int, Callable[[], Any]], make: Callable[[Any], T]) -> dict[int, T]:
    """Row number -> what `make` makes of what the row says. Raises InvalidRows with all that is wrong."""
    found: dict[int, T] = {}
    faults: dict[int, ValidationError] = {}
    for number, row in rows.items():
        try:
            with _telling(number):
                found[number] = make(row())
        except ValidationError as fault:
            faults[number] = fault
    if faults:
        raise InvalidRows(faults)
    return found


def _sent(kind: Any, found: table.Table, number: int) -> dict[str, Any]:
    """What a row of a file gives a create input. Raises ValidationError."""
    return inputs.sent(table.given(kind, found.row(number)))


def _changes(kind: Any, found: table.Table, number: int, seen: set[UUID]) -> tuple[str, dict[str, Any]]:
    """The id in a row of a file, and its changes. `seen`: ids of earlier rows. Raises ValidationError."""
    cells = found.row(number)
    key = cells.pop("id", None)
    if key is None:
        raise ValidationError({"id": "This column needs a value."})
    if as_id(key) in seen:
        raise ValidationError({"id": "An earlier row has the same id. Say in one row what is to change."})
    seen.update({as_id(key)} - {NIL})
    return key, inputs.changes(table.given(kind, cells))


def _each(info: Info, node: NodeType, service: Service, wanted: Mapping[str, Any]) -> Outcome:
    """The service applied to each id, in a transaction of its own. Left: not there, not allowed, not valid.

    What is refused for lack of permission is told to the door, as if it had been asked for alone.
    """
    context, outcome = info.context, Outcome()
    for key in _own_token_last(context.principal, wanted):
        pk = as_id(key)
        if str(pk) in outcome.done:  # spelled otherwise
            continue
        try:
            with transaction.atomic():
                instance = node.visible_to(context.principal).get(pk=pk)
                changed = service(context.principal, instance, wanted[key])
        except Exception as fault:
            if errors.code_of(fault) in OUR_FAILURES:
                raise
            outcome.left[key] = fault
            if isinstance(fault, PermissionDenied):
                context.refused.append((key, fault))
        else:
            outcome.done[str(pk)] = changed
    return outcome


def _own_token_last(principal: Any, keys: Iterable[str]) -> list[str]:
    """A token that ends itself can do nothing after."""
    own = principal.token and principal.token.pk
    return sorted(keys, key=lambda key: as_id(key) == own)


def _refuse_invalid(wanted: Mapping[int, tuple[str, Any]], outcome: Outcome) -> None:
    """Raises InvalidRows."""
    why = {number: outcome.left.get(key) for number, (key, _) in wanted.items()}
    if faults := {number: fault for number, fault in why.items() if isinstance(fault, ValidationError)}:
        raise InvalidRows(faults)


def _updated_rows(info: Info, node: NodeType, outcome: Outcome) -> dict[str, Any]:
    return {
        **_read_back(info, node, outcome.done.values()),
        "updated_ids": list(outcome.done),
        "not_updated_ids": list(outcome.left),
        "error": outcome.error,
    }


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
