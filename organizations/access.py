"""Who is acting, and may they? The second of the two doors: `require`.

Session, personal token, API token, operator, command and anonymous all become one frozen `Principal`;
below the middleware nobody asks "user or token?". The first door, `visible_to`, stands on each queryset
and asks a Principal for the organizations it may read in. Neighbours: scopes.py (the vocabulary),
tokens/authentication.py (where principals come from).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self, cast
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

from organizations.models import Organization, OrgMembership, Role
from organizations.scopes import CATALOGUE, covers, held

ROLE_SCOPES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        Role.OWNER: frozenset({"admin"}),
        Role.ADMIN: frozenset({"admin"}),
        Role.MEMBER: frozenset(
            {
                "read:controls",
                "read:reports",
                "read:organization",
                "read:members",
                "read:groups",
                "write:evidence",
                "write:tasks",
                "write:notes",
                "write:files",
            }
        ),
        Role.AUDITOR: frozenset({"read", "write:notes"}),
    }
)
"""What a role grants. Owner and admin differ in what no scope allows: see `owner_only` in require()."""

PERSONAL_SCOPES = frozenset({"admin:tokens", "admin:integrations", "read:events"})
"""What every person holds over their own things, in whichever organization."""

RANK: Mapping[str, int] = MappingProxyType({Role.MEMBER: 1, Role.AUDITOR: 1, Role.ADMIN: 2, Role.OWNER: 3})
"""Nobody grants or takes a role that ranks above their own."""


class Kind(StrEnum):
    ANONYMOUS = "anonymous"
    SESSION = "session"
    PERSONAL_TOKEN = "personal_access_token"
    API_TOKEN = "api_token"
    OPERATOR = "operator"  # a staff member in the Django admin
    COMMAND = "command"  # a management command
    HOLDER = "holder"  # whoever has shown a token's value; see holder()
    SCANNER = "scanner"  # a secret scanner that found a value; see scanner()


class Denied(PermissionDenied):
    """Known, and not allowed. `organization_id`: where it was tried, as far as known, for the audit trail."""

    organization_id: UUID | None = None

    def at(self, organization_id: UUID | None) -> Self:
        self.organization_id = organization_id
        return self


class InsufficientScopes(Denied):
    """The credential lacks a scope. Its holder can get one that has it."""

    def __init__(self, *required: str) -> None:
        self.extensions = {"code": "INSUFFICIENT_SCOPES", "requiredScopes": list(required)}
        super().__init__(
            f"This token lacks the scope {', '.join(required)}. Use a token that has it; "
            "viewer { scopes abilities } shows what this one may do."
        )


class Unauthorized(Denied):
    """The person or token has the scope, but not the role or the standing."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Why an organization does not admit a credential. `extensions`: as on the wire."""

    message: str
    extensions: Mapping[str, Any]


class Barred(Denied):
    """The credential is good, and this organization does not admit it; others may."""

    def __init__(self, bar: Bar, organization_id: UUID) -> None:
        self.extensions = {**bar.extensions, "organizationID": str(organization_id)}
        self.organization_id = organization_id
        super().__init__(bar.message)


class StepUpRequired(Denied):
    """A session too old for what is asked: its person shows once more who they are."""

    def __init__(self) -> None:
        self.extensions = {"code": "STEP_UP_REQUIRED", "loginURL": "/v1/login"}
        super().__init__(
            "This gives administrative rights, and it is a while since you logged in. "
            "Log in again (POST /v1/login, or the log-in page), then repeat it."
        )


