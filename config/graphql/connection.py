"""Keyset pages: edges, pageInfo, totalCount, first/after/last/before, orderBy.

Without orderBy the order is the time-ordered primary key's. A cursor holds the ordered values of its row,
so that a page is found by an index however deep it lies.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import strawberry
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Count, F, Q, Window
from django.db.models.functions import RowNumber
from graphql import GraphQLError
from strawberry import UNSET
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from config.graphql import registry, selection
from config.graphql.nodes import Many, NodeType
from config.graphql.registry import NODES, OrderDirection, PageInfo
from config.graphql.where import containing, filtered

MOST = 100
"""Rows on a page, by default and at the most."""


def pagination_error(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "INVALID_PAGINATION"})


@dataclass(slots=True)
class Edge:
    node: Any
    cursor: str


@dataclass(slots=True)
class Connection:
    edges: list[Edge]
    page_info: PageInfo
    total_count: int | None


@dataclass(frozen=True)
class Key:
    """One column of an order."""

    column: models.Field[Any, Any]
    descending: bool = False

    @property
    def name(self) -> str:
        return self.column.attname

    def ordering(self, backwards: bool) -> Any:
        """Nulls last, and first when walked backwards, on every database."""
        descending = self.descending != backwards
        nulls = {} if not self.column.null else {"nulls_first": True} if backwards else {"nulls_last": True}
        return F(self.name).desc(**nulls) if descending else F(self.name).asc(**nulls)

    def beyond(self, value: Any, backwards: bool) -> Q:
        """Rows strictly behind this value in the walked direction; nulls lie behind everything."""
        if value is None:
            return Q(**{f"{self.name}__isnull": False}) if backwards else Q(pk__in=())
        comparison = "lt" if self.descending != backwards else "gt"
        behind = Q(**{f"{self.name}__{comparison}": value})
        return behind | Q(**{f"{self.name}__isnull": True}) if self.column.null and not backwards else behind

    def same(self, value: Any) -> Q:
        return Q(**{f"{self.name}__isnull": True}) if value is None else Q(**{self.name: value})

    def not_before(self, value: Any, backwards: bool) -> Q:
        """Redundant beside the rest, and what an index can seek by."""
        if self.column.null:
            return Q()
        comparison = "lte" if self.descending != backwards else "gte"
        return Q(**{f"{self.name}__{comparison}": value})

    def read(self, value: Any) -> Any:
        """A value out of a cursor, as its column has it. Raises one of UNREADABLE for a forged one."""
        if value is None and self.column.null:
            return None
        if not isinstance(value, str | int) or "\0" in str(value).encode().decode():
            raise ValueError
        typed = self.column.to_python(value)
        return typed.astimezone(UTC) if isinstance(typed, datetime) else typed


UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, ValidationError)


@dataclass(frozen=True)
class Slice:
    """The page that is asked for. `after` and `before`: the values of the rows it lies between."""

    keys: tuple[Key, ...]
    size: int
    backwards: bool
    after: list[Any] | None
    before: list[Any] | None

    def within(self, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """The rows of the slice and beyond, in the walked direction."""
        if self.after is not None:
            rows = rows.filter(beyond(self.keys, self.after, backwards=False))
        if self.before is not None:
            rows = rows.filter(beyond(self.keys, self.before, backwards=True))
        return rows

    @property
    def ordering(self) -> list[Any]:
        return [key.ordering(self.backwards) for key in self.keys]

    def page(self, rows: list[Any], total: int | None) -> Connection:
        """A connection from up to `size` + 1 rows in the walked direction."""
        has_more = len(rows) > self.size
        kept = rows[: self.size]
        if self.backwards:
            kept.reverse()
        edges = [Edge(row, encoded([getattr(row, key.name) for key in self.keys])) for row in kept]
        return Connection(
            edges,
            PageInfo(
                has_next_page=self.before is not None if self.backwards else has_more,
                has_previous_page=has_more if self.backwards else self.after is not None,
                start_cursor=edges[0].cursor if edges else None,  # type: ignore[arg-type]
                end_cursor=edges[-1].cursor if edges else None,  # type: ignore[arg-type]
            ),
            total,
        )


def beyond(keys: Sequence[Key], values: Sequence[Any], *, backwards: bool) -> Q:
    """Lexicographic: behind in the first key, or equal in it and behind in the next, and so on."""
    wanted, equal = Q(pk__in=()), Q()
    for key, value in zip(keys, values, strict=True):
        wanted |= equal & key.beyond(value, backwards)
        equal &= key.same(value)
    return wanted & keys[0].not_before(values[0], backwards)


class _Exact(DjangoJSONEncoder):
    """Django's encoder cuts times to milliseconds; a cursor must find its very row."""

    def default(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else super().default(value)


def encoded(values: Sequence[Any]) -> str:
    """A cursor: the bytes of the id where that is all, else JSON; in URL-safe base64 without padding."""
    if len(values) == 1:
        raw: bytes = values[0].bytes
    else:
        raw = json.dumps(values, cls=_Exact, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(keys: Sequence[Key], cursor: str) -> list[Any]:
    """The values a cursor holds. Raises GraphQLError for one that is not of this order."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), "-_", validate=True)
        if len(keys) == 1:
            return [UUID(bytes=raw)]
        return [key.read(value) for key, value in zip(keys, json.loads(raw), strict=True)]
    except UNREADABLE:
        raise GraphQLError(
            "This cursor is not one of this connection's. Take cursors from pageInfo or edges, "
            "and keep orderBy while paging.",
            extensions={"code": "BAD_REQUEST"},
        ) from None


def asked(
    node: NodeType,
    *,
    first: int | None,
    last: int | None,
    after: str | None,
    before: str | None,
    order_by: Sequence[Any] | None,
) -> Slice:
    """Raises GraphQLError with INVALID_PAGINATION, or BAD_REQUEST for a cursor."""
    if first is not None and last is not None:
        raise pagination_error("Send first or last, not both.")
    size = first if first is not None else last if last is not None else MOST
    if not 0 <= size <= MOST:
        raise pagination_error(f"first and last go from 0 to {MOST}; page on with after and before.")
    keys = _keys(node, order_by or ())
    return Slice(
        keys,
        size,
        backwards=last is not None,
        after=None if after is None else decoded(keys, after),
        before=None if before is None else decoded(keys, before),
    )


def _keys(node: NodeType, order_by: Sequence[Any]) -> tuple[Key, ...]:
    """The order, made total by the id. A column that is named again orders nothing more."""
    keys: dict[str, Key] = {}
    descending = False
    for one in order_by:
        descending = one.direction is OrderDirection.DESC
        column: Any = node.model._meta.get_field(one.field.value)
        keys.setdefault(column.name, Key(column, descending))
    return (*keys.values(), Key(node.model._meta.pk, descending))


# --- resolving ---------------------------------------------------------------------------------------


def resolve(info: Info, node: NodeType, rows: models.QuerySet[Any], arguments: dict[str, Any]) -> Connection:
    """One page of a queryset: a SELECT for the rows, one for the count if it is asked for."""
    raw, principal = info._raw_info, info.context.principal
    rows = filtered(rows, arguments.pop("where"), principal)
    wanted = asked(node, **arguments)
    total = rows.count() if _is_selected(raw, "totalCount") else None
    if not _needs_rows(raw, wanted):
        return wanted.page([], total)
    plan = _plan(raw, node, wanted)
    found = selection.narrow(wanted.within(rows), plan, principal).order_by(*wanted.ordering)
    answer = wanted.page(list(found[: wanted.size + 1]), total)
    selection.complete([edge.node for edge in answer.edges], plan, principal)
    return answer


def _is_selected(raw: selection.Info, name: str) -> bool:
    return bool(selection.below(raw, raw.field_nodes, name))


def _needs_rows(raw: selection.Info, wanted: Slice) -> bool:
    """Whether a page of no rows has a next one takes a row, too."""
    return _is_selected(raw, "pageInfo") or (wanted.size > 0 and _is_selected(raw, "edges"))


def _plan(raw: selection.Info, node: NodeType, wanted: Slice) -> selection.Plan:
    plan = selection.plan(raw, node, selection.below(raw, raw.field_nodes, "edges", "node"))
    plan.columns.update(key.name for key in wanted.keys)
    return plan


Resolver = Callable[[Any, Info, dict[str, Any]], Connection]
"""(parent, info, arguments) -> a page."""


def nested(source: Many) -> Resolver:
    """A connection below rows: resolved once for all rows of their page, in one SELECT and one COUNT."""

    def resolver(parent: Any, info: Info, arguments: dict[str, Any]) -> Connection:
        page: selection.Page = vars(parent)["_page"]
        place = tuple(map(id, info._raw_info.field_nodes))  # in the document: aliases ask for different pages
        if place not in page.nested:
            page.nested[place] = _for_page(info, source, page.rows, arguments)
        by_parent, empty = page.nested[place]
        answer: Connection = by_parent.get(str(parent.pk), empty)
        return answer

    return resolver


def _for_page(
    info: Info, source: Many, parents: Sequence[Any], arguments: dict[str, Any]
) -> tuple[Mapping[str, Connection], Connection]:
    """The connection of each parent by its id, and that of one without rows."""
    raw, principal, node = info._raw_info, info.context.principal, NODES[source.target]
    children = filtered(source.visible_to(principal, parents), arguments.pop("where"), principal)
    wanted = asked(node, **arguments)
    plan = _plan(raw, node, wanted)
    nothing = 0 if _is_selected(raw, "totalCount") else None
    counts = {} if nothing is None else _counts(children)
    rows: dict[str, list[Any]] = {}
    if _needs_rows(raw, wanted):
        found = selection.narrow(wanted.within(children), plan, principal)
        for row in _first_of_each(found, wanted, is_one=len(parents) == 1):
            rows.setdefault(str(row.parent_key), []).append(row)
    answers = {key: wanted.page(rows.get(key, []), counts.get(key, nothing)) for key in {*rows, *counts}}
    selection.complete([edge.node for one in answers.values() for edge in one.edges], plan, principal)
    return answers, wanted.page([], nothing)


def _counts(children: models.QuerySet[Any]) -> dict[str, int]:
    tallies = children.order_by().values("parent_key").annotate(n=Count("pk"))
    return {str(one["parent_key"]): one["n"] for one in tallies}


def _first_of_each(children: models.QuerySet[Any], wanted: Slice, *, is_one: bool) -> models.QuerySet[Any]:
    """The first `size` + 1 rows of every parent; for a single one the database stops early."""
    if is_one:
        return children.order_by(*wanted.ordering)[: wanted.size + 1]
    number = Window(RowNumber(), partition_by=F("parent_key"), order_by=wanted.ordering)
    numbered: models.QuerySet[Any] = children.annotate(row_number=number)
    return numbered.filter(row_number__lte=wanted.size + 1).order_by(*wanted.ordering)


def search(target: type[models.Model], texts: Sequence[str], **options: Any) -> StrawberryField:
    """`<model>Search(query)`: the visible rows of whose `texts` one holds the query, whatever its case."""

    def resolver(
        info: Info,
        query: str,
        after: Any = UNSET,
        first: Any = UNSET,
        before: Any = UNSET,
        last: Any = UNSET,
    ) -> Any:
        sent = {"after": after, "first": first, "before": before, "last": last}
        arguments = {key: None if value is UNSET else value for key, value in sent.items()}
        node = NODES[target]
        rows = node.visible_to(info.context.principal).filter(containing(texts, query))
        return resolve(info, node, rows, {**arguments, "order_by": None, "where": None})

    paging = {
        "after": "Cursor | None",
        "first": "int | None",
        "before": "Cursor | None",
        "last": "int | None",
    }
    resolver.__module__ = registry.__name__
    resolver.__annotations__ = {
        "info": Info,
        "query": "str",
        **paging,
        "return": f"{target.__name__}Connection | None",
    }
    return strawberry.field(resolver=resolver, **options)  # type: ignore[no-any-return]


def field(
    target: type[models.Model],
    resolver: Resolver | None = None,
    **options: Any,
) -> StrawberryField:
    """A connection field: of a root type when no resolver is given, else of whatever the resolver finds."""
    name = target.__name__

    def resolve_field(
        root: Any,
        info: Info,
        after: Any = UNSET,
        first: Any = UNSET,
        before: Any = UNSET,
        last: Any = UNSET,
        order_by: Any = UNSET,
        where: Any = UNSET,
    ) -> Any:
        sent = {
            "after": after,
            "first": first,
            "before": before,
            "last": last,
            "order_by": order_by,
            "where": where,
        }
        arguments = {key: None if value is UNSET else value for key, value in sent.items()}
        if resolver is not None:
            return resolver(root, info, arguments)
        node = NODES[target]
        return resolve(info, node, node.visible_to(info.context.principal), arguments)

    resolve_field.__module__ = registry.__name__
    resolve_field.__annotations__ = {
        "root": strawberry.Parent,
        "info": Info,
        "after": "Cursor | None",
        "first": "int | None",
        "before": "Cursor | None",
        "last": "int | None",
        "order_by": f"list[{name}Order] | None",
        "where": f"{name}WhereInput | None",
        "return": f"{name}Connection",
    }
    return strawberry.field(resolver=resolve_field, **options)  # type: ignore[no-any-return]
