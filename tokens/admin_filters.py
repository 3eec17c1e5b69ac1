"""By what operators narrow a list of tokens. Neighbour: admin.py."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from organizations.scopes import Verb, names_of
from tokens.models import APITokenQuerySet, State, TokenQuerySet, states


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in reversed(State)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        condition = states(timezone.now()).get(self.value() or "")
        return queryset if condition is None else queryset.filter(condition)


class OrphanFilter(admin.SimpleListFilter):
    title = "creator"
    parameter_name = "creator"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("left", "has left (orphaned)")]

    def queryset(  # type: ignore[override]  # its list holds nothing but API tokens
        self, request: HttpRequest, queryset: APITokenQuerySet
    ) -> QuerySet[Any]:
        return queryset.orphaned() if self.value() == "left" else queryset


class ExpiryFilter(admin.SimpleListFilter):
    title = "expiry"
    parameter_name = "expiry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("past", "expired"),
            ("7", "within 7 days"),
            ("30", "within 30 days"),
            ("never", "never"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        match self.value():
            case "past":
                return queryset.filter(expires_at__lte=now)
            case "7" | "30" as days:
                return queryset.filter(expires_at__gt=now, expires_at__lte=now + timedelta(days=int(days)))
            case "never":
                return queryset.filter(expires_at__isnull=True)
        return queryset


class UseFilter(admin.SimpleListFilter):
    title = "use"
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("never", "never used"),
            ("30", "unused for 30 days"),
            ("90", "unused for 90 days"),
        ]

    def queryset(  # type: ignore[override]  # these lists hold nothing but tokens
        self, request: HttpRequest, queryset: TokenQuerySet[Any]
    ) -> QuerySet[Any]:
        match self.value():
            case "never":
                return queryset.filter(last_used_at__isnull=True)
            case "30" | "90" as days:
                return queryset.unused_since(timezone.now() - timedelta(days=int(days)))
        return queryset


class VerbFilter(admin.SimpleListFilter):
    """Tokens that have a scope of this verb, in either spelling."""

    title = "scopes"
    parameter_name = "verb"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((verb.name, f"some {verb.name}") for verb in Verb), ("none", "none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "none":
            return queryset.filter(scopes=[])
        if self.value() not in Verb.__members__:
            return queryset
        rule = Q()
        for name in names_of(Verb[str(self.value())]):
            rule |= Q(scopes__has=name)
        return queryset.filter(rule)
