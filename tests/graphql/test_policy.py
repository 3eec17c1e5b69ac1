"""Root fields are closed by default; what goes wrong inside them is told, and no more than that."""

import json
import logging
from typing import Any

import pytest
import strawberry
from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import HttpResponse
from django.test import RequestFactory
from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLObjectType,
    get_named_type,
    is_required_argument,
    is_required_input_field,
)
from strawberry.schema.config import StrawberryConfig

from audit.actions import Action
from audit.models import Event
from config.graphql.naming import Names
from config.graphql.policy import RequiresScope, authenticated, enforce, scope_in, scoped
from config.graphql.view import GraphQLView
from config.schema import Mutation, schema
from config.schema import Query as RootQuery
from organizations.access import InsufficientScopes, Kind, Principal
from organizations.models import Organization
from organizations.scopes import CATALOGUE
from tests.conftest import Query, World
from tests.factories import make_api_token, make_personal_token
from tokens.authentication import refuse, unauthenticated


class Noted:
    """A door that opens to nobody for the scope "closed", and notes what happens at it."""

    def __init__(self) -> None:
        self.uses: list[tuple[str, str, str]] = []
        self.denials: list[tuple[str, dict[str, Any], str]] = []

    def require(self, principal: Principal, scope: str) -> None:
        if scope == "closed":
            raise InsufficientScopes(scope)

    def passed(self, context: Any, operation: str, scope: str, outcome: str) -> None:
        self.uses.append((operation, scope, outcome))

    def denied(self, context: Any, operation: str, arguments: dict[str, Any], why: Exception) -> None:
        self.denials.append((operation, arguments, type(why).__name__))


@strawberry.type
class Doors:
    @strawberry.field(directives=scoped("open"))
    def open_door(self, number: int = 0) -> int | None:
        return number

    @strawberry.field(directives=scoped("closed"))
    def closed_door(self, number: int = 0) -> int | None:
        raise AssertionError("was called")

    @strawberry.field(directives=authenticated())
    def every_door(self) -> int | None:
        return 1


@strawberry.type
class Changes(Doors):
    pass


@strawberry.type
class OneUndeclared:
    @strawberry.field(directives=scoped("open"))
    def declared(self) -> int:
        return 1

    @strawberry.field
    def forgotten_field(self) -> int:
        return 1


def built(query: type, door: Noted, mutation: type | None = None) -> strawberry.Schema:
    config = StrawberryConfig(name_converter=Names())
    return enforce(strawberry.Schema(query=query, mutation=mutation, config=config), door)


def ask(view: GraphQLView, document: str, accept: str = "*/*") -> HttpResponse:
    """As somebody with a token, past the middlewares."""
    body = json.dumps({"query": document})
    headers = {"accept": accept}
    request = RequestFactory().post("/query", body, content_type="application/json", headers=headers)
    request.principal = Principal(Kind.API_TOKEN, token=object())  # type: ignore[attr-defined]
    request.request_id = "request-1"  # type: ignore[attr-defined]
    return view(request)


def told(view: GraphQLView, document: str) -> Any:
    return json.loads(ask(view, document).content)


# --- closed by default -------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "mutation"), [(OneUndeclared, None), (Doors, OneUndeclared)])
def test_a_root_field_without_a_declaration_keeps_the_schema_from_being_built(
    query: type, mutation: type | None
) -> None:
    with pytest.raises(LookupError, match="Root field forgottenField declares neither"):
        built(query, Noted(), mutation)


ROOTS = {
    f"{kind} {field.python_name}": (kind, field)
    for kind, root in (("query", RootQuery), ("mutation", Mutation))
    for field in root.__strawberry_definition__.fields  # type: ignore[attr-defined]
}


OF_PEOPLE = {
    "create_organization",
    "create_organization_with_members",
    "leave_organization",
    "transfer_organization_ownership",
    "update_user",
    "update_user_setting",
}
"""Mutations that need no scope in any organization: their services ask who the person is."""


@pytest.mark.parametrize("field", [field for _, field in ROOTS.values()], ids=ROOTS.keys())
def test_every_root_field_declares_a_scope_that_exists_or_that_it_needs_none(field: Any) -> None:
    scopes = [one.scope for one in field.directives if isinstance(one, RequiresScope)]

    assert len(field.directives) == 1
    assert all(scope in CATALOGUE for scope in scopes)


def literal(argument: Any) -> str:
    """The least that an argument takes."""
    kind = get_named_type(argument.type)
    if isinstance(getattr(argument.type, "of_type", argument.type), GraphQLList):
        return "[]"
    if isinstance(kind, GraphQLInputObjectType):
        required = {name: one for name, one in kind.fields.items() if is_required_input_field(one)}
        return f"{{{', '.join(f'{name}: {literal(one)}' for name, one in required.items())}}}"
    return '"x"'


