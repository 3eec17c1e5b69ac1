"""Who may call a root field, written in the schema and closed by default.

Each root field carries `@requiresScope(scope: ...)` or `@authenticated`. `enforce` wraps every root
resolver once, when the schema has been built; a field with neither keeps the schema from starting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

import strawberry
from django.core.exceptions import PermissionDenied
from graphql import GraphQLField, GraphQLObjectType
from strawberry.schema_directive import Location

from config.graphql import errors
from config.graphql.naming import camel


@strawberry.schema_directive(locations=[Location.FIELD_DEFINITION], name="requiresScope")
class RequiresScope:
    """The caller must hold this scope somewhere; where exactly, the object decides."""

    scope: str


@strawberry.schema_directive(locations=[Location.FIELD_DEFINITION], name="authenticated")
class Authenticated:
    """Any caller with a valid credential."""


class Door(Protocol):
    """What an app layer does at the doors; config/schema.py has the one implementation."""

    def require(self, principal: Any, scope: str) -> None:
        """Raises PermissionDenied."""

    def passed(self, context: Any, operation: str, scope: str, outcome: str) -> None:
        """A root field was called, and this came of it: "ok" or a code."""

    def denied(self, context: Any, operation: str, arguments: dict[str, Any], why: Exception) -> None:
        """A mutation was refused."""


def scoped(name: str) -> list[object]:
    """For `strawberry.field(directives=scoped("read:tokens"))`."""
    return [RequiresScope(scope=name)]


def authenticated() -> list[object]:
    return [Authenticated()]


def scope_in(directives: Iterable[object]) -> str:
    """The scope that a root field's directives ask for; empty when they ask for none."""
    return next((one.scope for one in directives if isinstance(one, RequiresScope)), "")


def enforce(schema: strawberry.Schema, door: Door) -> strawberry.Schema:
    """Put every root resolver behind the door. Raises LookupError for a field that declares nothing."""
    for root, is_mutation in ((schema.query, False), (schema.mutation, True)):
        if root is None:
            continue
        definition = root.__strawberry_definition__  # type: ignore[attr-defined]
        fields = cast(GraphQLObjectType, schema._schema.type_map[definition.name]).fields
        for declared in definition.fields:
            name = declared.graphql_name or camel(declared.python_name)
            _guard(fields[name], name, _scope_of(declared, name), door, is_mutation)
    return schema


def _scope_of(declared: Any, name: str) -> str:
    for directive in declared.directives:
        if isinstance(directive, RequiresScope):
            return directive.scope
        if isinstance(directive, Authenticated):
            return ""
    raise LookupError(f"Root field {name} declares neither @requiresScope nor @authenticated.")


def _guard(field: GraphQLField, name: str, scope: str, door: Door, is_mutation: bool) -> None:
    resolve: Callable[..., Any] = field.resolve  # type: ignore[assignment]

    def guarded(root: Any, info: Any, **arguments: Any) -> Any:
        context = info.context
        try:
            if scope:
                door.require(context.principal, scope)
            answer = resolve(root, info, **arguments)
        except Exception as error:
            door.passed(context, name, scope, errors.code_of(error))
            if is_mutation and isinstance(error, PermissionDenied):
                door.denied(context, name, arguments, error)
            raise
        finally:
            while context.refused:  # of many rows, some
                key, why = context.refused.pop(0)
                door.denied(context, name, {"id": key}, why)
        door.passed(context, name, scope, "ok")
        return answer

    field.resolve = guarded
