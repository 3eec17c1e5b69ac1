"""The audit trail, to read. Nothing here adds, changes or deletes; the database would refuse it too."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html_join

from audit.models import Event
from organizations.access import Kind
from organizations.models import Organization
from organizations.operators import ReadOnlyAdmin


class ActorKindFilter(admin.SimpleListFilter):
    title = "who"
    parameter_name = "actor_kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, kind.value.replace("_", " ")) for kind in Kind]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.filter(actor_kind=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "what",
        "actor_label",
        "actor_kind",
        "target_label",
        "organization",
        "address",
        "token_hint",
    )
    list_display_links = ("created_at", "what")
    list_filter = ("action", ActorKindFilter, "created_at")
    search_fields = ("actor_label", "target_label", "=actor_id", "=target_id", "=request_id", "=address")
    search_help_text = "Who, what, or exactly: an id, a request id, an address."
    fields = (
        "created_at",
        "what",
        "actor_label",
        "actor_kind",
        "actor_id",
        "token_hint",
        "token_id",
        "target_label",
        "target_kind",
        "target_id",
        "organization",
        "organization_id",
        "subject_id",
        "changed",
        "address",
        "user_agent",
        "request_id",
        "id",
    )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """With the name of the organization, which the event keeps by id alone."""
        name = Organization.objects.filter(pk=models.OuterRef("organization_id")).values("name")[:1]
        events = super().get_queryset(request).annotate(organization_name=models.Subquery(name))
        return cast("models.QuerySet[Any]", events)

    @admin.display(description="action", ordering="action")
    def what(self, event: Event) -> str:
        return event.action

    @admin.display(description="organization")
    def organization(self, event: Any) -> str:
        return event.organization_name or "-"

    @admin.display(description="changes")
    def changed(self, event: Event) -> str:
        told = _before_and_after if event.action.endswith(".updated") else _plain
        return format_html_join("", "<div>{}: {}</div>", ((n, told(v)) for n, v in event.changes.items()))


def _before_and_after(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2:
        return f"{_plain(value[0])} → {_plain(value[1])}"
    return _plain(value)


def _plain(value: Any) -> str:
    if value in (None, "", []):
        return "none"
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
