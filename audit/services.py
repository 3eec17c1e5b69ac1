"""The one way an event comes to be."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import models

from audit import context
from audit.actions import Action
from audit.models import Event
from organizations.access import Principal


def record(principal: Principal, action: Action, target: models.Model | None = None, **about: Any) -> Event:
    """Write an event, in the caller's transaction: it is there if and only if the change is. As draft()."""
    event = draft(principal, action, target, **about)
    event.save(force_insert=True)
    return event


def record_many(events: Sequence[Event]) -> None:
    """Write drafted events in one statement, in the caller's transaction."""
    Event.objects.bulk_create(events)


def draft(
    principal: Principal,
    action: Action,
    target: models.Model | None = None,
    *,
    organization_id: UUID | None = None,
    subject_id: UUID | None = None,
    changes: dict[str, Any] | None = None,
) -> Event:
    """An event that is still to be written: who, on what, from where, and what changed."""
    facts = context.current()
    token = principal.token
    return Event(
        action=action,
        organization_id=organization_id,
        subject_id=subject_id,
        actor_kind=principal.kind,
        actor_id=principal.id,
        actor_label=principal.label[:300],
        token_id=token.pk if token else None,
        token_hint=token.hint if token else "",
        target_kind=type(target).__name__ if target else "",
        target_id=str(target.pk) if target else "",
        target_label=str(target)[:300] if target else "",
        changes=changes or {},
        address=facts.address,
        user_agent=facts.user_agent,
        request_id=facts.request_id,
    )
