"""What can be done to tokens. Each service is the only path to its fact, from whichever face.

Every one reads the same: require, validate, act, record, return. The audit event is in the transaction
of the change. Neighbours: organizations/access.py (require), audit/services.py (record).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from audit.actions import Action
from audit.models import Event
from audit.services import draft, record, record_many
from organizations.access import (
    InsufficientScopes,
    Principal,
    StepUpRequired,
    Unauthorized,
    require,
    writing,
)
from organizations.models import Organization, OrgMembership
from organizations.scopes import covers, is_administrative
from tokens import networks, secret
from tokens.models import (
    LONGEST_LIFE,
    APIToken,
    PersonalAccessToken,
    Token,
    TokenQuerySet,
)
from tokens.policies import Policies, Watch

T = TypeVar("T", bound=Token)

MANAGE = "admin:tokens"
RIGHTS = frozenset({"scopes", "expires_at", "not_before", "allowed_addresses"})
"""What decides what a token may do; the rest of it only describes."""
NOT_ITSELF = "A token cannot widen itself. Use a session or another token."
BOUND = "This token gives nothing beyond the organizations it is bound to. Name those with organizationIDs."


class TokenRevoked(ValidationError):
    """Revoking is permanent."""

    def __init__(self) -> None:
        super().__init__("The token has been revoked, for good. Issue a new one.", code="token_revoked")


def create_api_token(principal: Principal, *, organization_id: UUID, **described: Any) -> APIToken:
    """A machine's token; its `.token` is the value, this once. Takes and raises as draft_api_token()."""
    return issue(principal, [draft_api_token(principal, organization_id=organization_id, **described)])[0]


def draft_api_token(
    principal: Principal,
    *,
    organization_id: UUID,
    name: str,
    description: str | None = None,
    scopes: Collection[str] = (),
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    allowed_addresses: Collection[str] = (),
    tags: Collection[str] = (),
    policies: Policies | None = None,
) -> APIToken:
    """A token that may be issued as it is, and is not yet. Raises ValidationError and as require().

    `policies`: what is known of them, where one call drafts many.
    """
    require(principal, MANAGE, organization_id)
    token = APIToken(
        owner_id=organization_id,
        name=name,
        description=description,
        scopes=list(scopes),
        not_before=not_before,
        expires_at=expires_at,
        allowed_addresses=list(allowed_addresses),
        tags=list(tags),
    )
    _draft(principal, token)
    (policies or Policies()).require_issuable(token, None, timezone.now())
    return token


def issue(principal: Principal, tokens: Sequence[T]) -> list[T]:
    """Save drafted tokens with their events: all of them or none, in two statements however many."""
    if not tokens:
        return []
    with writing(principal):
        type(tokens[0]).objects.bulk_create(tokens)
        record_many([_event(principal, token, "CREATED", described(token)) for token in tokens])
    return list(tokens)


def create_personal_access_token(
    principal: Principal,
    *,
    name: str,
    description: str | None = None,
    scopes: Collection[str] = (),
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    allowed_addresses: Collection[str] = (),
    organizations: Collection[UUID] | None = None,
    tags: Collection[str] = (),
    owner_id: UUID | None = None,
) -> PersonalAccessToken:
    """A person's token; its `.token` is the value, this once. `organizations` None: all, as they change.

    `owner_id` is for trusted principals; everybody else creates their own. Raises ValidationError,
    Organization.DoesNotExist for a foreign organization, and as require().
    """
    require(principal, MANAGE, None)
    token = PersonalAccessToken(
        owner_id=cast(UUID, owner_id) if principal.is_trusted else principal.user.pk,
        name=name,
        description=description,
        scopes=list(scopes),
        not_before=not_before,
        expires_at=expires_at,
        allowed_addresses=list(allowed_addresses),
        covers_all_organizations=organizations is None,
        tags=list(tags),
    )
    require_reach(principal, token, organizations)
    _draft(principal, token)
    Policies().require_issuable(token, organizations, timezone.now())
    with writing(principal):
        hold_memberships(token)
        token.save(force_insert=True)
        if organizations:
            token.organizations.set(cast(Any, organizations))
        tell(principal, token, "CREATED", described(token, organizations or ()))
    return token


