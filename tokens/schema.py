"""Root fields about tokens: each translates the contract's input into one call of a service."""

from typing import Any
from uuid import UUID

import strawberry
from django.core.exceptions import ValidationError
from strawberry import UNSET
from strawberry.types.info import Info

from config.graphql import bulk, connection, inputs, registry
from config.graphql.mutations import act, create, delete, read_back, root_field, single, update
from config.graphql.policy import authenticated, scoped
from config.graphql.registry import NODES
from config.graphql.scalars import as_id
from organizations.access import Principal
from tokens import models, policies, rotation, services
from tokens.policies import Policies
from tokens.types import Viewer, viewer_of

READ, MANAGE = scoped("read:tokens"), scoped(services.MANAGE)


def create_api_token(principal: Principal, given: dict[str, Any]) -> models.APIToken:
    organization_id = principal.organization(given.pop("owner_id", None))
    return services.create_api_token(principal, organization_id=organization_id, **_born_active(given))


def create_api_tokens(principal: Principal, rows: bulk.Rows) -> list[models.APIToken]:
    known = Policies()

    def drafted(given: dict[str, Any]) -> models.APIToken:
        organization_id = principal.organization(given.pop("owner_id", None))
        return services.draft_api_token(
            principal, organization_id=organization_id, policies=known, **_born_active(given)
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


def rotate(principal: Principal, token: models.Token, given: dict[str, Any]) -> models.Token:
    return rotation.rotate(principal, token, **given)


def update_token_policy(info: Info, input: Any, organization_id: Any = UNSET) -> Any:  # noqa: A002
    principal, changes = info.context.principal, inputs.changes(input)
    organization = _organization(principal, organization_id)
    made, warnings = policies.update_policy(principal, organization, _whole(organization, changes))
    payload = vars(registry)["TokenPolicyUpdatePayload"]
    return payload(**read_back(info, NODES[models.TokenPolicy], made), warnings=warnings)


def policy_preview(info: Info, input: Any, organization_id: Any = UNSET) -> Any:  # noqa: A002
    principal, changes = info.context.principal, inputs.changes(input)
    organization = _organization(principal, organization_id)
    return policies.preview(principal, organization, _whole(organization, changes))


def _organization(principal: Principal, sent: Any) -> UUID:
    return principal.organization(as_id(sent) if sent else None)


def _whole(organization_id: UUID, changes: dict[str, Any]) -> dict[str, Any]:
    """What is appended to needs what is there; an organization without a policy has empty lists."""
    known = models.TokenPolicy.objects.filter(organization=organization_id).first() or models.TokenPolicy()
    return inputs.with_appended(known, changes)


POLICY = {"input": "UpdateTokenPolicyInput", "organization_id": "ID | None"}
registry.add_type("TokenPolicyUpdatePayload", {"token_policy": "TokenPolicy", "warnings": "list[str]"})


def viewer(info: Info) -> Viewer:
    return viewer_of(info.context.principal)


@strawberry.type
class Query:
    api_tokens = connection.field(models.APIToken, directives=READ)
    api_token = single(models.APIToken, directives=READ)
    personal_access_tokens = connection.field(models.PersonalAccessToken, directives=READ)
    personal_access_token = single(models.PersonalAccessToken, directives=READ)
    token_policies = connection.field(models.TokenPolicy, directives=scoped("read:organization"))
    token_policy = single(models.TokenPolicy, directives=scoped("read:organization"))
    policy_preview = root_field(
        policy_preview, POLICY, "PolicyPreview", {"directives": scoped("admin:organization")}
    )
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
    # A token may rotate itself with a scope that gives it nothing else; the service asks for more otherwise.
    rotate_api_token = act(models.APIToken, "rotate", rotate, directives=scoped(rotation.ROTATE_ITSELF))
    rotate_personal_access_token = act(
        models.PersonalAccessToken, "rotate", rotate, directives=scoped(rotation.ROTATE_ITSELF)
    )
    update_token_policy = root_field(
        update_token_policy,
        POLICY,
        "TokenPolicyUpdatePayload",
        {"directives": scoped("admin:organization")},
    )
