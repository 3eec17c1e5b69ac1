"""Keyset pages: edges, pageInfo, totalCount, first/after/last/before, orderBy.

Without orderBy the order is the time-ordered primary key's. A cursor holds the ordered values of its row,
so that a page is found by an index however deep it lies.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from config.graphql.generate import Many, NodeType, filtered
from config.graphql.registry import NODES, PageInfo

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

    name: str
    descending: bool = False
    nullable: bool = False

    def ordering(self, backwards: bool) -> Any:
        """Nulls last, and first when walked backwards, on every database."""
        descending = self.descending != backwards
        nulls = {} if not self.nullable else {"nulls_first": True} if backwards else {"nulls_last": True}
        return F(self.name).desc(**nulls) if descending else F(self.name).asc(**nulls)

    def beyond(self, value: Any, backwards: bool) -> Q:
        """Rows strictly behind this value in the walked direction; nulls lie behind everything."""
        if value is None:
            return Q(**{f"{self.name}__isnull": False}) if backwards else Q(pk__in=())
        comparison = "lt" if self.descending != backwards else "gt"
        behind = Q(**{f"{self.name}__{comparison}": value})
        return behind | Q(**{f"{self.name}__isnull": True}) if self.nullable and not backwards else behind

    def same(self, value: Any) -> Q:
        return Q(**{f"{self.name}__isnull": True}) if value is None else Q(**{self.name: value})

    def not_before(self, value: Any, backwards: bool) -> Q:
        """Redundant beside the rest, and what an index can seek by."""
        if self.nullable or value is None:
            return Q()
        comparison = "lte" if self.descending != backwards else "gte"
        return Q(**{f"{self.name}__{comparison}": value})


@dataclass(frozen=True)
class Slice:
    """The page that is asked for. Raises GraphQLError with INVALID_PAGINATION or BAD_REQUEST."""

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
        edges = [Edge(row, self.cursor(row)) for row in kept]
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

    def cursor(self, row: Any) -> str:
        if len(self.keys) == 1:
            return base64.urlsafe_b64encode(row.pk.bytes).decode().rstrip("=")
        values = [getattr(row, key.name) for key in self.keys]
        text = json.dumps(values, cls=_Exact, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode()


class _Exact(DjangoJSONEncoder):
    """Django's encoder cuts times to milliseconds; a cursor must find its very row."""

    def default(self, value: Any) -> Any:
        return value.isoformat() if hasattr(value, "isoformat") else super().default(value)


def beyond(keys: Sequence[Key], values: Sequence[Any], *, backwards: bool) -> Q:
    """Lexicographic: behind in the first key, or equal in it and behind in the next, and so on."""
    wanted, equal = Q(pk__in=()), Q()
    for key, value in zip(keys, values, strict=True):
        wanted |= equal & key.beyond(value, backwards)
        equal &= key.same(value)
    return wanted & keys[0].not_before(values[0], backwards)


def asked(
    node: NodeType,
    first: int | None,
    last: int | None,
    after: str | None,
    before: str | None,
    order_by: Sequence[Any] | None,
) -> Slice:
    """Raises GraphQLError for what cannot be meant."""
    if first is not None and last is not None:
        raise pagination_error("Send first or last, not both.")
    size = first if first is not None else last if last is not None else MOST
    if not 0 <= size <= MOST:
        raise pagination_error(f"first and last go from 0 to {MOST}; page on with after and before.")
    keys = [
        Key(
            column.attname,
            one.direction.value == "DESC",
            column.null,
        )
        for one in order_by or ()
        for column in [node.model._meta.get_field(one.field.value)]
    ]
    keys.append(Key("id", bool(keys) and keys[-1].descending))
    ordered = tuple(keys)
    return Slice(
        ordered,
        size,
        backwards=last is not None,
        after=None if after is None else _decoded(node, ordered, after),
        before=None if before is None else _decoded(node, ordered, before),
    )


