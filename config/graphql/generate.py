"""Object types, where and order inputs and connection types, from a model and one declaration.

    @node(models.APIToken, exclude=("digest",), joined=("owner",))
    class APIToken:
        abilities: list[str] = computed("scopes", "expires_at")

Every concrete column of the model becomes a field, every foreign key an id and an edge; adding a column to
the model is enough to see it in the schema. The class body adds what is no column, and overrides types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeVar

import strawberry
import strawberry_django
from django.db import models
from django.db.models import F

from config.graphql import columns, connection, registry, where
from config.graphql.nodes import (
    Absent,
    Children,
    Column,
    Computed,
    Loader,
    Many,
    NodeType,
    One,
    Single,
    Source,
)
from config.graphql.registry import NODES, OrderDirection

T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class Declared:
    """What node() was told of a model, and schema() makes types of. `body`: the decorated class."""

    body: type
    order: Sequence[str]
    unfiltered: Iterable[str]
    edges: list[str]
    as_text: Iterable[str]


DECLARED: dict[type[models.Model], Declared] = {}
EXTENSIONS: list[tuple[type[models.Model], Mapping[str, Any]]] = []
"""What no schema has been made of yet: apps are imported in whichever order."""


def computed(
    *needed: str, load: Loader | None = None, condition: Callable[[], models.Q] | None = None
) -> Any:
    """In a class body: a field that is no column. `needed` names the columns its property reads.

    `condition` makes a true or false one searchable.
    """
    return Computed("", needed, load, condition)


def many(target: type[models.Model], children: Children) -> Any:
    """In a class body: a nested connection whose rows `children` finds."""
    return Many("", target, children)


def absent() -> Any:
    """In a class body: a nullable field of the contract, null in every row."""
    return Absent("")


def related(target: type[models.Model], name: str) -> Any:
    """In a class body: the rows of `target` whose relation `name` points here; the row, if it can be one."""

    def children(parents: Any, principal: Any) -> models.QuerySet[Any]:
        rows = NODES[target].visible_to(principal).filter(**{f"{name}__in": parents})
        return rows.annotate(parent_key=F(f"{name}__pk"))  # type: ignore[no-any-return]

    kind = Single if target._meta.get_field(name).one_to_one else Many
    return kind("", target, children)


def through(target: type[models.Model], links: str, name: str) -> Any:
    """In a class body: the rows of `target` that are linked to this one by rows one sees.

    `links`: their accessor on `target`. `name`: their foreign key that points here.
    """

    def children(parents: Any, principal: Any) -> models.QuerySet[Any]:
        between = NODES[target._meta.get_field(links).related_model].visible_to(principal)  # type: ignore[index]
        rows = NODES[target].visible_to(principal)
        rows = rows.filter(**{f"{links}__in": between, f"{links}__{name}__in": parents})
        return rows.annotate(parent_key=F(f"{links}__{name}__pk"))  # type: ignore[no-any-return]

    return many(target, children)


def node(
    model: type[models.Model],
    *,
    exclude: Iterable[str] = (),
    joined: Iterable[str] = (),
    joined_for: Mapping[str, str] = MappingProxyType({}),
    order: Sequence[str] = ("created_at", "updated_at"),
    unfiltered: Iterable[str] = ("description",),
    edges: Iterable[str] = (),
    carried: Sequence[str] = (),
    enums: Mapping[str, str] = MappingProxyType({}),
    as_text: Iterable[str] = (),
) -> Callable[[T], T]:
    """Generate everything for a model.

    `exclude`: columns (attribute names) that are not on the wire. `joined`: foreign keys whose target
    is visible to whoever sees the row. `joined_for`: foreign key -> scope; its target is visible to whoever
    holds that too where they see the row. `order`: columns of the order enum. `unfiltered`: columns without
    predicates. `edges`: relations with `has...With` predicates. `carried`: what a mutation's answer keeps
    of the instance that was written (the value of a new token). `enums`: column -> name of its enum, where
    the contract has its own. `as_text`: ids that the contract compares as a String, for equality alone.
    """
    columns.ENUMS.update({model._meta.get_field(column): name for column, name in enums.items()})

    def decorate(declared: T) -> T:
        shown = [one for one in model._meta.concrete_fields if not {one.name, one.attname} & set(exclude)]
        generated = NodeType(model, declared.__name__, tuple(shown), tuple(carried))
        NODES[model] = generated
        _add_columns(generated)
        _add_foreign_keys(generated, set(exclude), dict.fromkeys(joined, True) | dict(joined_for))
        generated.annotations |= declared.__annotations__
        _add_sources(generated, vars(declared))
        DECLARED[model] = Declared(declared, tuple(order), set(unfiltered), list(edges), set(as_text))
        return declared

    return decorate


def extend(model: type[models.Model], **fields: Any) -> None:
    """Add relations, and their has...With predicates, to a type of an app that does not know of them.

    extend(Organization, api_tokens=related(APIToken, "owner"))
    """
    EXTENSIONS.append((model, fields))


def schema(**options: Any) -> strawberry.Schema:
    """The schema of all that was declared. `options`: strawberry's."""
    for model, fields in EXTENSIONS:
        _add_sources(NODES[model], fields)
        DECLARED[model].edges.extend(fields)
    for model, declared in DECLARED.items():
        generated = NODES[model]
        where.add_where_input(generated, declared.unfiltered, declared.edges, declared.as_text)
        _add_order_input(generated, declared.order)
        _add_connection_types(generated)
        _add_object_type(generated, declared.body)
    DECLARED.clear()
    EXTENSIONS.clear()
    return _plain(strawberry.Schema(**options))


