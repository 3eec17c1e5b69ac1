"""Audit events on the wire, by themselves and below what they are about."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import F, Model, QuerySet, UUIDField, Value
from django.db.models.functions import Cast, NullIf, Replace

from audit import models
from config.graphql.generate import extend, many, node
from organizations.access import Principal
from organizations.models import Group, GroupMembership, Invite, Organization, OrgMembership


@node(models.Event, order=("created_at", "action"), unfiltered=("changes",))
class Event:
    """What happened: who did what to what, from where"""


def events_about(model: type[Model]) -> Any:
    """In a class body: what happened to each of these rows. An event keeps its target's id as text."""

    def children(rows: Any, principal: Principal) -> QuerySet[models.Event]:
        about = models.Event.objects.visible_to(principal).filter(target_kind=model.__name__)
        target = Replace(NullIf("target_id", Value("")), Value("-"), Value(""))  # as SQLite stores an id
        found = about.annotate(parent_key=Cast(target, UUIDField()))
        if isinstance(rows, QuerySet):
            return found.filter(parent_key__in=rows.values("pk"))
        return found.filter(target_id__in=[str(row.pk) for row in rows])

    return many(models.Event, children)


def events_in(organizations: Any, principal: Principal) -> QuerySet[models.Event]:
    """What happened in each of these organizations."""
    if isinstance(organizations, QuerySet):
        organizations = organizations.values("pk")
    else:
        organizations = [organization.pk for organization in organizations]
    found = models.Event.objects.visible_to(principal).filter(organization_id__in=organizations)
    return found.annotate(parent_key=F("organization_id"))


extend(Organization, events=many(models.Event, events_in))
for about in (get_user_model(), OrgMembership, Group, GroupMembership, Invite):
    extend(about, events=events_about(about))