def document(kind: str, name: str) -> str:
    root = schema._schema.mutation_type if kind == "mutation" else schema._schema.query_type
    assert root is not None
    field = root.fields[name]
    needed = {key: one for key, one in field.args.items() if is_required_argument(one)}
    arguments = ", ".join(f"{key}: {literal(one)}" for key, one in needed.items())
    selection = "{ __typename }" if isinstance(get_named_type(field.type), GraphQLObjectType) else ""
    return f"{kind} {{ {name}{f'({arguments})' if arguments else ''} {selection} }}"


@pytest.mark.parametrize(
    ("kind", "name", "scope"),
    [
        (kind, Names().apply_naming_config(field.python_name), directive.scope)
        for kind, field in ROOTS.values()
        for directive in field.directives
        if isinstance(directive, RequiresScope)
    ],
)
def test_a_token_without_scopes_is_refused_at_every_door(
    world: World, query: Query, kind: str, name: str, scope: str
) -> None:
    answer = query(document(kind, name), token=make_api_token(world.acme).token)

    assert (answer.status, answer.code) == (200, "INSUFFICIENT_SCOPES")
    assert answer.body["data"] in (None, {name: None})  # as the field itself may be null or not
    assert answer.error["extensions"]["requiredScopes"] == [scope]
    assert answer.error["path"] == [name]


@pytest.mark.parametrize(
    "name",
    [
        Names().apply_naming_config(field.python_name)
        for kind, field in ROOTS.values()
        if kind == "mutation" and not scope_in(field.directives) and "bulk" not in field.python_name
    ],
)
def test_a_mutation_that_declares_no_scope_is_closed_to_who_may_only_read(
    world: World, query: Query, name: str
) -> None:
    """Its service asks for one. Of many rows it leaves each: see tests/organizations/test_many_at_once.py."""
    token = make_personal_token(world.owner, "read").token
    before = Event.objects.exclude(action=Action.ACCESS_DENIED).count()

    answer = query(document("mutation", name), token=token)

    assert answer.code in ("INSUFFICIENT_SCOPES", "UNAUTHORIZED", "NOT_FOUND")
    assert answer.body["data"] is None
    assert Event.objects.exclude(action=Action.ACCESS_DENIED).count() == before


def test_each_alias_passes_the_door_by_itself() -> None:
    door = Noted()
    view = GraphQLView(built(Doors, door)._schema, unauthenticated, refuse)

    found = told(
        view, "{ a: openDoor(number: 1) b: closedDoor c: openDoor(number: 2) d: closedDoor e: everyDoor }"
    )

    assert found["data"] == {"a": 1, "b": None, "c": 2, "d": None, "e": 1}
    assert [error["path"] for error in found["errors"]] == [["b"], ["d"]]
    assert door.uses == [
        ("openDoor", "open", "ok"),
        ("closedDoor", "closed", "INSUFFICIENT_SCOPES"),
        ("openDoor", "open", "ok"),
        ("closedDoor", "closed", "INSUFFICIENT_SCOPES"),
        ("everyDoor", "", "ok"),
    ]


def test_a_fragment_is_no_way_round_the_door() -> None:
    view = GraphQLView(built(Doors, Noted())._schema, unauthenticated, refuse)

    found = told(view, "{ ...F } fragment F on Doors { ... on Doors { closedDoor } }")

    assert found["errors"][0]["extensions"]["code"] == "INSUFFICIENT_SCOPES"


def test_a_refused_mutation_is_noted_with_what_was_asked_and_a_query_is_not() -> None:
    door = Noted()
    view = GraphQLView(built(Doors, door, mutation=Changes)._schema, unauthenticated, refuse)

    told(view, "{ closedDoor(number: 1) }")
    assert door.denials == []
    told(view, "mutation { a: closedDoor(number: 2) openDoor b: closedDoor(number: 3) }")

    assert door.denials == [
        ("closedDoor", {"number": 2}, "InsufficientScopes"),
        ("closedDoor", {"number": 3}, "InsufficientScopes"),
    ]


# --- what goes wrong ---------------------------------------------------------------------------------

SECRET = "the password is hunter2"


class Known(Exception):
    extensions = {"code": "CONFLICT", "hint": "wait"}