def _add_columns(generated: NodeType) -> None:
    for column in generated.columns:
        generated.sources[column.attname] = Column(column.attname)
        generated.annotations[column.attname] = columns.type_name(column) + _or_null(column)


def _add_foreign_keys(generated: NodeType, excluded: set[str], joined: Mapping[str, bool | str]) -> None:
    for column in generated.model._meta.concrete_fields:
        if isinstance(column, models.ForeignKey) and column.name not in excluded:
            target = column.related_model
            generated.sources[column.name] = One(column.name, target, joined.get(column.name, False))
            generated.annotations[column.name] = target.__name__ + _or_null(column)


def _or_null(column: models.Field[Any, Any]) -> str:
    return " | None" if columns.is_optional(column) else ""


def _add_sources(generated: NodeType, body: Mapping[str, Any]) -> None:
    """What a class body says, or an extension."""
    for name, source in body.items():
        if isinstance(source, Computed | Many | Single | Absent):
            generated.sources[name] = replace(source, name=name)
        if isinstance(source, Single):
            generated.annotations.setdefault(name, f"{source.target.__name__} | None")


def _add_object_type(generated: NodeType, declared: type) -> None:
    nested = {
        name: connection.field(source.target, connection.nested(source))
        for name, source in generated.sources.items()
        if isinstance(source, Many)
    }
    body = {"__module__": registry.__name__, "__annotations__": generated.annotations, **nested}
    made = type(generated.name, (registry.Node,), body)
    strawberry_django.type(generated.model, description=declared.__doc__)(made)
    registry.add(made)


def _add_order_input(generated: NodeType, order: Iterable[str]) -> None:
    name = f"{generated.name}Order"
    wire = {_order_name(generated.model._meta.get_field(column)): column for column in order}
    registry.add_enum(f"{name}Field", wire)
    kinds = {"direction": "OrderDirection", "field": f"{name}Field"}
    registry.add_input(name, kinds, direction=OrderDirection.ASC)


def _order_name(column: Any) -> str:
    """As the contract spells them."""
    return str(column.name.upper() if columns.is_enum(columns.type_name(column)) else column.name)


def _add_connection_types(generated: NodeType) -> None:
    name = generated.name
    registry.add_type(f"{name}Edge", {"node": f"{name} | None", "cursor": "Cursor"})
    edges = f"list[{name}Edge | None] | None"
    registry.add_type(f"{name}Connection", {"edges": edges, "page_info": "PageInfo", "total_count": "int"})


# --- after the schema is built -----------------------------------------------------------------------


def _plain(schema: strawberry.Schema) -> strawberry.Schema:
    """Let graphql-core read leaf fields straight off the row: a page has a thousand of them."""
    reached: Any = schema._schema.type_map
    for generated in (one for one in NODES.values() if one.name in reached):
        built = reached[generated.name]
        built.is_type_of = _is_row_of(generated.model)
        for name, source in generated.by_wire_name.items():
            if not isinstance(source, Many):
                built.fields[name].resolve = _attribute(source, generated.is_optional(source.name))
    return schema


def _is_row_of(model: type[models.Model]) -> Callable[[Any, Any], bool]:
    return lambda row, info: isinstance(row, model)


def _attribute(source: Source, is_optional: bool) -> Callable[[Any, Any], Any]:
    name = source.name
    if isinstance(source, Absent):
        return lambda row, info: None
    if isinstance(source, One | Single) and is_optional:
        return lambda row, info: getattr(row, name, None)  # Django raises for what is not visible
    read = attrgetter(name)
    return lambda row, info: read(row)