def _decoded(node: NodeType, keys: tuple[Key, ...], cursor: str) -> list[Any]:
    """The values a cursor holds, each as its column reads it. Raises GraphQLError for a forged one."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if len(keys) == 1 and len(raw) == 16:
            return [_id_column(node).to_python(raw.hex())]
        values = json.loads(raw)
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError
        return [
            None if value is None and key.nullable else _typed(node, key, value)
            for key, value in zip(keys, values, strict=True)
        ]
    except (ValueError, TypeError, binascii.Error, ValidationError, RecursionError):
        raise GraphQLError(
            "This cursor is not one of this connection's. Take cursors from pageInfo or edges, "
            "and keep orderBy while paging.",
            extensions={"code": "BAD_REQUEST"},
        ) from None


def _typed(node: NodeType, key: Key, value: Any) -> Any:
    column = next(one for one in node.model._meta.concrete_fields if one.attname == key.name)
    if not isinstance(value, str | int | bool):
        raise TypeError
    typed = column.to_python(value)
    if typed is None or (hasattr(typed, "tzinfo") and typed.tzinfo is None):
        raise ValueError
    return typed


def _id_column(node: NodeType) -> models.Field[Any, Any]:
    return node.model._meta.pk


# --- resolving ---------------------------------------------------------------------------------------


def resolve(info: Info, node: NodeType, rows: models.QuerySet[Any], arguments: dict[str, Any]) -> Connection:
    """One page of a queryset: a SELECT for the rows, one for the count if it is asked for."""
    raw = info._raw_info
    principal = info.context.principal
    rows = filtered(rows, arguments.pop("where", None), principal)
    wanted = asked(node, **arguments)
    total = rows.count() if selection.below(raw, raw.field_nodes, "totalCount") else None
    if not (wanted.size and _is_selected(raw)):
        return wanted.page([], total)
    plan = _plan(raw, node, wanted)
    found = list(
        selection.narrow(wanted.within(rows), plan, principal).order_by(*wanted.ordering)[: wanted.size + 1]
    )
    answer = wanted.page(found, total)
    selection.complete([edge.node for edge in answer.edges], plan, principal)
    return answer


def _is_selected(raw: Any) -> bool:
    return bool(
        selection.below(raw, raw.field_nodes, "edges") or selection.below(raw, raw.field_nodes, "pageInfo")
    )


def _plan(raw: Any, node: NodeType, wanted: Slice) -> selection.Plan:
    plan = selection.plan(raw, node, selection.below(raw, raw.field_nodes, "edges", "node"))
    plan.columns.update(key.name for key in wanted.keys)
    return plan


def nested(source: Many) -> Callable[[Any, Info, dict[str, Any]], Connection]:
    """A connection below rows: resolved once for all rows of their page, in one SELECT and one COUNT."""

    def resolver(parent: Any, info: Info, arguments: dict[str, Any]) -> Connection:
        page: selection.Page = parent.__dict__["_page"]
        key = f"{source.name} {info._raw_info.path.key}"
        if key not in page.nested:
            page.nested[key] = _for_page(info, source, page.rows, arguments)
        by_parent, empty = page.nested[key]
        return by_parent.get(str(parent.pk), empty)

    return resolver


def _for_page(
    info: Info, source: Many, parents: Sequence[Any], arguments: dict[str, Any]
) -> tuple[dict[str, Connection], Connection]:
    raw, principal, node = info._raw_info, info.context.principal, NODES[source.target]
    children = filtered(source.children(parents, principal), arguments.pop("where", None), principal)
    wanted = asked(node, **arguments)
    counts: dict[str, int] = {}
    counted = bool(selection.below(raw, raw.field_nodes, "totalCount"))
    if counted:
        tallies = children.order_by().values("parent_key").annotate(n=Count("pk"))
        counts = {str(one["parent_key"]): one["n"] for one in tallies}
    rows: dict[str, list[Any]] = {}
    plan = _plan(raw, node, wanted)
    if wanted.size and _is_selected(raw):
        found = selection.narrow(wanted.within(children), plan, principal)
        if len(parents) > 1:
            number = Window(RowNumber(), partition_by=F("parent_key"), order_by=wanted.ordering)
            found = found.annotate(row_number=number).filter(row_number__lte=wanted.size + 1)
            found = found.order_by(*wanted.ordering)
        else:
            found = found.order_by(*wanted.ordering)[: wanted.size + 1]
        for row in found:
            rows.setdefault(str(row.parent_key), []).append(row)
    none = 0 if counted else None
    answers = {key: wanted.page(rows.get(key, []), counts.get(key, none)) for key in {*rows, *counts}}
    shown = [edge.node for one in answers.values() for edge in one.edges]
    selection.complete(shown, plan, principal)
    return answers, wanted.page([], none)


def field(
    target: type[models.Model],
    resolver: Callable[[Any, Info, dict[str, Any]], Connection] | None = None,
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
        "root": strawberry.Parent[Any],
        "info": Info,
        "after": "Cursor | None",
        "first": "int | None",
        "before": "Cursor | None",
        "last": "int | None",
        "order_by": f"list[{name}Order] | None",
        "where": f"{name}WhereInput | None",
        "return": f"{name}Connection",
    }
    return strawberry.field(resolver=resolve_field, **options)