def update_token(principal: Principal, token: T, changes: dict[str, Any]) -> T:
    """Change what `changes` names and nothing else; `{"is_active": False}` revokes.

    Keys: name, description, tags, scopes, not_before, expires_at, allowed_addresses, is_active,
    revoked_reason; append_scopes, append_tags, append_allowed_addresses; add_organization_ids,
    remove_organization_ids, clear_organizations (true: every organization of the owner). Raises
    TokenRevoked, ValidationError, Unauthorized for a token that widens itself.
    """
    require_management(principal, token)
    changes = dict(changes)
    reason = changes.pop("revoked_reason", None)
    is_active = changes.pop("is_active", None)
    if reason is not None and is_active is not False:
        raise ValidationError({"revoked_reason": "Send it together with isActive: false."})
    with writing(principal):
        token = locked(token)
        if changes:
            _change(principal, token, changes)
        if is_active is True and token.revoked_at is not None:
            raise TokenRevoked
        if is_active is False:
            revoke(principal, token, reason=reason)
    return token


def revoke(principal: Principal, token: T, *, reason: str | None) -> T:
    """End a token for good, from the next request on. A second revocation changes nothing.

    Whoever shows its value may, without any right: it is no secret any more, or theirs (RFC 7009).
    Raises ValidationError for an unusable reason, and for everybody else as require().
    """
    if principal.token != token:
        require_management(principal, token)
    token.revoked_reason = reason or None
    token.clean_fields(exclude=_all_fields_but(token, "revoked_reason"))
    with writing(principal):
        if _end(principal, token, reason):
            tell(principal, token, "REVOKED", {"reason": reason})
    return token


def revoke_many(
    principal: Principal, tokens: TokenQuerySet[T], *, reason: str, batch_size: int = 500
) -> Iterator[list[T]]:
    """Revoke what the queryset selects, a transaction per batch, yielding each batch after its commit.

    Safe to stop and to run again: what is revoked already is passed over.
    """
    for batch in _batches(tokens.filter(revoked_at__isnull=True), batch_size):
        with transaction.atomic():
            for token in batch:
                revoke(principal, token, reason=reason)
        yield batch


def expire_many(
    principal: Principal, tokens: TokenQuerySet[T], at: datetime, *, batch_size: int = 500
) -> Iterator[list[T]]:
    """Let what the queryset selects expire at `at` or sooner: a transaction and an UPDATE per batch, yielding
    each batch after its commit.

    A life that is only cut short breaks no rule that it kept, so no policy is asked. What ends by then anyway
    is passed over: safe to stop and to run again. Raises ValidationError, and as require().
    """
    now = timezone.now()
    require_expiry(principal.expires_at, at, now)
    for page in _batches(tokens.living(at), batch_size):
        for token in page:
            require_management(principal, token)
        with writing(principal):
            held = tokens.living(at).filter(pk__in=[token.pk for token in page])
            batch = list(held.select_for_update(no_key=True).order_by("pk"))
            _bring_forward(principal, batch, at, now)
        yield batch


def _bring_forward(principal: Principal, tokens: Sequence[Token], at: datetime, now: datetime) -> None:
    if not tokens:
        return
    record_many(
        [
            _event(principal, token, "UPDATED", {"expires_at": [_plain(token.expires_at), _plain(at)]})
            for token in tokens
        ]
    )
    written = {"expires_at": at, "updated_at": now, "updated_by": principal.id}
    type(tokens[0]).objects.filter(pk__in=[token.pk for token in tokens]).update(**written)
    for token in tokens:
        token.expires_at = at


def _batches(tokens: TokenQuerySet[T], size: int) -> Iterator[list[T]]:
    """What a queryset selects, in the order of its keys: nothing is held open between two batches."""
    remaining = tokens.order_by("pk")
    batch = list(remaining[:size])
    while batch:
        yield batch
        batch = list(remaining.filter(pk__gt=batch[-1].pk)[:size])


def delete_token(principal: Principal, token: Token) -> UUID:
    """Take a token out of everybody's sight. It is revoked, and its row stays for the audit."""
    require_management(principal, token)
    with writing(principal):
        token = locked(token)
        _end(principal, token, "deleted")
        type(token).objects.filter(pk=token.pk).update(deleted_at=timezone.now())
        tell(principal, token, "DELETED", {})
    return token.pk


