"""What happened, for good: one append-only table. Triggers refuse UPDATE and DELETE (see migrations)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.actions import Action

if TYPE_CHECKING:
    from organizations.access import Principal


class EventQuerySet(models.QuerySet["Event"]):
    def visible_to(self, principal: Principal) -> Self:
        """The events of organizations whose trail one may read, and those about one's own things."""
        rule = models.Q(organization_id__in=principal.organizations_with("read:events"))
        if principal.user is not None and principal.can("read:events", None):
            rule |= models.Q(subject_id=principal.user.pk)
        return self.filter(rule)


class Event(models.Model):
    """Who did what to what, from where. People and things are kept by value: the event outlives them.

    `subject_id` is the person whose own thing it was (a personal token, a session), `token_id` and
    `token_hint` the credential the actor used. `changes` maps a field to [before, after], or to what was.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    action = models.CharField(max_length=64, choices=Action)
    organization_id = models.UUIDField(null=True)
    subject_id = models.UUIDField(null=True)
    actor_kind = models.CharField(max_length=32)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=300, blank=True)
    token_id = models.UUIDField(null=True)
    token_hint = models.CharField(max_length=16, blank=True)
    target_kind = models.CharField(max_length=64, blank=True)
    target_id = models.CharField(max_length=64, blank=True)
    target_label = models.CharField(max_length=300, blank=True)
    changes = models.JSONField(default=dict)
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=64, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        indexes = (
            models.Index(fields=("organization_id", "id"), name="event_by_organization"),
            models.Index(fields=("subject_id", "id"), name="event_by_subject"),
            models.Index(fields=("target_id", "id"), name="event_by_target"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.target_label}".strip()
