"""What there is to say about many tokens at once. Frozen numbers: admin, API and command render the same.

A caller passes the tokens it may see (`visible_to`), a command all of them. Neighbour: models.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.db.models import Count, F, Q

from tokens.models import APIToken, PersonalAccessToken, State, TokenQuerySet, is_orphaned, states

NONE = Q(pk__in=())


@dataclass(frozen=True, slots=True)
class Inventory:
    """How many tokens are in each state, and what stands out among the active ones.

    `unused_*`: neither used nor created in that many days. `expiring_30_days`: within that many from now.
    `orphaned`: API tokens whose creator has left.
    """

    active: int = 0
    pending: int = 0
    expired: int = 0
    rotated: int = 0
    revoked: int = 0
    deleted: int = 0
    never_used: int = 0
    unused_30_days: int = 0
    unused_90_days: int = 0
    never_expiring: int = 0
    expiring_30_days: int = 0
    orphaned: int = 0

    def __add__(self, other: Inventory) -> Inventory:
        return Inventory(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class OwnerInventory:
    """The tokens of one organization or person. `owner` is a name or an e-mail address."""

    owner_id: UUID
    owner: str
    tokens: Inventory


@dataclass(frozen=True, slots=True)
class TokenReport:
    """Organizations and people that have or had a token, by name, and everything together."""

    at: datetime
    organizations: tuple[OwnerInventory, ...]
    users: tuple[OwnerInventory, ...]
    total: Inventory

    @classmethod
    def of(
        cls,
        api_tokens: TokenQuerySet[APIToken],
        personal_access_tokens: TokenQuerySet[PersonalAccessToken],
        now: datetime,
    ) -> Self:
        """Two queries."""
        organizations = inventories(api_tokens, F("owner__name"), now, is_orphaned())
        users = inventories(personal_access_tokens, F("owner__email"), now)
        return cls(now, organizations, users, total(organizations + users))


def inventories(
    tokens: TokenQuerySet[Any], label: F, now: datetime, is_orphan: Q = NONE
) -> tuple[OwnerInventory, ...]:
    """One inventory per owner. One query."""
    counts = {name: Count("pk", filter=condition) for name, condition in conditions(now, is_orphan).items()}
    rows = tokens.order_by().values("owner_id", label=label).annotate(**counts)
    return tuple(
        OwnerInventory(row.pop("owner_id"), row.pop("label"), Inventory(**row))
        for row in rows.order_by("label", "owner_id")
    )


def conditions(now: datetime, is_orphan: Q = NONE) -> dict[str, Q]:
    """What each number of an Inventory counts."""
    by_state = states(now)
    active = by_state[State.ACTIVE]
    month, quarter = timedelta(days=30), timedelta(days=90)
    return {
        **by_state,
        "never_used": active & Q(last_used_at__isnull=True),
        "unused_30_days": active & _unused_since(now - month),
        "unused_90_days": active & _unused_since(now - quarter),
        "never_expiring": active & Q(expires_at__isnull=True),
        "expiring_30_days": active & Q(expires_at__lte=now + month),
        "orphaned": active & is_orphan,
    }


def _unused_since(moment: datetime) -> Q:
    return Q(last_used_at__lt=moment) | Q(last_used_at__isnull=True, created_at__lt=moment)


def total(owners: Iterable[OwnerInventory]) -> Inventory:
    return sum((owner.tokens for owner in owners), Inventory())