def record_denial(principal: Principal, operation: str, target_id: str | None, why: Exception) -> None:
    """A refused attempt to write, in a transaction of its own: the attempt itself left nothing.

    It stands in the trail of the organization it was about, never in that of another the actor is in.
    """
    reached = principal.organization_ids
    record(
        principal,
        Action.ACCESS_DENIED,
        organization_id=getattr(why, "organization_id", None) or (reached[0] if len(reached) == 1 else None),
        subject_id=principal.user.pk if principal.user else None,
        changes={
            "operation": operation,
            "target": secret.redact(target_id or "")[:64],
            "refused": type(why).__name__,
            "why": str(why)[:300],
        },
    )


def require_born_active(is_active: bool) -> None:
    """Raises ValidationError: a token that never worked is not worth a row."""
    if not is_active:
        raise ValidationError({"is_active": "A token is created active. Revoke it when it has served."})


def require_management(principal: Principal, token: Token) -> None:
    """Who may change this token. Raises its DoesNotExist for somebody else's, and as require()."""
    require(principal, MANAGE, token.realm)
    if token.realm is None and not principal.is_trusted and token.owner_id != principal.user.pk:
        raise type(token).DoesNotExist


def _end(principal: Principal, token: Token, reason: str | None) -> bool:
    """The one way a token dies; `token` is reread. Whether this call was the first."""
    now = timezone.now()
    alive = type(token).objects.filter(pk=token.pk, revoked_at__isnull=True)
    was_first = alive.update(
        is_active=False,
        revoked_at=now,
        revoked_by=principal.id,
        revoked_reason=reason or None,
        updated_at=now,
        updated_by=principal.id,
    )
    token.refresh_from_db()
    return bool(was_first)


def _draft(principal: Principal, token: Token) -> None:
    """A value, and every question asked that needs no row. Raises ValidationError, PermissionDenied."""
    prepare(principal, token)
    require_grantable(principal, token, before=frozenset())
    require_expiry(principal.expires_at, token.expires_at, timezone.now())


def prepare(principal: Principal, token: Token) -> None:
    """Give an unsaved token its value and its maker. Raises ValidationError."""
    token.created_by = token.updated_by = principal.id
    token.mint()
    # of 238 random bits no digest is taken, and who may ask for an owner has it: no query for either
    token.full_clean(exclude={"owner"}, validate_unique=False, validate_constraints=False)
    _require_order(token)


def _change(principal: Principal, token: Token, changes: dict[str, Any]) -> None:
    now = timezone.now()
    columns, organizations = _split(token, changes)
    touches_rights = bool(RIGHTS & columns.keys() or organizations)
    if token.revoked_at is not None and touches_rights:
        raise TokenRevoked
    before = {name: getattr(token, name) for name in columns}
    limit, bounds, reach = token.limit, _bounds(token), bound_to(token)
    watch = Watch(token, reach, now) if touches_rights else None
    for name, value in columns.items():
        setattr(token, name, value)
    token.updated_by = principal.id
    token.full_clean()
    difference = {
        name: [_plain(was), _plain(getattr(token, name))]
        for name, was in before.items()
        if was != getattr(token, name)
    }
    is_extended = _bounds(token).exceeds(bounds)
    if organizations:
        changed, is_wider = _change_reach(principal, token, reach, **organizations)
        difference |= changed
        is_extended |= is_wider
    if is_extended or "scopes" in columns:
        require_grantable(principal, token, before=frozenset() if is_extended else limit)
    if token.expires_at != bounds.expires_at:
        require_expiry(principal.expires_at, token.expires_at, now)
    if watch is not None:
        _require_order(token)
        watch.require_changeable(token, bound_to(token))
    if difference:
        token.save()
        tell(principal, token, "UPDATED", difference | _reported(token))


class Bounds(NamedTuple):
    """When and from where a token is good. None and empty: whenever, wherever."""

    not_before: datetime | None
    expires_at: datetime | None
    allowed_addresses: list[str]

    def exceeds(self, other: Bounds) -> bool:
        """Whether these allow more than the others did."""
        starts_earlier = other.not_before is not None and (
            self.not_before is None or self.not_before < other.not_before
        )
        reaches_further = bool(other.allowed_addresses) and not (
            self.allowed_addresses and networks.cover(other.allowed_addresses, self.allowed_addresses)
        )
        return starts_earlier or reaches_further or _exceeds(self.expires_at, other.expires_at)


