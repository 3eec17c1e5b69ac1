"""Root fields about organizations, members, groups, and the scopes there are."""

import strawberry

from config.graphql import connection
from config.graphql.mutations import single
from config.graphql.policy import authenticated, scoped
from organizations import models, types  # noqa: F401 (types registers what the fields answer)
from organizations.scopes import CATALOGUE


@strawberry.type(description="A permission that can be asked for")
class Scope:
    name: str
    description: str


def all_scopes() -> list[Scope]:
    return [Scope(name=name, description=description) for name, description in CATALOGUE.items()]


@strawberry.type
class Query:
    organizations = connection.field(models.Organization, directives=scoped("read:organization"))
    organization = single(models.Organization, directives=scoped("read:organization"))
    org_memberships = connection.field(models.OrgMembership, directives=scoped("read:members"))
    org_membership = single(models.OrgMembership, directives=scoped("read:members"))
    groups = connection.field(models.Group, directives=scoped("read:groups"))
    group = single(models.Group, directives=scoped("read:groups"))
    scopes: list[Scope] = strawberry.field(
        resolver=all_scopes, description="Every scope there is", directives=authenticated()
    )
