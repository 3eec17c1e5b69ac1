"""A successor for a token: a new value with the old one's rights, while the old one works on for a while.

One successor each: `rotated_from` is unique, and the row of the old token is held meanwhile. Who asks
twice with one idempotency key gets the same successor, without its value. Neighbour: services.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar, cast
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils import timezone

from organizations.access import Principal, Unauthorized, require, writing
from tokens import policy, services
from tokens.models import State, Token
from tokens.policies import Demand, Policies
from tokens.policy import Occasion, Rule
from tokens.secret import TokenKind
from tokens.services import TokenRevoked, require_management

T = TypeVar("T", bound=Token)

ROTATE_ITSELF = "write:tokens"
DEFAULT_OVERLAP = timedelta(hours=1)
LONGEST_OVERLAP = timedelta(days=30)
KEPT = ("name", "description", "scopes", "allowed_addresses", "tags", "owner_id")
KEPT_OF_A_PERSON = {TokenKind.API: (), TokenKind.PERSONAL: ("covers_all_organizations",)}


class Reason(StrEnum):
    """Why a token is rotated. After a leak the old value ends at once."""

    ROUTINE = "ROUTINE"
    LEAK = "LEAK"


class AlreadyRotated(ValidationError):
    """The token has its successor."""

    def __init__(self, successor: Token) -> None:
        self.extensions = {"code": "CONFLICT"}
        super().__init__(
            f"The token has been rotated already; its successor is {successor.pk}. "
            "Rotate that, and revoke this one if its value has leaked."
        )


def rotate(
    principal: Principal,
    token: T,
    *,
    expires_at: datetime | None = None,
    overlap_seconds: int | None = None,
    reason: str | None = None,
    idempotency_key: str | None = None,
) -> T:
    """A successor, whose `.token` is the value, this once; of an earlier call with this key, without it.

    `expires_at` None: as long as the old one was given. `overlap_seconds` None: an hour; capped by what
    ends the old one anyway. Raises ValidationError, TokenRevoked, AlreadyRotated, and as require().
    """
    now = timezone.now()
    _require_rotation(principal, token)
    overlap = overlap_of(overlap_seconds, reason)
    with writing(principal):
        old = services.locked(token)
        known: T | None = type(token).objects.filter(rotated_from=old).first()
        if known is not None:
            is_again = idempotency_key and known.idempotency_key == idempotency_key
            if is_again and (reason != Reason.LEAK or old.state(now) is not State.ACTIVE):
                return known
            raise AlreadyRotated(known)
        services.hold_memberships(old)
        reach, policies = services.bound_to(old), Policies()
        demands = policies.of(old, reach)
        _require_alive(old, demands, now)
        successor = type(old)(**{name: getattr(old, name) for name in (*KEPT, *KEPT_OF_A_PERSON[old.kind])})
        successor.rotated_from, successor.idempotency_key = old, idempotency_key or None
        _grant(principal, successor, reach, expires_at, demands, now)
        _save(successor, reach)
        ends_at = now + overlap
        old.overlap_ends_at = ends_at if old.expires_at is None else min(ends_at, old.expires_at)
        old.updated_by = principal.id
        old.save(update_fields=["overlap_ends_at", "updated_at", "updated_by"])
        policies.require_issuable(successor, reach, now)  # now that the old one makes room for it
        told = {
            "successor": str(successor.pk),
            "reason": reason or Reason.ROUTINE,
            "overlap_ends_at": old.overlap_ends_at.isoformat(),
        }
        services.tell(principal, old, "ROTATED", told | services.described(successor, reach or ()))
    return successor


def _is_own(principal: Principal, token: Token) -> bool:
    return principal.token is not None and bool(principal.token.pk == token.pk)


def _require_rotation(principal: Principal, token: Token) -> None:
    """A token may rotate itself if it has the scope for that; else who may manage it. Raises as require()."""
    if _is_own(principal, token):
        require(principal, ROTATE_ITSELF, token.realm)
    else:
        require_management(principal, token)


def overlap_of(seconds: int | None, reason: str | None) -> timedelta:
    """How long the old value works on. Raises ValidationError for one that is negative or too long."""
    longest = int(LONGEST_OVERLAP.total_seconds())
    if seconds is not None and not 0 <= seconds <= longest:
        raise ValidationError(
            {"overlap_seconds": f"Give 0 to {longest} seconds ({LONGEST_OVERLAP.days} days)."}
        )
    if reason == Reason.LEAK:
        if seconds:
            raise ValidationError({"overlap_seconds": "A leaked value ends at once: leave the overlap out."})
        return timedelta()
    return DEFAULT_OVERLAP if seconds is None else timedelta(seconds=seconds)


def _require_alive(token: Token, demands: Iterable[Demand], now: datetime) -> None:
    """Neither by itself nor by a policy has it ended. Raises TokenRevoked, ValidationError."""
    state = token.state(now)
    if state in (State.REVOKED, State.DELETED):
        raise TokenRevoked
    if state is not State.ACTIVE:
        raise ValidationError(f"The token is {state}. Issue a new one.")
    for name, over in ((one.organization_name, _refusal(token, one, now)) for one in demands):
        if over is not None and over.code == policy.EXPIRED:
            raise ValidationError(f"{name}: {over.why}")


def _refusal(token: Token, demand: Demand, now: datetime) -> policy.Breach | None:
    return policy.refusal(policy.at_use(token, demand.terms, Occasion(now)))


def _grant(
    principal: Principal,
    successor: Token,
    reach: set[UUID] | None,
    expires_at: datetime | None,
    demands: Iterable[Demand],
    now: datetime,
) -> None:
    """Give it a value, and the rights of the old one for as long. Raises ValidationError, PermissionDenied.

    A token that rotates itself grants nothing: the rights are those it has. It is not given longer either,
    and answers to whoever made the first of them.
    """
    old = cast(Token, successor.rotated_from)
    is_own = _is_own(principal, old)
    parent = None if is_own else principal.expires_at
    longest = _longest(old, parent, demands, now)
    if is_own and expires_at is not None and longest is not None and expires_at > longest:
        raise Unauthorized("A token that rotates itself lives no longer than it was given. Use another one.")
    successor.expires_at = longest if expires_at is None else expires_at
    services.prepare(principal, successor)
    if is_own:
        successor.created_by = old.created_by
    else:
        services.require_grantable(principal, successor, before=frozenset())
        services.require_reach(principal, successor, reach)
    services.require_expiry(parent, successor.expires_at, now)


def _longest(
    old: Token, parent: datetime | None, demands: Iterable[Demand], now: datetime
) -> datetime | None:
    """As long as the old one was given, within what policies and the token that asks allow."""
    ends = [] if parent is None else [parent]
    if old.expires_at is not None:
        ends.append(now + (old.expires_at - old.created_at))
        ends += [
            now + timedelta(days=demand.terms.maximum_lifetime_days)
            for demand in demands
            if demand.terms.enforces(Rule.MAXIMUM_LIFETIME) and demand.terms.maximum_lifetime_days
        ]
    return min(ends, default=None)


def _save(successor: Any, reach: set[UUID] | None) -> None:
    successor.save(force_insert=True)
    if successor.realm is None:
        successor.organizations.set(reach or ())
        successor.lost_organizations.set(successor.rotated_from.lost_organizations.all())
