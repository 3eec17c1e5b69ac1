"""Tokens on the wire. The value is shown once, by the mutation that made it; after that the mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import strawberry
from django.contrib.auth import get_user_model
from django.db.models import F, Q, QuerySet

from audit.types import events_about
from config.graphql import registry
from config.graphql.generate import absent, computed, extend, many, node, related
from config.graphql.inputs import create_input, update_input
from config.graphql.registry import ID, SSOAuthorizationMap
from config.graphql.scalars import Time
from organizations.access import Principal
from organizations.models import Organization
from tokens import models

ORDER = ("created_at", "updated_at", "name", "expires_at", "last_used_at", "is_active")
HIDDEN = ("digest", "pepper_id", "deleted_at")
"""Columns that no answer shows."""
RIGHTS = ("scopes", "expires_at", "revoked_at", "deleted_at", "owner_id")
"""Columns that `abilities` is computed from."""
WRITABLE = ("tags", "name", "expires_at", "description", "scopes")
OWNED = ("last_used_at", "revoked_by", "revoked_at")
"""Part of the contract's inputs, and the server's alone."""


@registry.add
@strawberry.type(description="An address a token was used from")
class IPAddressUse:
    address: str
    first_seen_at: Time
    last_seen_at: Time
    count: int


def load_recent_addresses(tokens: Sequence[models.Token], _: Principal) -> None:
    found = models.TokenUsage.objects.recent_addresses([token.pk for token in tokens])
    for token in tokens:
        token.recent_ip_addresses = [IPAddressUse(**row) for row in found.get(token.pk, ())]  # type: ignore[attr-defined]


def load_abilities(tokens: Sequence[models.PersonalAccessToken], _: Principal) -> None:
    models.load_grants(tokens)


def reached_organizations(
    tokens: Sequence[models.PersonalAccessToken], principal: Principal
) -> QuerySet[Organization]:
    """The organizations each of these tokens reaches now: those chosen, or all of its owner's."""
    path = "members__user__personal_access_tokens"
    return (
        Organization.objects.visible_to(principal)
        .filter(
            Q(**{f"{path}__covers_all_organizations": True}) | Q(**{f"{path}__organizations": F("pk")}),
            **{f"{path}__in": tokens},
        )
        .annotate(parent_key=F(f"{path}__pk"))
    )


def tokens_reaching(organizations: Any, principal: Principal) -> QuerySet[models.PersonalAccessToken]:
    """The personal tokens that reach each of these organizations now."""
    place = "owner__org_memberships__organization"
    return (
        models.PersonalAccessToken.objects.visible_to(principal)
        .filter(
            Q(covers_all_organizations=True) | Q(organizations=F(place)),
            **{f"{place}__in": organizations},
        )
        .annotate(parent_key=F(f"{place}__pk"))
    )


@node(
    models.APIToken,
    exclude=HIDDEN,
    joined=("owner",),
    order=ORDER,
    edges=("owner",),
    carried=("minted_value",),
)
class APIToken:
    """A machine's key to one organization"""

    owner_id: ID | None
    owner: Organization | None
    sso_authorizations: SSOAuthorizationMap | None
    token: str = computed("hint")
    abilities: list[str] | None = computed(*RIGHTS)
    recent_ip_addresses: list[IPAddressUse] = computed("id", load=load_recent_addresses)
    updated_by_impersonator: str | None = absent()


@node(
    models.PersonalAccessToken,
    exclude=(*HIDDEN, "owner_id", "covers_all_organizations"),
    joined=("owner",),
    order=ORDER,
    edges=("owner", "organizations", "events"),
    carried=("minted_value",),
)
class PersonalAccessToken:
    """A person's key: all they may do, or as little of it as its scopes and organizations say"""

    sso_authorizations: SSOAuthorizationMap | None
    token: str = computed("hint")
    abilities: list[str] | None = computed(*RIGHTS, "covers_all_organizations", load=load_abilities)
    recent_ip_addresses: list[IPAddressUse] = computed("id", load=load_recent_addresses)
    updated_by_impersonator: str | None = absent()
    organizations = many(Organization, reached_organizations)
    events = events_about(models.PersonalAccessToken)


extend(
    Organization,
    api_tokens=related(models.APIToken, "owner"),
    personal_access_tokens=many(models.PersonalAccessToken, tokens_reaching),
)
extend(get_user_model(), personal_access_tokens=related(models.PersonalAccessToken, "owner"))

create_input(
    models.APIToken,
    (*WRITABLE, "is_active", "owner_id", "revoked_reason", *OWNED),
    refused=("revoked_reason", *OWNED),
)
update_input(
    models.APIToken,
    (*WRITABLE, "is_active", "revoked_reason", "owner_id", *OWNED),
    refused=("clear_is_active", "clear_revoked_reason", "owner_id", *OWNED),
)
create_input(
    models.PersonalAccessToken,
    (*WRITABLE, "is_active", "last_used_at"),
    related=("organization", "event"),
    refused=("last_used_at", "event"),
)
update_input(
    models.PersonalAccessToken,
    (*WRITABLE, "is_active", "revoked_reason", "last_used_at"),
    related=("organization", "event"),
    refused=("clear_is_active", "clear_revoked_reason", "last_used_at", "event"),
)


@strawberry.type(description="An organization, by its name alone")
class OrganizationName:
    id: strawberry.ID
    name: str


@strawberry.type(description="Who is asking: the answer to every authenticated caller")
class Viewer:
    kind: str
    id: strawberry.ID
    label: str
    organizations: list[OrganizationName]
    scopes: list[str] | None
    abilities: list[str]
    expires_at: Time | None


def viewer_of(principal: Principal) -> Viewer:
    token: Any = principal.token
    return Viewer(
        kind=principal.kind,
        id=strawberry.ID(principal.id),
        label=principal.label,
        organizations=[
            OrganizationName(id=strawberry.ID(str(key)), name=principal.grants[key].name)
            for key in principal.organization_ids
        ],
        scopes=token.scopes if token else None,
        abilities=principal.abilities,
        expires_at=principal.expires_at,  # type: ignore[arg-type]
    )