def failing(error: Exception) -> GraphQLView:
    @strawberry.type
    class Failing:
        @strawberry.field(directives=authenticated())
        def fails(self) -> int | None:
            raise error

        @strawberry.field(directives=authenticated())
        def works(self) -> int:
            return 1

    return GraphQLView(built(Failing, Noted())._schema, unauthenticated, refuse)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValidationError({"owner_id": "Who?"}), "VALIDATION_ERROR", "ownerID: Who?"),
        (ValidationError({NON_FIELD_ERRORS: ["Not so."]}), "VALIDATION_ERROR", "Not so."),
        (ValidationError("Not so."), "VALIDATION_ERROR", "Not so."),
        (ValidationError(["One.", "Two."]), "VALIDATION_ERROR", "One. Two."),
        (
            ValidationError({"name": ValidationError("Taken.", code="unique")}),
            "ALREADY_EXISTS",
            "name: Taken.",
        ),
        (ValidationError("Gone.", code="token_revoked"), "TOKEN_REVOKED", "Gone."),
        (Organization.DoesNotExist(SECRET), "NOT_FOUND", "organization not found"),
        (ObjectDoesNotExist(SECRET), "NOT_FOUND", "objectdoesnotexist not found"),
        (PermissionDenied("Ask an owner."), "UNAUTHORIZED", "Ask an owner."),
        (InsufficientScopes("read"), "INSUFFICIENT_SCOPES", "This token lacks the scope read"),
        (IntegrityError(SECRET), "CONFLICT", "Somebody else changed this"),
        (Known("Wait."), "CONFLICT", "Wait."),
        (GraphQLError("Odd.", extensions={"code": "INVALID_PAGINATION"}), "INVALID_PAGINATION", "Odd."),
        (GraphQLError("Odd."), "BAD_REQUEST", "Odd."),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_what_is_expected_has_a_code_and_says_what_to_do(
    caplog: pytest.LogCaptureFixture, error: Exception, code: str, message: str
) -> None:
    response = ask(failing(error), "{ works fails }")

    found = json.loads(response.content)
    assert (response.status_code, found["data"]) == (200, {"works": 1, "fails": None})
    assert found["errors"][0]["extensions"]["code"] == code
    assert found["errors"][0]["message"].startswith(message)
    assert found["errors"][0]["path"] == ["fails"]
    assert SECRET not in response.content.decode()
    assert not caplog.records


def test_what_is_wrong_with_which_field_stands_in_the_extensions() -> None:
    error = ValidationError(
        {"owner_id": ["Who?", "Where?"], "recent_ip_addresses": "None.", NON_FIELD_ERRORS: "No."}
    )

    extensions = told(failing(error), "{ fails }")["errors"][0]["extensions"]

    assert extensions["fields"] == {
        "ownerID": ["Who?", "Where?"],
        "recentIPAddresses": ["None."],
        "input": ["No."],
    }


def test_what_an_exception_says_of_itself_stands_in_the_extensions() -> None:
    extensions = told(failing(Known("Wait.")), "{ fails }")["errors"][0]["extensions"]

    assert extensions == {"code": "CONFLICT", "hint": "wait"}


@pytest.mark.parametrize(
    "error",
    [RuntimeError(SECRET), KeyError(SECRET), TypeError(SECRET), DataError(SECRET), RecursionError(SECRET)],
    ids=repr,
)
def test_what_is_unexpected_is_masked_and_logged_once_with_the_request_id(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    response = ask(failing(error), "{ works fails }")

    found = json.loads(response.content)
    assert (response.status_code, found["data"]) == (200, {"works": 1, "fails": None})
    assert found["errors"] == [
        {
            "message": "Something went wrong on our side. Quote the request id when you report it.",
            "locations": [{"line": 1, "column": 9}],
            "path": ["fails"],
            "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestID": "request-1"},
        }
    ]
    assert SECRET not in response.content.decode()
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "config.graphql.errors")
    assert "request-1" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("error", [OperationalError(SECRET), InterfaceError(SECRET)], ids=repr)
def test_a_database_that_is_away_is_503_and_says_when_to_come_back(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    for accept in ("*/*", "application/json"):
        response = ask(failing(error), "{ works fails }", accept)

        assert (response.status_code, response["Retry-After"]) == (503, "5")
        found = json.loads(response.content)["errors"][0]
        assert found["extensions"] == {"code": "UNAVAILABLE", "requestID": "request-1"}
        assert SECRET not in response.content.decode()


def test_a_null_where_none_can_be_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    @strawberry.type
    class Nothing:
        @strawberry.field(directives=authenticated())
        def nothing(self) -> int:
            return None  # type: ignore[return-value]

    view = GraphQLView(built(Nothing, Noted())._schema, unauthenticated, refuse)

    (error,) = told(view, "{ nothing }")["errors"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert len(caplog.records) == 1
