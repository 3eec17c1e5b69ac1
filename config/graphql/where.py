"""Where inputs: what can be asked of a model's rows, and how the question becomes a Q.

Keys of one object are ANDed and null means absent, so that `{}` is every row. An edge is searched as it is
shown: what one may not see, one cannot search by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import models
from django.db.models import Q
from graphql import GraphQLError
from strawberry import UNSET

from config.graphql import columns, registry
from config.graphql.naming import camel
from config.graphql.nodes import Absent, Below, Computed, NodeType, One
from config.graphql.registry import NODES

MOST_CONDITIONS = 100
MOST_VALUES = 500
LONGEST_TEXT = 1_000
"""Far more of each and a database gives up: SQLite at 1,000 terms, PostgreSQL at 65,535 values."""

EVERY_ROW = ~Q(pk__in=())

Condition = Callable[[Any, Any], Q]
"""(value of a key, principal) -> Q."""


@dataclass(frozen=True)
class Compared:
    """A column and a predicate."""

    path: str
    predicate: columns.Predicate

    def __call__(self, value: Any, _: Any) -> Q:
        return self.predicate(self.path, value)


@dataclass(frozen=True)
class Linked:
    """Rows that have a visible neighbour, one that fits all of `wanted`."""

    node: NodeType
    source: One | Below

    def __call__(self, wanted: Sequence[Any], principal: Any) -> Q:
        if isinstance(self.source, One):
            path, key = self.source.name, "pk"
            neighbours = NODES[self.source.target].visible_to(principal)
        else:
            path, key = "pk", "parent_key"
            neighbours = self.source.visible_to(principal, self.node.visible_to(principal))
        for one in wanted:
            neighbours = neighbours.filter(_q(one, principal))
        return Q(**{f"{path}__in": neighbours.values(key)})

    def at_all(self, is_wanted: bool, principal: Any) -> Q:
        return self((), principal) if is_wanted else ~self((), principal)


@dataclass(frozen=True)
class Unanswered:
    """A predicate of what is null in every row: asking for null finds all of them, else none."""

    suffix: str

    def __call__(self, value: Any, _: Any) -> Q:
        is_met = self.suffix == "IsNil" or (self.suffix == "NotNil" and not value)
        return Q() if is_met else ~EVERY_ROW


@dataclass(frozen=True)
class Holding:
    """A computed field that is true or false."""

    condition: Callable[[], Q]

    def __call__(self, is_wanted: bool, _: Any) -> Q:
        return self.condition() if is_wanted else ~self.condition()


def _not(value: Any, principal: Any) -> Q:
    return ~_q(value, principal)


def _all_of(values: Sequence[Any], principal: Any) -> Q:
    wanted = Q()
    for one in values:
        wanted &= _q(one, principal)
    return wanted


def _any_of(values: Sequence[Any], principal: Any) -> Q:
    """No alternatives ask nothing."""
    wanted = Q()
    for one in values:
        wanted |= _q(one, principal)
    return wanted


def add_where_input(
    node: NodeType, unfiltered: Iterable[str], edges: Iterable[str], as_text: Iterable[str]
) -> None:
    """Define `<Model>WhereInput`. `unfiltered`: columns without predicates. `edges`: relations.
    `as_text`: columns (attribute names) of ids that are compared as a String, for equality alone.
    """
    name = f"{node.name}WhereInput"
    kinds = {"not_": name, "and_": f"list[{name}]", "or_": f"list[{name}]"}
    conditions: dict[str, Condition] = {"not_": _not, "and_": _all_of, "or_": _any_of}
    for column in node.columns:
        if column.name not in unfiltered:
            found = columns.predicates(column, node.is_optional(column.attname))
            if column.attname in as_text:
                found = {"": ("str", found[""][1])}
            for suffix, (kind, predicate) in found.items():
                key = camel(column.attname) + suffix
                kinds[key], conditions[key] = kind, Compared(columns.path(column), predicate)
    for absent in (one.name for one in node.sources.values() if isinstance(one, Absent)):
        kind_of_it = node.annotations[absent].removesuffix(" | None")
        for suffix, (kind, _) in columns.predicates_of(kind_of_it, is_optional=True).items():
            key = camel(absent) + suffix
            kinds[key], conditions[key] = kind, Unanswered(suffix)
    for source in node.sources.values():
        if isinstance(source, Computed) and source.condition is not None:
            kinds[camel(source.name)], conditions[camel(source.name)] = "bool", Holding(source.condition)
    for edge in edges:
        linked = Linked(node, node.sources[edge])  # type: ignore[arg-type]
        key = camel(f"has_{edge}")
        kinds |= {key: "bool", f"{key}With": f"list[{linked.source.target.__name__}WhereInput]"}
        conditions |= {key: linked.at_all, f"{key}With": linked}
    made = registry.add_input(name, {key: f"{kind} | None" for key, kind in kinds.items()})
    made.conditions = conditions


def filtered(rows: models.QuerySet[Any], where: Any, principal: Any) -> models.QuerySet[Any]:
    """The rows a where input selects. Raises GraphQLError for one that is too large for a database."""
    if where is None:
        return rows
    _require_modest(where)
    return rows.filter(_q(where, principal))


def containing(names: Iterable[str], text: str) -> Q:
    """Rows in one of whose columns a text occurs, whatever its case. Raises GraphQLError for a long one."""
    _require_at_most(("characters in the query", len(text), LONGEST_TEXT))
    wanted = Q()
    for name in names:
        wanted |= Q(**{f"{name}__icontains": text})
    return wanted


def _q(where: Any, principal: Any) -> Q:
    wanted = Q()
    for key, value in _asked(where):
        wanted &= where.conditions[key](value, principal)
    return wanted or EVERY_ROW


def _asked(where: Any) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in vars(where).items() if value is not None and value is not UNSET)


def _require_modest(where: Any) -> None:
    values = list(islice(_values(where), MOST_CONDITIONS + 1))
    lists = [value for value in values if isinstance(value, list)]
    texts = [text for value in (values, *lists) for text in value if isinstance(text, str)]
    _require_at_most(
        ("conditions in the where input", len(values), MOST_CONDITIONS),
        ("values in one list", max(map(len, lists), default=0), MOST_VALUES),
        ("characters in one text", max(map(len, texts), default=0), LONGEST_TEXT),
    )


def _require_at_most(*sizes: tuple[str, int, int]) -> None:
    """(what, how many there are, how many there may be). Raises GraphQLError for the first of too many."""
    for what, size, most in sizes:
        if size > most:
            raise GraphQLError(
                f"These are too many {what}: {most} is the most. Ask in several requests.",
                extensions={"code": "BAD_REQUEST"},
            )


def _values(where: Any) -> Iterator[Any]:
    """Every value that is asked for, at whatever depth."""
    for _, value in _asked(where):
        yield value
        for one in value if isinstance(value, list) else [value]:
            if hasattr(one, "conditions"):
                yield from _values(one)
