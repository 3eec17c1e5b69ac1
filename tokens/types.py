"""Tokens on the wire. The value is shown once, by the mutation that made it; after that the mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import strawberry
from django.contrib.auth import get_user_model
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from audit.types import events_about
from config.graphql import registry
from config.graphql.generate import absent, computed, extend, many, node, related
from config.graphql.inputs import create_input, update_input, verb_input
from config.graphql.registry import ID, SSOAuthorizationMap
from config.graphql.scalars import Time
from organizations.access import Principal
from organizations.models import Organization
from tokens import models, rotation, standing
from tokens.policy import Terms
from tokens.standing import Usability

ORDER = ("created_at", "updated_at", "name", "expires_at", "last_used_at", "is_active")
HIDDEN = ("digest", "pepper_id", "deleted_at", "idempotency_key")
"""Columns that no answer shows."""
REVOCATION = ("id", "revoked_at", "revoked_by", "revoked_reason")
SUCCESSION = ("id", "created_at", "rotated_from_id")
WRITABLE = ("tags", "name", "not_before", "expires_at", "description", "scopes", "allowed_addresses")
OWNED = ("last_used_at", "revoked_by", "revoked_at")
"""Part of the contract's inputs, and the server's alone."""


TokenState: Any = registry.add_enum("TokenState", {state.name: state.value for state in Usability})


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


@registry.add
@strawberry.type(description="Whether a token is accepted now, what keeps it from it, what ends it next")
class TokenStatus:
    state: TokenState
    reason: str | None
    policy: str | None
    ends_at: Time | None
    ends_by: str | None
    organization_id: ID | None


def load_standing(tokens: Sequence[Any], _: Principal) -> None:
    """What each is worth now, as authentication would see it: one query, whatever is asked of it."""
    if all("abilities" in vars(token) for token in tokens):
        return
    found, now = standing.standings(tokens), timezone.now()
    for token in tokens:
        here = found[token.pk]
        token.abilities = standing.abilities(here)
        token.status = here.status(now)
        if token.status.state is Usability.REVOKED:
            token.status = replace(token.status, reason=_revocation(token))
        if isinstance(here, standing.PersonalTokenStanding):
            token.organization_statuses = here.status_by_organization(now)


def _revocation(token: models.Token) -> str:
    why = f": {token.revoked_reason}" if token.revoked_reason else "."
    return f"Revoked at {token.revoked_at:%Y-%m-%d %H:%M} UTC by {token.revoked_by}{why}"


def load_orphaned(tokens: Sequence[models.APIToken], _: Principal) -> None:
    orphans = set(
        models.APIToken.objects.filter(pk__in=[token.pk for token in tokens])
        .orphaned()
        .values_list("pk", flat=True)
    )
    for token in tokens:
        token.orphaned = token.pk in orphans  # type: ignore[attr-defined]


def load_uses_of_predecessor(tokens: Sequence[Any], _: Principal) -> None:
    """Who still uses the old value: the addresses it was used from since the rotation."""
    since = {token.rotated_from_id: token.created_at for token in tokens if token.rotated_from_id}
    found = models.TokenUsage.objects.since(since).recent_addresses(since) if since else {}
    for token in tokens:
        rows = found.get(token.rotated_from_id, ())
        token.rotated_from_addresses = [IPAddressUse(**row) for row in rows]


def _is_lost(token: str, organization: str) -> Exists:
    """Whether a token for all organizations has lost this one since its owner left."""
    lost = models.PersonalAccessToken.lost_organizations.through._default_manager
    return Exists(lost.filter(personalaccesstoken=OuterRef(token), organization=OuterRef(organization)))


def reached_organizations(
    tokens: Sequence[models.PersonalAccessToken], principal: Principal
) -> QuerySet[Organization]:
    """The organizations each of these tokens reaches now: those chosen, or all of its owner's."""
    path = "members__user__personal_access_tokens"
    return (
        Organization.objects.visible_to(principal)
        .filter(
            Q(~_is_lost(f"{path}__pk", "pk"), **{f"{path}__covers_all_organizations": True})
            | Q(**{f"{path}__organizations": F("pk")}),
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
            Q(~_is_lost("pk", place), covers_all_organizations=True) | Q(organizations=F(place)),
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
    abilities: list[str] | None = computed(*REVOCATION, load=load_standing)
    status: TokenStatus = computed(*REVOCATION, load=load_standing)
    orphaned: bool = computed("id", load=load_orphaned, condition=models.is_orphaned)
    rotated_to = related(models.APIToken, "rotated_from")
    recent_ip_addresses: list[IPAddressUse] = computed("id", load=load_recent_addresses)
    rotated_from_addresses: list[IPAddressUse] = computed(*SUCCESSION, load=load_uses_of_predecessor)
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
    abilities: list[str] | None = computed(*REVOCATION, load=load_standing)
    status: TokenStatus = computed(*REVOCATION, load=load_standing)
    organization_statuses: list[TokenStatus] = computed(*REVOCATION, load=load_standing)
    recent_ip_addresses: list[IPAddressUse] = computed("id", load=load_recent_addresses)
    rotated_from_addresses: list[IPAddressUse] = computed(*SUCCESSION, load=load_uses_of_predecessor)
    updated_by_impersonator: str | None = absent()
    rotated_to = related(models.PersonalAccessToken, "rotated_from")
    organizations = many(Organization, reached_organizations)
    events = events_about(models.PersonalAccessToken)


extend(
    Organization,
    api_tokens=related(models.APIToken, "owner"),
    token_policy=related(models.TokenPolicy, "organization"),
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


ROTATION = {
    "expires_at": "Time",
    "overlap_seconds": "int",
    "reason": "RotationReason",
    "idempotency_key": "str",
}
registry.add_enum("RotationReason", {reason.name: reason.value for reason in rotation.Reason})
for _kind in (models.APIToken, models.PersonalAccessToken):
    verb_input(_kind, "rotate", ROTATION)


MODE = "TokenPolicyMode"


@node(
    models.TokenPolicy,
    joined=("organization",),
    edges=("organization",),
    enums={column: MODE for column in Terms._fields if column.endswith("_mode")},
)
class TokenPolicy:
    """What an organization demands of the tokens that reach it, rule by rule"""

    maximum_lifetime_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821
    inactivity_limit_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821
    expiry_required_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821
    scopes_required_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821
    allowed_kinds_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821
    grantable_scopes_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821
    allowed_addresses_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821
    live_tokens_mode: TokenPolicyMode  # type: ignore[name-defined]  # noqa: F821


update_input(models.TokenPolicy, ("tags", *Terms._fields))


@strawberry.type(description="A token that a policy would refuse, or take scopes from")
class PolicyEffect:
    token_id: strawberry.ID
    kind: str
    name: str | None
    hint: str
    owner_id: strawberry.ID
    owner: str
    rule: str
    why: str


@registry.add
@strawberry.type(description="What a policy would hit now: at most 1,000 effects are listed, all are counted")
class PolicyPreview:
    total: int
    tokens: int
    owners: int
    effects: list[PolicyEffect]


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
