"""The scalars of the contract."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

Time = NewType("Time", datetime)
DateTime = NewType("DateTime", datetime)
Cursor = NewType("Cursor", str)
Map = NewType("Map", dict)  # type: ignore[type-arg]
SSOAuthorizationMap = NewType("SSOAuthorizationMap", dict)  # type: ignore[type-arg]

NIL = UUID(int=0)
"""Stands for a malformed id, which no row has."""


def as_id(value: str) -> UUID:
    """A malformed id is an id that no row has."""
    try:
        return UUID(value)
    except ValueError:
        return NIL


def _serialize_time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def parse_time(value: Any) -> datetime:
    """In UTC. Raises GraphQLError for what is not RFC 3339 with an offset."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None and "T" in value.upper():
            return moment.astimezone(UTC)  # overflows for the first and last hours of the calendar
    except (TypeError, ValueError, OverflowError):
        pass
    raise GraphQLError(
        "Give a time as RFC 3339 with an offset, such as 2030-12-31T23:59:59Z.",
        extensions={"code": "VALIDATION_ERROR"},
    )


def _as_map(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    raise GraphQLError("Give a JSON object.", extensions={"code": "VALIDATION_ERROR"})


def _in_document(parse_value: Callable[[Any], Any]) -> Callable[..., Any]:
    """The same for a literal, whose place in the document the error tells."""

    def parse_literal(literal: ValueNode, variables: dict[str, Any] | None = None) -> Any:
        try:
            return parse_value(value_from_ast_untyped(literal, variables))
        except GraphQLError as fault:
            raise GraphQLError(fault.message, literal, extensions=fault.extensions) from None

    return parse_literal


SCALARS: dict[object, ScalarDefinition] = {
    Time: strawberry.scalar(
        name="Time",
        description="RFC 3339 with an offset",
        serialize=_serialize_time,
        parse_value=parse_time,
        parse_literal=_in_document(parse_time),
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339 with an offset, as Time",
        serialize=_serialize_time,
        parse_value=parse_time,
        parse_literal=_in_document(parse_time),
    ),
    Cursor: strawberry.scalar(
        name="Cursor", description="An opaque position in a connection", serialize=str, parse_value=str
    ),
    Map: strawberry.scalar(name="Map", description="A JSON object", serialize=dict, parse_value=_as_map),
    SSOAuthorizationMap: strawberry.scalar(
        name="SSOAuthorizationMap",
        description="Organization id -> time of authorization",
        serialize=dict,
        parse_value=_as_map,
    ),
}
