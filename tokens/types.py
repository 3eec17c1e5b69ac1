"""Tokens on the wire. The value is shown once, by the mutation that made it; after that the mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import strawberry
from django.db.models import F, Q, QuerySet, UUIDField, Value
from django.db.models.functions import Cast, NullIf, Replace
from django.utils import timezone

from audit.models import Event
from config.graphql import registry
from config.graphql.generate import absent, computed, many, node
from config.graphql.inputs import create_input, update_input, verb_input
from config.graphql.registry import ID, SSOAuthorizationMap
from config.graphql.scalars import Time
from organizations.access import Principal
from organizations.models import Organization
from tokens import models, rotation, standing
from tokens.policy import Terms
from tokens.standing import Usability

ORDER = ("created_at", "updated_at", "name", "expires_at", "last_used_at", "is_active")
HIDDEN = ("digest", "pepper_id", "deleted_at", "rotation_key")
"""Columns that no answer shows."""
REVOCATION = ("id", "revoked_at", "revoked_by", "revoked_reason")
SUCCESSION = ("id", "created_at", "rotated_from_id")
WRITABLE = ("tags", "name", "not_before", "expires_at", "description", "scopes", "allowed_addresses")
OWNED = ("last_used_at", "revoked_by", "revoked_at")
"""Part of the contract's inputs, and the server's alone."""


registry.add_enum("TokenState", {state.name: state.value for state in Usability})


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
    state: TokenState  # type: ignore[name-defined]  # noqa: F821
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


def events_about(tokens: Sequence[models.Token], principal: Principal) -> QuerySet[Event]:
    """What happened to each of these tokens. An event keeps its target's id as text."""
    about = Event.objects.visible_to(principal).filter(target_kind=models.PersonalAccessToken.__name__)
    target = Replace(NullIf("target_id", Value("")), Value("-"), Value(""))  # as SQLite stores an id
    found = about.annotate(parent_key=Cast(target, UUIDField()))
    if isinstance(tokens, QuerySet):
        return found.filter(parent_key__in=tokens.values("pk"))
    return found.filter(target_id__in=[str(token.pk) for token in tokens])


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
    organizations = many(Organization, reached_organizations)
    events = many(Event, events_about)


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
