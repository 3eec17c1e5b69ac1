"""Root fields about tokens: each translates the contract's input into one call of a service."""

from typing import Any

import strawberry
from django.core.exceptions import ValidationError
from strawberry.types.info import Info

from config.graphql import bulk, connection
from config.graphql.mutations import create, delete, single, update
from config.graphql.policy import authenticated, scoped
from organizations.access import Principal
from tokens import models, services
from tokens.policies import Policies
from tokens.types import Viewer, viewer_of

READ, MANAGE = scoped("read:tokens"), scoped(services.MANAGE)


def create_api_token(principal: Principal, given: dict[str, Any]) -> models.APIToken:
    organization_id = principal.organization(given.pop("owner_id", None))
    return services.create_api_token(principal, organization_id=organization_id, **_born_active(given))


def create_api_tokens(principal: Principal, rows: bulk.Rows) -> list[models.APIToken]:
    policies = Policies()

    def drafted(given: dict[str, Any]) -> models.APIToken:
        organization_id = principal.organization(given.pop("owner_id", None))
        return services.draft_api_token(
            principal, organization_id=organization_id, policies=policies, **_born_active(given)
        )

    return services.issue(principal, list(bulk.each_valid(rows, drafted).values()))


def create_personal_access_token(principal: Principal, given: dict[str, Any]) -> models.PersonalAccessToken:
    organizations = given.pop("organization_ids", None)
    if organizations == []:  # must not be read as "all"
        raise ValidationError({"organization_ids": "Name at least one, or leave it out for all of yours."})
    return services.create_personal_access_token(
        principal, organizations=organizations, **_born_active(given)
    )


def _born_active(given: dict[str, Any]) -> dict[str, Any]:
    services.require_born_active(given.pop("is_active", True))
    return given


def viewer(info: Info) -> Viewer:
    return viewer_of(info.context.principal)


@strawberry.type
class Query:
    api_tokens = connection.field(models.APIToken, directives=READ)
    api_token = single(models.APIToken, directives=READ)
    personal_access_tokens = connection.field(models.PersonalAccessToken, directives=READ)
    personal_access_token = single(models.PersonalAccessToken, directives=READ)
    viewer: Viewer = strawberry.field(
        resolver=viewer, description="Who is asking", directives=authenticated()
    )


@strawberry.type
class Mutation:
    create_api_token = create(models.APIToken, create_api_token, directives=MANAGE)
    update_api_token = update(models.APIToken, services.update_token, directives=MANAGE)
    delete_api_token = delete(models.APIToken, services.delete_token, directives=MANAGE)
    create_bulk_api_token = bulk.create(models.APIToken, create_api_tokens, directives=MANAGE)
    create_bulk_csv_api_token = bulk.create_from_csv(models.APIToken, create_api_tokens, directives=MANAGE)
    update_bulk_api_token = bulk.update(models.APIToken, services.update_token, directives=MANAGE)
    update_bulk_csv_api_token = bulk.update_from_csv(
        models.APIToken, services.update_token, directives=MANAGE
    )
    delete_bulk_api_token = bulk.delete(models.APIToken, services.delete_token, directives=MANAGE)
    create_personal_access_token = create(
        models.PersonalAccessToken, create_personal_access_token, directives=MANAGE
    )
    update_personal_access_token = update(
        models.PersonalAccessToken, services.update_token, directives=MANAGE
    )
    delete_personal_access_token = delete(
        models.PersonalAccessToken, services.delete_token, directives=MANAGE
    )
