"""Object types, where and order inputs and connection types, from a model and one declaration.

    @node(models.APIToken, exclude=("digest",), joined=("owner",))
    class APIToken:
        abilities: list[str] = computed("scopes", "expires_at")

Every concrete column of the model becomes a field, every foreign key an id and an edge; adding a column to
the model is enough to see it in the schema. The class body adds what is no column, and overrides types.
Each field's origin is data, a `Source`, read by selection.py; leaf fields are plain attributes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import strawberry
import strawberry_django
from django.db import models
from django.db.models import F, Q
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField
from strawberry_django.fields.field import StrawberryDjangoField

from config.graphql import (
    columns,
    lookups,  # noqa: F401 (registers them)
    registry,
)
from config.graphql.naming import camel
from config.graphql.registry import NODES

NIL = UUID(int=0)
"""Stands for a malformed id, which no row has."""

T = TypeVar("T", bound=type)


# --- where a field's value comes from ----------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """An attribute of the row."""

    name: str


@dataclass(frozen=True)
class One:
    """A foreign key. `joined`: whoever sees the row sees its target, so that one SELECT brings both."""

    name: str
    target: type[models.Model]
    joined: bool


Children = Callable[[Sequence[Any], Any], models.QuerySet[Any]]


@dataclass(frozen=True)
class Many:
    """A nested connection. `children(parents, principal)`: visible rows, annotated with `parent_key`."""

    name: str
    target: type[models.Model]
    children: Children


@dataclass(frozen=True)
class Computed:
    """A property of the model, made of columns; `load(rows, principal)` sets it for a whole page."""

    name: str
    columns: tuple[str, ...]
    load: Callable[[Sequence[Any], Any], None] | None


Source = Column | One | Many | Computed


def computed(*needed: str, load: Callable[[Sequence[Any], Any], None] | None = None) -> Any:
    """In a class body: a field that is no column. `needed` names the columns its property reads."""
    return Computed("", needed, load)


def many(target: type[models.Model], children: Children) -> Any:
    """In a class body: a nested connection whose rows `children` finds."""
    return Many("", target, children)


def by_foreign_key(target: type[models.Model], name: str) -> Any:
    """In a class body: the rows of `target` whose foreign key `name` points here."""

    def children(parents: Sequence[Any], principal: Any) -> models.QuerySet[Any]:
        rows = target._default_manager.visible_to(principal)  # type: ignore[attr-defined]
        return rows.filter(**{f"{name}__in": parents}).annotate(parent_key=F(f"{name}_id"))

    return Many("", target, children)


# --- what is generated for a model -------------------------------------------------------------------


@dataclass
class NodeType:
    """What the machinery knows of a model on the wire."""

    model: type[models.Model]
    name: str
    columns: list[models.Field[Any, Any]]
    order: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    sources: dict[str, Source] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        """`apitoken`, as NOT_FOUND names it."""
        return self.name.lower()

    def visible_to(self, principal: Any) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = self.model._default_manager.visible_to(principal)  # type: ignore[attr-defined]
        return rows


class Leaf(StrawberryDjangoField):
    """A field that is a plain attribute: no resolver, no extension, no wrapper."""

    @property
    def is_basic_field(self) -> bool:
        return self.base_resolver is None

    def get_result(self, source: Any, info: Any, args: Any, kwargs: Any) -> Any:
        if self.base_resolver is None:
            return getattr(source, self.python_name)
        return super().get_result(source, info, args, kwargs)


def node(
    model: type[models.Model],
    *,
    exclude: Iterable[str] = (),
    joined: Iterable[str] = (),
    order: Iterable[str] = ("created_at", "updated_at"),
    unfiltered: Iterable[str] = ("description",),
    edges: Iterable[str] = (),
    carried: Iterable[str] = (),
) -> Callable[[T], T]:
    """Generate everything for a model.

    `exclude`: columns (attribute names) that are not on the wire. `joined`: foreign keys whose target
    is visible to whoever sees the row. `order`: columns of the order enum. `unfiltered`: columns without
    predicates. `edges`: relations with `has...With` predicates. `carried`: what a mutation's answer keeps
    of the instance that was written (the value of a new token).
    """
    excluded = set(exclude)

    def decorate(declared: T) -> T:
        shown = [
            column
            for column in model._meta.concrete_fields
            if column.attname not in excluded and column.name not in excluded
        ]
        generated = NodeType(model, declared.__name__, shown, tuple(order), tuple(carried))
        NODES[model] = generated
        built = _object_type(generated, declared, set(joined), excluded)
        _where_input(generated, set(unfiltered), tuple(edges))
        _order_inputs(generated)
        _connection_types(generated)
        return built

    return decorate


def _object_type(generated: NodeType, declared: T, joined: set[str], excluded: set[str]) -> T:
    annotations: dict[str, str] = {"id": "ID"}
    sources: dict[str, Source] = {"id": Column("id")}
    body: dict[str, Any] = {"__doc__": declared.__doc__, "__module__": registry.__name__}
    for column in generated.columns:
        optional = " | None" if columns.is_optional(column) else ""
        if column.attname != "id" and column.attname not in excluded:
            annotations[column.attname] = columns.type_name(column) + optional
            sources[column.attname] = Column(column.attname)
    for column in generated.model._meta.concrete_fields:
        if isinstance(column, models.ForeignKey) and column.name not in excluded:
            target = column.related_model
            optional = " | None" if columns.is_optional(column) else ""
            annotations[column.name] = _wire_name(target) + optional
            sources[column.name] = One(column.name, target, column.name in joined)
    for name, annotation in declared.__annotations__.items():
        annotations[name] = annotation
        source = vars(declared).get(name)
        if isinstance(source, Computed):
            sources[name] = Computed(name, source.columns, source.load)
    for name, source in vars(declared).items():
        if isinstance(source, Many):
            sources[name] = Many(name, source.target, source.children)
            body[name] = _nested_connection(sources[name], source.target)
    generated.sources = sources
    body["__annotations__"] = annotations
    made = type(generated.name, (registry.Node,), body)
    description = (declared.__doc__ or "").strip().partition("\n")[0] or None
    strawberry_django.type(generated.model, field_cls=Leaf, description=description)(made)
    return registry.add(made)  # type: ignore[no-any-return]


def _wire_name(model: type[models.Model]) -> str:
    return model.__name__


def _nested_connection(source: Any, target: type[models.Model]) -> StrawberryField:
    from config.graphql import connection

    return connection.field(target, connection.nested(source))


# --- where -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """Where input attribute -> how it filters: a lookup path and a predicate, or an edge."""

    path: str
    predicate: Callable[[str, Any], Q]
    is_id: bool = False


def _where_input(generated: NodeType, unfiltered: set[str], edges: tuple[str, ...]) -> None:
    name = f"{generated.name}WhereInput"
    fields: dict[str, tuple[str, str]] = {
        "not_": ("not", name),
        "and_": ("and", f"list[{name}]"),
        "or_": ("or", f"list[{name}]"),
    }
    conditions: dict[str, Condition] = {}
    for column in generated.columns:
        if column.name in unfiltered:
            continue
        for suffix, (annotation, predicate) in columns.predicates(column).items():
            wire = camel(column.attname) + suffix
            is_id = "ID" in annotation and suffix in ("", "NEQ", "In", "NotIn", "GT", "GTE", "LT", "LTE")
            fields[wire] = (wire, annotation)
            conditions[wire] = Condition(column.attname, predicate, is_id)
    for edge in edges:
        wire = "has" + camel(f"x_{edge}")[1:]
        relation = generated.model._meta.get_field(edge)
        target = relation.related_model
        fields[wire] = (wire, "bool")
        fields[f"{wire}With"] = (f"{wire}With", f"list[{_wire_name(target)}WhereInput]")
        conditions[wire] = Condition(edge, lambda path, value: Q(**{f"{path}__isnull": not value}))
    made = _input(name, {key: (wire, f"{kind} | None") for key, (wire, kind) in fields.items()})
    made.conditions = conditions
    made.edges = {f"has{camel(f'x_{edge}')[1:]}With": edge for edge in edges}
    made.model = generated.model


def filtered(rows: models.QuerySet[Any], where: Any, principal: Any) -> models.QuerySet[Any]:
    """The rows a where input selects. Keys of one object are ANDed; null means absent."""
    if where is None or where is strawberry.UNSET:
        return rows
    return rows.filter(condition(where, principal))


def condition(where: Any, principal: Any) -> Q:
    """A where input as a Q."""
    wanted = Q()
    for key, value in vars(where).items():
        if value is None or value is strawberry.UNSET:
            continue
        if key == "not_":
            wanted &= ~condition(value, principal)
        elif key == "and_":
            for one in value:
                wanted &= condition(one, principal)
        elif key == "or_":
            wanted &= _any_of(value, principal)
        elif key in where.edges:
            wanted &= _edge(where, where.edges[key], value, principal)
        else:
            found = where.conditions[key]
            wanted &= found.predicate(found.path, _plain(value, found.is_id))
    return wanted


def _any_of(alternatives: Sequence[Any], principal: Any) -> Q:
    wanted = Q()
    for one in alternatives:
        wanted |= condition(one, principal)
    return wanted


def _edge(where: Any, name: str, alternatives: Sequence[Any], principal: Any) -> Q:
    """Rows with a visible neighbour that fits: what one may not see, one cannot search by."""
    relation = where.model._meta.get_field(name)
    neighbours = NODES[relation.related_model].visible_to(principal)
    for one in alternatives:
        neighbours = neighbours.filter(condition(one, principal))
    if relation.many_to_one:
        return Q(**{f"{name}__in": neighbours})
    found = where.model._default_manager.filter(**{f"{name}__in": neighbours})
    return Q(pk__in=found.values("pk"))


def _plain(value: Any, is_id: bool) -> Any:
    if isinstance(value, list):
        return [_plain(one, is_id) for one in value]
    if isinstance(value, enum.Enum):
        return value.value
    return as_id(value) if is_id else value


def as_id(value: str) -> UUID:
    """A malformed id is an id that no row has."""
    try:
        return UUID(value)
    except ValueError:
        return NIL


# --- order and connection types ----------------------------------------------------------------------


@strawberry.enum(name="OrderDirection")
class OrderDirection(enum.Enum):
    ASC = "ASC"
    DESC = "DESC"


registry.add(OrderDirection)


def _order_inputs(generated: NodeType) -> None:
    name = f"{generated.name}Order"
    members = {}
    for column in generated.order:
        kind = columns.type_name(generated.model._meta.get_field(column))
        is_enum = isinstance(getattr(registry, kind, None), enum.EnumType)
        members[column.upper() if is_enum else column] = column  # as the contract spells them
    registry.add(strawberry.enum(enum.Enum(f"{name}Field", members), name=f"{name}Field"))
    made = _input(
        name,
        {"field": ("field", f"{name}Field")},
        defaults={"direction": ("OrderDirection", OrderDirection.ASC)},
    )
    made.__doc__ = f"How to order {generated.name} connections"


def _connection_types(generated: NodeType) -> None:
    name = generated.name
    edge = _plain_type(f"{name}Edge", {"node": f"{name} | None", "cursor": "Cursor"})
    _plain_type(
        f"{name}Connection",
        {"edges": f"list[{edge.__name__} | None] | None", "page_info": "PageInfo", "total_count": "int"},
    )


def _plain_type(name: str, annotations: dict[str, str]) -> Any:
    body = {"__annotations__": annotations, "__module__": registry.__name__}
    return registry.add(strawberry.type(type(name, (), body), name=name))


def _input(
    name: str,
    fields: dict[str, tuple[str, str]],
    defaults: dict[str, tuple[str, Any]] | None = None,
) -> Any:
    """An input type. `fields`: attribute -> (name on the wire, annotation); null and absent are optional."""
    body: dict[str, Any] = {"__module__": registry.__name__, "__annotations__": {}}
    for attribute, (wire, annotation) in fields.items():
        body["__annotations__"][attribute] = annotation
        optional = {"default": strawberry.UNSET} if annotation.endswith("| None") else {}
        body[attribute] = strawberry.field(name=wire, **optional)
    for attribute, (annotation, default) in (defaults or {}).items():
        body["__annotations__"][attribute] = annotation
        body[attribute] = strawberry.field(default=default)
    return registry.add(strawberry.input(type(name, (), body), name=name))


def annotation_of(name: str) -> StrawberryAnnotation:
    """A generated type by name, for a field made by hand."""
    return StrawberryAnnotation(name, namespace=vars(registry))


# --- after the schema is built -----------------------------------------------------------------------


def plain(schema: strawberry.Schema) -> strawberry.Schema:
    """Let graphql-core read leaf fields straight off the row: a page has a thousand of them."""
    for generated in NODES.values():
        built = schema._schema.type_map[generated.name]
        built.is_type_of = _is_row_of(generated.model)  # type: ignore[union-attr]
        for name, source in generated.sources.items():
            if not isinstance(source, Many):
                built.fields[camel(name)].resolve = _attribute(name)  # type: ignore[union-attr]
    return schema


def _is_row_of(model: type[models.Model]) -> Callable[[Any, Any], bool]:
    return lambda row, info: isinstance(row, model)


def _attribute(name: str) -> Callable[[Any, Any], Any]:
    read = attrgetter(name)
    return lambda row, info: read(row)