class OrganizationUnclear(ValidationError):
    """More than one organization could be meant."""

    def __init__(self) -> None:
        super().__init__(
            {"owner_id": "Name the organization: send ownerID, or the header X-Organization-ID."}
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do in one organization, by role and groups."""

    scopes: frozenset[str]
    role: str | None = None
    name: str = ""


def grants_of(user_ids: Collection[UUID]) -> dict[UUID, dict[UUID | None, Grant]]:
    """What each of these people may do, and where. One query."""
    rows = OrgMembership.objects.filter(user__in=user_ids, organization__deleted_at__isnull=True).values_list(
        "user_id", "organization_id", "organization__name", "role", "group_memberships__group__scopes"
    )
    found: dict[UUID, dict[UUID | None, Grant]] = {
        user_id: {None: Grant(PERSONAL_SCOPES)} for user_id in user_ids
    }
    for user_id, organization_id, name, role, group_scopes in rows.order_by("organization_id"):
        found[user_id][organization_id] = merged(
            found[user_id].get(organization_id), grant(role, group_scopes or (), name)
        )
    return found


def merged(first: Grant | None, second: Grant) -> Grant:
    """One grant out of the rows a join gives per group."""
    return second if first is None else replace(second, scopes=first.scopes | second.scopes)


def grant(role: str, group_scopes: Collection[str] = (), name: str = "") -> Grant:
    """The sum of a role and of the scopes its holder's groups add."""
    return Grant(ROLE_SCOPES[role] | held(group_scopes), role, name)


@dataclass(frozen=True)
class Principal:
    """One actor, frozen for one request.

    `grants`: organization id -> Grant; the key None holds what a person may do with their own things.
    `barred`: organization id -> why this credential is not admitted there; such an id is in no grant.
    `reported`: rules that would refuse this credential, were they enforced.
    `is_fresh`: whether whoever acts has shown who they are lately enough; a credential does at each request.
    `limit`: the token's own canonical scopes, None for no limit of its own.
    `confirm`: run inside every write's transaction; raises when the credential died meanwhile.
    """

    kind: Kind
    id: str = ""
    label: str = ""
    grants: Mapping[UUID | None, Grant] = field(default_factory=dict)
    barred: Mapping[UUID, Bar] = field(default_factory=dict)
    reported: Collection[str] = ()
    limit: frozenset[str] | None = None
    user: Any = None
    token: Any = None
    expires_at: datetime | None = None
    is_fresh: bool = True
    confirm: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    @property
    def is_authenticated(self) -> bool:
        return self.kind is not Kind.ANONYMOUS

    @property
    def is_trusted(self) -> bool:
        """An operator or a command: admitted by the admin or the shell, bound to no organization."""
        return self.kind in (Kind.OPERATOR, Kind.COMMAND)

    @cached_property
    def organization_ids(self) -> tuple[UUID, ...]:
        return tuple(key for key in self.grants if key is not None)

    def organizations_with(self, scope: str) -> tuple[UUID, ...]:
        return tuple(key for key in self.organization_ids if self.can(scope, key))

    def can(self, scope: str, organization_id: UUID | None) -> bool:
        """Whether this actor holds a canonical scope there (None: over their own things)."""
        if self.is_trusted:
            return True
        here = self.grants.get(organization_id)
        return here is not None and covers(here.scopes, scope) and self.is_within_limit(scope)

    def can_somewhere(self, scope: str) -> bool:
        return self.is_trusted or any(self.can(scope, key) for key in self.grants)

    def is_within_limit(self, scope: str) -> bool:
        return self.limit is None or covers(self.limit, scope)

    @property
    def abilities(self) -> list[str]:
        """Every scope of the catalogue that this actor holds somewhere, now."""
        return [scope for scope in CATALOGUE if self.can_somewhere(scope)]

    def within(self, organization_id: UUID) -> Principal:
        """The same actor, looking at one organization. Raises Organization.DoesNotExist for a foreign one."""
        kept = (None, self.organization(organization_id))
        return replace(self, grants={key: value for key, value in self.grants.items() if key in kept})

    def joined(self, organization: Organization, role: str) -> Principal:
        """The same actor, who has just become part of one organization more."""
        return replace(self, grants={**self.grants, organization.pk: grant(role, name=organization.name)})

    def organization(self, organization_id: UUID | None) -> UUID:
        """The organization a write is about: the one named, else the only one.

        Raises as require_admitted(), and OrganizationUnclear when there are several.
        """
        if organization_id is not None:
            if not self.is_trusted:
                self.require_admitted(organization_id)
            return organization_id
        if not self.organization_ids and len(self.barred) == 1:
            self.require_admitted(next(iter(self.barred)))
        if len(self.organization_ids) != 1:
            raise OrganizationUnclear
        return self.organization_ids[0]

    def require_admitted(self, organization_id: UUID) -> None:
        """Raises Barred for who is not admitted there, Organization.DoesNotExist for a foreign one."""
        if organization_id in self.barred:
            raise Barred(self.barred[organization_id], organization_id)
        if organization_id not in self.grants:
            raise Organization.DoesNotExist


ANONYMOUS = Principal(Kind.ANONYMOUS, label="anonymous")


def command(name: str) -> Principal:
    """The actor behind a management command. `name` as typed, for the audit trail."""
    return Principal(Kind.COMMAND, id=name, label=f"manage.py {name}")


def holder(token: Any) -> Principal:
    """Somebody, anybody, who has a token's value and did not log in with it.

    Granted nothing anywhere. What possession alone allows is in tokens.services.revoke.
    """
    return Principal(Kind.HOLDER, id=str(token.pk), label=str(token), token=token)


def scanner(name: str, token: Any) -> Principal:
    """A secret scanner that has shown a token's value: granted what holder() is, and known by its key."""
    return Principal(Kind.SCANNER, id=name, label=f"secret scanner {name}", token=token)


def operator(user: Any) -> Principal:
    """A staff member in the Django admin, whom Django's own model permissions let in."""
    return Principal(Kind.OPERATOR, id=str(user.pk), label=str(user), user=user)


def require(
    principal: Principal,
    scope: str,
    organization_id: UUID | None,
    *,
    owner_only: bool = False,
) -> None:
    """The door of every write. `organization_id` None: the actor's own things.

    Raises Organization.DoesNotExist when the organization is not the actor's, Barred when it does not admit
    the credential, InsufficientScopes when the token is too narrow, Unauthorized when the role is too low.
    """
    if principal.is_trusted:
        return
    if organization_id is not None:
        principal.require_admitted(organization_id)
    if not principal.is_within_limit(scope):
        raise InsufficientScopes(scope).at(organization_id)
    if not principal.can(scope, organization_id):
        raise refusal(principal, scope, organization_id).at(organization_id)
    if owner_only and principal.grants[organization_id].role != Role.OWNER:
        raise Unauthorized("Only the owner of the organization can do this.").at(organization_id)


def require_person(principal: Principal, scope: str | None) -> UUID:
    """The door of what people do in their own name: found, leave, join, rename themselves. Their id.

    No role gives it and none denies it; `scope` bounds the tokens they act by, None lets no token through.
    Raises Unauthorized for who is nobody in particular, InsufficientScopes.
    """
    if principal.user is None or principal.is_trusted:
        raise Unauthorized("Only a person can do this: log in, or use a personal access token.")
    if scope is None and principal.token is not None:
        raise Unauthorized("No token can do this. Log in.")
    if scope is not None and not principal.is_within_limit(scope):
        raise InsufficientScopes(scope)
    return cast(UUID, principal.user.pk)


def require_somewhere(principal: Principal, scope: str) -> None:
    """The outer door of a GraphQL field, before its object is known. Raises as require() does."""
    if not principal.is_within_limit(scope):
        raise InsufficientScopes(scope)
    if not principal.can_somewhere(scope):
        if principal.barred and not principal.organization_ids:
            principal.require_admitted(next(iter(principal.barred)))
        raise refusal(principal, scope, None)


def refusal(principal: Principal, scope: str, organization_id: UUID | None) -> Denied:
    """Why `scope` is not held: by a token's own scopes, or by a person's role."""
    if principal.kind is Kind.API_TOKEN:
        if organization_id is None and any(
            covers(there.scopes, scope) for there in principal.grants.values()
        ):
            return Unauthorized("API tokens own no personal things. Use a personal access token.")
        return InsufficientScopes(scope)
    return Unauthorized(f"Your role does not allow {scope}. Ask an owner or admin of the organization.")


@contextmanager
def writing(principal: Principal) -> Iterator[None]:
    """The transaction of a write: it commits before the actor's credential dies, or not at all."""
    with transaction.atomic():
        principal.confirm()
        yield
