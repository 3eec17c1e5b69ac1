"""By what operators narrow a list of tokens. Neighbour: admin.py."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from organizations.scopes import Verb, names_of
from tokens.models import State, TokenQuerySet


class StateFilter(admin.SimpleListFilter):
    """The same four, told apart in the same order, as Token.state()."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in reversed(State)]

    def queryset(  # type: ignore[override]  # these lists hold nothing but tokens
        self, request: HttpRequest, queryset: TokenQuerySet[Any]
    ) -> QuerySet[Any]:
        now = timezone.now()
        match self.value():
            case State.DELETED:
                return queryset.filter(deleted_at__isnull=False)
            case State.REVOKED:
                return queryset.live().filter(revoked_at__isnull=False)
            case State.EXPIRED:
                return queryset.live().filter(revoked_at__isnull=True, expires_at__lte=now)
            case State.ACTIVE:
                return queryset.usable(now)
        return queryset


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
