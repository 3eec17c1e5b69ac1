"""A column that a model gets is on the wire: in its type, its where input and, once named, its inputs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import strawberry
from django.conf import settings
from django.db import models
from django.test.utils import isolate_apps
from graphql import GraphQLInputObjectType, GraphQLObjectType, execute_sync, parse
from strawberry.schema.config import StrawberryConfig

from config.graphql import connection, generate, registry
from config.graphql.inputs import create_input, update_input
from config.graphql.naming import Names
from config.graphql.registry import NODES
from config.graphql.scalars import SCALARS
from config.graphql.view import Context
from config.schema import schema
from organizations.fields import StringListField
from organizations.models import Organization
from tests.conftest import World

EQUAL, LISTS, ORDER = ["", "NEQ"], ["In", "NotIn"], ["GT", "GTE", "LT", "LTE"]
TEXT, FOLD, NIL = ["Contains", "HasPrefix", "HasSuffix"], ["EqualFold", "ContainsFold"], ["IsNil", "NotNil"]


class Everything(models.QuerySet[Any]):
    def visible_to(self, principal: Any) -> Any:
        return self


@pytest.fixture(autouse=True)
def _forgotten_afterwards() -> Iterator[None]:
    """What a test generates is not there for the next."""
    names, nodes = dict(vars(registry)), dict(NODES)
    yield
    for name in vars(registry).keys() - names.keys():
        del vars(registry)[name]
    NODES.clear()
    NODES.update(nodes)


def gadget(added: dict[str, Any] | None = None, **columns: Any) -> strawberry.Schema:
    """The schema of a model with these columns, one list of which is all its declaration says.

    `added`: what another app extends it with.
    """
    meta = type(
        "Meta", (), {"app_label": "gadgets", "managed": False, "db_table": "organizations_organization"}
    )
    with isolate_apps():
        key = models.UUIDField(primary_key=True)
        body = {
            "__module__": __name__,
            "Meta": meta,
            "id": key,
            **columns,
            "objects": Everything.as_manager(),
        }
        model: Any = type("Gadget", (models.Model,), body)
        generate.extend(model, **(added or {}))  # whichever app is imported first
        generate.node(model, order=("id",))(type("Gadget", (), {"__annotations__": {}}))
        fields = [column.attname for column in model._meta.concrete_fields if column.attname != "id"]
        create_input(model, fields)
        update_input(model, fields)

    query = strawberry.type(type("Query", (), {"gadgets": connection.field(model)}))

    def change(create: Any, update: Any) -> int:
        raise NotImplementedError

    change.__annotations__ = {"create": "CreateGadgetInput", "update": "UpdateGadgetInput", "return": int}
    change.__module__ = registry.__name__
    mutation = strawberry.type(type("Mutation", (), {"change": strawberry.field(resolver=change)}))
    config = StrawberryConfig(name_converter=Names(), scalar_map=SCALARS)
    return generate.schema(query=query, mutation=mutation, config=config)


def kinds(built: strawberry.Schema, name: str) -> dict[str, str]:
    """Field -> type, as the SDL writes it."""
    found = built._schema.type_map[name]
    assert isinstance(found, GraphQLObjectType | GraphQLInputObjectType)
    return {key: str(field.type) for key, field in found.fields.items()}


COLUMNS: dict[str, tuple[Callable[[], Any], str, list[str], list[str]]] = {
    # the column, its type, its predicates, the keys of its update input
    "text": (lambda: models.CharField(max_length=9), "String!", EQUAL + LISTS + ORDER + TEXT + FOLD, ["a"]),
    "a nullable text": (
        lambda: models.TextField(null=True),
        "String",
        EQUAL + LISTS + ORDER + TEXT + FOLD + NIL,
        ["a", "clearA"],
    ),
    "a number": (lambda: models.IntegerField(), "Int!", EQUAL + LISTS + ORDER, ["a"]),
    "a number with a default": (
        lambda: models.PositiveBigIntegerField(default=0),
        "Int",
        EQUAL + LISTS + ORDER + NIL,
        ["a", "clearA"],
    ),
    "a switch": (lambda: models.BooleanField(), "Boolean!", EQUAL, ["a"]),
    "a time": (lambda: models.DateTimeField(), "Time!", EQUAL + LISTS + ORDER, ["a"]),
    "an id": (lambda: models.UUIDField(), "ID!", EQUAL + LISTS + ORDER + FOLD, ["a"]),
    "a choice": (
        lambda: models.CharField(max_length=9, choices=[("BIG", "big"), ("SMALL", "small")]),
        "GadgetA!",
        EQUAL + LISTS,
        ["a"],
    ),
    "a choice that GraphQL cannot name": (
        lambda: models.CharField(max_length=9, choices=[("so.big", "big")]),
        "String!",
        EQUAL + LISTS + ORDER + TEXT + FOLD,
        ["a"],
    ),
    "a map": (lambda: models.JSONField(default=dict), "Map", [], ["a", "clearA"]),
    "a list": (lambda: StringListField(), "[String!]", ["Has"], ["a", "appendA", "clearA"]),
}


@pytest.mark.parametrize(("column", "kind", "suffixes", "keys"), COLUMNS.values(), ids=COLUMNS.keys())
def test_a_new_column_is_on_the_wire(
    column: Callable[[], Any], kind: str, suffixes: list[str], keys: list[str]
) -> None:
    built = gadget(name=models.CharField(max_length=9), a=column())

    plain = kind.removesuffix("!")
    assert kinds(built, "Gadget")["a"] == kind
    where = {key: found for key, found in kinds(built, "GadgetWhereInput").items() if key.startswith("a")}
    del where["and"]
    assert where == {
        f"a{suffix}": "Boolean"
        if suffix in NIL
        else "String"
        if suffix == "Has"
        else f"[{plain}!]"
        if suffix in LISTS
        else plain
        for suffix in suffixes
    }
    assert kinds(built, "CreateGadgetInput")["a"] == kind
    changes = kinds(built, "UpdateGadgetInput")
    assert list(changes) == ["name", *keys]
    assert changes["a"] == plain
    assert all(changes[key] == "Boolean" for key in keys if key.startswith("clear"))


def test_a_new_foreign_key_is_an_id_and_an_edge() -> None:
    built = gadget(home_base=models.ForeignKey(Organization, models.CASCADE, null=True, related_name="+"))

    found = kinds(built, "Gadget")
    assert (found["homeBaseID"], found["homeBase"]) == ("ID", "Organization")
    where = [
        key.removeprefix("homeBaseID") for key in kinds(built, "GadgetWhereInput") if key.startswith("home")
    ]
    assert where == EQUAL + LISTS + ORDER + TEXT + FOLD + NIL
    assert kinds(built, "UpdateGadgetInput") == {"homeBaseID": "ID", "clearHomeBase": "Boolean"}


def test_a_relation_that_another_app_adds_is_a_connection_and_an_edge() -> None:
    places = generate.many(Organization, lambda gadgets, principal: Organization.objects.none())
    built = gadget({"places": places}, name=models.CharField(max_length=9))

    assert kinds(built, "Gadget")["places"] == "OrganizationConnection!"
    where = {key: kind for key, kind in kinds(built, "GadgetWhereInput").items() if key.startswith("has")}
    assert where == {"hasPlaces": "Boolean", "hasPlacesWith": "[OrganizationWhereInput!]"}


def test_a_column_of_a_kind_without_a_name_in_graphql_keeps_the_schema_from_being_built() -> None:
    with pytest.raises(TypeError, match=r"gadgets\.Gadget\.a has no GraphQL type"):
        gadget(a=models.FloatField())


def test_a_new_column_is_loaded_searched_and_ordered_by(world: World) -> None:
    """Of a table that exists, seen through a model that knows two of its columns."""
    built = gadget(name=models.CharField(max_length=160), created_at=models.DateTimeField())
    document = """
    { gadgets(where: {nameHasPrefix: "g", createdAtGT: "2020-01-01T00:00:00Z"}, orderBy: [{field: id}]) {
      totalCount edges { node { id name createdAt } }
    } }
    """
    result = execute_sync(built._schema, parse(document), context_value=Context(None, []))

    assert result.errors is None
    created_at = world.globex.created_at.isoformat().replace("+00:00", "Z")
    node = {"id": str(world.globex.pk), "name": "globex", "createdAt": created_at}
    assert result.data == {"gadgets": {"totalCount": 1, "edges": [{"node": node}]}}


def test_leaf_fields_are_read_without_a_wrapper() -> None:
    """A page has a thousand of them: each has a resolver of two arguments that reads one attribute."""
    for generated in NODES.values():
        fields: Any = schema._schema.type_map[generated.name]
        for name, source in generated.by_wire_name.items():
            if not hasattr(source, "children"):
                assert fields.fields[name].resolve.__qualname__ == "_attribute.<locals>.<lambda>"


def test_the_committed_schema_is_the_one_that_is_served() -> None:
    """manage.py export_schema config.schema:schema > schema.graphql"""
    committed = Path(settings.BASE_DIR, "schema.graphql").read_text()

    assert committed.strip() == schema.as_str().strip()
