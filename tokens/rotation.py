"""A successor for a token: a new value with the old one's rights, while the old one works on for a while.

One successor each: `rotated_from` is unique, and the row of the old token is held meanwhile. Who asks
twice with one idempotency key gets the same successor, without its value. Neighbour: services.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.utils import timezone

from organizations.access import Principal, Unauthorized, require, writing
from tokens import services
from tokens.models import State, Token
from tokens.policies import Demand, Policies
from tokens.policy import Rule
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
        super().__init__(f"The token has been rotated already; its successor is {successor.pk}. Rotate that.")


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
            if idempotency_key and known.rotation_key == idempotency_key:
                return known
            raise AlreadyRotated(known)
        _require_alive(old, now)
        successor = _successor(principal, old, expires_at, now)
        successor.rotation_key = idempotency_key or None
        _save(successor, old)
        old.overlap_ends_at, old.updated_by = now + overlap, principal.id
        old.save(update_fields=["overlap_ends_at", "updated_at", "updated_by"])
        told = {
            "successor": str(successor.pk),
            "reason": reason or Reason.ROUTINE,
            "overlap_ends_at": old.overlap_ends_at.isoformat(),
        }
        services.tell(principal, old, "ROTATED", told | services.described(successor))
    return successor


def _require_rotation(principal: Principal, token: Token) -> None:
    """A token may rotate itself if it has the scope for that; else who may manage it. Raises as require()."""
    if principal.token is None or principal.token.pk != token.pk:
        require_management(principal, token)
    else:
        require(principal, ROTATE_ITSELF, token.realm)


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


def _require_alive(token: Token, now: datetime) -> None:
    """Raises TokenRevoked, ValidationError."""
    state = token.state(now)
    if state in (State.REVOKED, State.DELETED):
        raise TokenRevoked
    if state is not State.ACTIVE:
        raise ValidationError(f"The token is {state}. Issue a new one.")


def _successor(principal: Principal, old: T, expires_at: datetime | None, now: datetime) -> T:
    """An unsaved token with the rights of the old one. Raises ValidationError, PermissionDenied.

    A token that rotates itself grants nothing: the rights are those it has. It is not given longer either.
    """
    is_own = principal.token is not None and principal.token.pk == old.pk
    parent = None if is_own else principal.expires_at
    reach, policies = services.bound_to(old), Policies()
    successor = type(old)(**{name: getattr(old, name) for name in (*KEPT, *KEPT_OF_A_PERSON[old.kind])})
    successor.rotated_from = old
    longest = _longest(old, parent, policies.of(old, reach), now)
    if is_own and expires_at is not None and longest is not None and expires_at > longest:
        raise Unauthorized("A token that rotates itself lives no longer than it was given. Use another one.")
    successor.expires_at = longest if expires_at is None else expires_at
    services.prepare(principal, successor)
    if not is_own:
        services.require_grantable(principal, successor, before=frozenset())
        services.require_reach(principal, successor, reach)
    services.require_expiry(parent, successor.expires_at, now)
    policies.require_issuable(successor, reach, now, without={Rule.LIVE_TOKENS})
    return successor


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


def _save(successor: Token, old: Any) -> None:
    successor.save(force_insert=True)
    if old.realm is None:
        made: Any = successor
        made.organizations.set(services.bound_to(old) or ())
        made.lost_organizations.set(old.lost_organizations.all())