def _bounds(token: Token) -> Bounds:
    return Bounds(token.not_before, token.expires_at, token.allowed_addresses)


def _split(token: Token, changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns with their new values, what is appended to included, and the keys about organizations."""
    organizations = {name: value for name, value in changes.items() if "organization" in name}
    columns = {name: value for name, value in changes.items() if name not in organizations}
    for name in [name for name in columns if name.startswith("append_")]:
        column = name.removeprefix("append_")
        known = getattr(token, column)
        columns[column] = [*known, *(one for one in columns.pop(name) if one not in known)]
    return columns, organizations


def bound_to(token: Any) -> set[UUID] | None:
    """The organizations a personal token is bound to; None for all of its owner's."""
    if token.realm is not None or token.covers_all_organizations:
        return None
    return set(token.organizations.live().values_list("pk", flat=True))


def _exceeds(after: Any, before: Any) -> bool:
    """Whether a bound, be it a time or a set, allows more than it did. None is no bound."""
    return before is not None and (after is None or not after <= before)


def _change_reach(
    principal: Principal,
    token: Any,
    before: set[UUID] | None,
    add_organization_ids: Collection[UUID] = (),
    remove_organization_ids: Collection[UUID] = (),
    clear_organizations: bool = False,
) -> tuple[dict[str, Any], bool]:
    """Bind a personal token to other organizations than `before`. What changed, and whether it is more.

    A token for all of its owner's organizations is let in again to one they had left by adding just that.
    """
    added, removed = set(add_organization_ids), set(remove_organization_ids)
    lost = set(token.lost_organizations.values_list("pk", flat=True))
    regained: set[UUID] = lost if clear_organizations else set()
    if clear_organizations:
        after = None
    elif before is None and added and not removed and added <= lost:
        after, regained = None, added
    else:
        after = {*(before or ()), *added} - removed
    if before is None and after == set() and removed:
        raise ValidationError(
            {
                "remove_organization_ids": "The token reaches every organization. "
                "Name those it shall keep with addOrganizationIDs."
            }
        )
    if before == after and not regained:
        return {}, False
    require_reach(principal, token, None if after is None else after - (before or set()))
    if added & regained:
        require_reach(principal, token, added)
    token.covers_all_organizations = after is None
    token.organizations.set(after or ())
    token.lost_organizations.remove(*regained)
    difference: dict[str, Any] = {"organizations": [_names(before), _names(after)]}
    if regained:
        difference["let_in_again"] = _names(regained)
    return difference, bool(regained) or _exceeds(after, before)


def require_grantable(principal: Principal, token: Token, *, before: frozenset[str] | None) -> None:
    """Nobody grants what they lack, and no token widens itself. `before`: the limit it had, None for none.

    More time or more organizations grant all its scopes anew: `before` is then empty. A personal token is
    limited by its owner's rights at each use; so only the limit and the reach of the token that creates or
    changes it count here, not the owner's role.
    """
    after = token.limit
    if after is None:
        added: frozenset[str] | None = frozenset() if before is None else None
    else:
        added = frozenset() if before is None else after - {s for s in after if covers(before, s)}
    if added is None:
        if not principal.is_within_limit("admin"):
            raise InsufficientScopes("admin")
    elif token.realm is None:
        lacking = sorted(scope for scope in added if not principal.is_within_limit(scope))
        if lacking and not principal.is_trusted:
            raise InsufficientScopes(*lacking)
    else:
        for scope in sorted(added):
            require(principal, scope, token.realm)
    if added != frozenset():
        _require_another(principal, token)
    if not principal.is_fresh and (added is None or any(is_administrative(scope) for scope in added)):
        raise StepUpRequired().at(token.realm)


def _require_another(principal: Principal, token: Token) -> None:
    """What is given more is neither the token that asks nor one that reaches further. Raises Unauthorized."""
    asking = principal.token
    if asking is None:
        return
    if asking.pk == token.pk:
        raise Unauthorized(NOT_ITSELF)
    if token.realm is None and not _reaches_all(asking):
        reach = bound_to(token)
        if reach is None or not reach <= set(principal.organization_ids):
            raise Unauthorized(BOUND)


def _require_order(token: Token) -> None:
    """Raises ValidationError for a token that would end before it begins."""
    if token.not_before and token.expires_at and token.expires_at <= token.not_before:
        raise ValidationError({"not_before": "It would expire before it is valid. Give an earlier time."})


def require_expiry(parent: datetime | None, expires_at: datetime | None, now: datetime) -> None:
    """In the future, not absurdly far, and not beyond the token that asks. Raises ValidationError."""
    if expires_at is not None and not now < expires_at < now + LONGEST_LIFE:
        raise ValidationError({"expires_at": "Give a time in the future, at most 100 years from now."})
    if parent is not None and (expires_at is None or expires_at > parent):
        raise ValidationError(
            {"expires_at": f"It cannot outlive the token that asks, which expires at {parent.isoformat()}."}
        )


def require_reach(principal: Principal, token: Token, organizations: Collection[UUID] | None) -> None:
    """Only organizations one reaches oneself. Raises Organization.DoesNotExist, Unauthorized."""
    if principal.is_trusted or token.realm is not None:
        return
    if organizations is None:
        if principal.token is not None and not _reaches_all(principal.token):
            raise Unauthorized(BOUND)
        for barred in principal.barred:  # by their policies, which would admit a newer token
            principal.require_admitted(barred)
    elif not set(organizations) <= set(principal.organization_ids):
        raise Organization.DoesNotExist


def _reaches_all(asking: Any) -> bool:
    """Whether a personal token reaches each organization of its owner, and lost none that they had left."""
    return asking.covers_all_organizations and not asking.lost_organizations.exists()


def locked(token: T) -> T:
    """The row as it is now, held until the transaction ends. Raises DoesNotExist."""
    found: T = type(token).objects.live().select_for_update(no_key=True).get(pk=token.pk)
    return found


def hold_memberships(token: Token) -> None:
    """Whoever takes the owner of a personal token out of an organization was first, or waits and finds it."""
    if token.realm is None:
        list(
            OrgMembership.objects.filter(user=token.owner_id).select_for_update(no_key=True).values_list("pk")
        )


def tell(principal: Principal, token: Token, what: str, changes: dict[str, Any]) -> None:
    record_many([_event(principal, token, what, changes)])


def _event(principal: Principal, token: Token, what: str, changes: dict[str, Any]) -> Event:
    return draft(
        principal,
        Action[f"{_noun(type(token))}_{what}"],
        token,
        organization_id=token.realm or _only_organization(token),
        subject_id=token.owner_id if token.realm is None else None,
        changes=changes,
    )


def _only_organization(token: Any) -> UUID | None:
    """The organization whose trail shows a personal token: the one it reaches, if it is but one."""
    reached = OrgMembership.objects.filter(user=token.owner_id, organization__deleted_at__isnull=True)
    if not token.covers_all_organizations:
        reached = reached.filter(organization__in=token.organizations.all())
    ids = list(reached.values_list("organization_id", flat=True)[:2])
    return ids[0] if len(ids) == 1 else None


def _noun(kind: type[Token]) -> str:
    return "API_TOKEN" if kind is APIToken else "PERSONAL_ACCESS_TOKEN"


def described(token: Token, organizations: Collection[UUID] = ()) -> dict[str, Any]:
    described = {
        "name": token.name,
        "hint": token.hint,
        "scopes": token.scopes,
        "expires_at": _plain(token.expires_at),
    }
    restricted = {"not_before": _plain(token.not_before), "allowed_addresses": token.allowed_addresses}
    described |= {name: value for name, value in restricted.items() if value}
    described |= {"organizations": _names(organizations)} if organizations else {}
    return described | _reported(token)


def _reported(token: Token) -> dict[str, Any]:
    """The report-only rules of policies that a token was issued against."""
    found = vars(token).get("reported")
    return {"would_refuse": found} if found else {}


def _names(ids: Iterable[UUID] | None) -> list[str] | str:
    return "all" if ids is None else sorted(str(one) for one in ids)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _all_fields_but(token: Token, name: str) -> set[str]:
    return {field.name for field in token._meta.fields} - {name}
