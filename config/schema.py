"""The GraphQL schema: every app's Query and Mutation, merged, behind one door."""

from typing import Any

import strawberry
from strawberry.schema.config import StrawberryConfig

import accounts.schema
import audit.schema
import organizations.schema
import tokens.schema
from config.graphql import generate, refetch
from config.graphql.naming import Names
from config.graphql.policy import enforce
from config.graphql.scalars import SCALARS
from organizations.access import Principal, require_somewhere
from tokens import services
from tokens.usage import Use


@strawberry.type
class Query(
    refetch.Query, tokens.schema.Query, audit.schema.Query, accounts.schema.Query, organizations.schema.Query
):
    pass


@strawberry.type
class Mutation(tokens.schema.Mutation, accounts.schema.Mutation, organizations.schema.Mutation):
    pass


class Door:
    """What passes the schema's door is counted; what it refuses to write is in the audit trail."""

    def require(self, principal: Principal, scope: str) -> None:
        require_somewhere(principal, scope)

    def passed(self, context: Any, operation: str, scope: str, outcome: str) -> None:
        context.uses.append(Use(operation, scope, outcome))

    def denied(self, context: Any, operation: str, arguments: dict[str, Any], why: Exception) -> None:
        services.record_denial(context.principal, operation, arguments.get("id"), why)


schema = enforce(
    generate.schema(
        query=Query,
        mutation=Mutation,
        config=StrawberryConfig(name_converter=Names(), scalar_map=SCALARS),
    ),
    Door(),
)
