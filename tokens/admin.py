"""Tokens and their use, for operators. No page shows a value, but the one that answers the issuing.

Neighbours: admin_forms.py (what is typed), admin_filters.py (what is narrowed by), admin_deeds.py (what is
done to several), admin_policies.py, services.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.views.decorators.debug import sensitive_variables

from accounts.models import User
from organizations.access import Principal
from organizations.models import Organization
from organizations.operators import ReadOnlyAdmin
from tokens import secret, services, standing
from tokens.admin_deeds import DeedAdmin
from tokens.admin_filters import ExpiryFilter, OrphanFilter, StateFilter, UseFilter, VerbFilter
from tokens.admin_forms import APITokenForm, PersonalAccessTokenForm
from tokens.admin_policies import TokenPolicyAdmin
from tokens.models import APIToken, PersonalAccessToken, Token, TokenPolicy, TokenUsage
from tokens.secret import Malformed, TokenKind
from tokens.standing import Status

MODELS: dict[TokenKind, type[APIToken | PersonalAccessToken]] = {
    TokenKind.API: APIToken,
    TokenKind.PERSONAL: PersonalAccessToken,
}

# So long that it is no hint or name any more: a value, or most of one, that must not reach a URL or a page.
PASTED = re.compile(r"tol[ap]_[0-9A-Za-z]{12,}")

RECORD_FIELDS = (
    "id",
    "hint",
    "state",
    "last_used_at",
    "usage_count",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "revoked_at",
    "revoked_by",
    "revoked_reason",
    "sso_authorizations",
    "deleted_at",
)


@sensitive_variables()
def find_pasted(text: str) -> Token | None:
    """The token whose value stands in the text, of either kind. Raises Malformed for a piece of one."""
    value = next(secret.find(text), "") or PASTED.findall(text)[0]
    return MODELS[secret.parse(value)].objects.with_value(value).first()


class TokenAdmin(DeedAdmin):
    list_display = (
        "name",
        "hint",
        "owner",
        "state",
        "scopes_listed",
        "created_at",
        "expires_at",
        "last_used_at",
        "usage_count",
    )
    list_filter: ClassVar[tuple[Any, ...]] = (StateFilter, ExpiryFilter, UseFilter, VerbFilter)
    list_select_related = ("owner",)
    search_help_text = "A name, an owner, a hint, an id, or a whole token, which is matched and not kept."
    autocomplete_fields: ClassVar[tuple[str, ...]] = ("owner",)
    typed: ClassVar[tuple[str, ...]] = (
        "name",
        "description",
        "scopes",
        "not_before",
        "expires_at",
        "allowed_addresses",
    )
    standing_fields: ClassVar[tuple[str, ...]] = (
        "accepted_now",
        "predecessor",
        "successor",
        "overlap_ends_at",
    )
    whatever_stays_unsaid = "none"

    def get_fieldsets(self, request: HttpRequest, obj: Token | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("owner", *self.typed, "tags")})]
        return [
            (None, {"fields": ("owner", *self.typed, "tags")}),
            ("Standing", {"fields": self.standing_fields}),
            ("Record", {"fields": RECORD_FIELDS}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        rights = () if obj.revoked_at is None else tuple(set(self.typed) - {"name", "description"})
        return ("owner", *rights, *self.standing_fields, *RECORD_FIELDS)

    def has_change_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Token | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """A filter on digests would tell them byte by byte."""
        return not lookup.startswith("digest") and super().lookup_allowed(lookup, value, request)

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        kwargs.setdefault("queryset", self.owners())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def owners(self) -> models.QuerySet[Any]:
        """Who may get a token."""
        raise NotImplementedError

    # --- columns

    @admin.display(description="state")
    def state(self, token: Token) -> str:
        return token.state(timezone.now()).value

    @admin.display(description="scopes")
    def scopes_listed(self, token: Token) -> str:
        return ", ".join(token.scopes) or self.whatever_stays_unsaid

    # --- standing

    @admin.display(description="accepted now")
    def accepted_now(self, token: Token) -> str:
        """Whether and why not, and what ends it next; of the token as such and where that differs."""
        here, now = standing.standings([token])[token.pk], timezone.now()
        names = {place.organization_id: place.grant.name for place in here.places}
        lines = [
            f"{names[status.organization_id]}: {_told(status)}" if status.organization_id else _told(status)
            for status in self.statuses(here, now)
        ]
        return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))

    def statuses(self, here: Any, now: datetime) -> list[Status]:
        return [here.status(now)]

    @admin.display(description="rotated from")
    def predecessor(self, token: Token) -> str:
        return _link(token.rotated_from)

    @admin.display(description="rotated to")
    def successor(self, token: Token) -> str:
        return _link(type(token).objects.filter(rotated_from=token).first())

    # --- search

    @sensitive_variables()
    def changelist_view(
        self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        """The search form posts, so that what is pasted into it stands in no URL and no access log."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        is_search = request.method == "POST" and SEARCH_VAR in request.POST
        asked = " ".join((request.POST if is_search else request.GET).getlist(SEARCH_VAR))
        if PASTED.search(asked):
            return self._show_pasted(request, asked)
        if is_search:
            query = request.GET.copy()
            query.pop(PAGE_VAR, None)
            query[SEARCH_VAR] = asked
            return redirect(f"{request.path}?{query.urlencode()}")
        return super().changelist_view(request, extra_context)

    @sensitive_variables()
    def _show_pasted(self, request: HttpRequest, text: str) -> HttpResponse:
        try:
            token = find_pasted(text)
        except Malformed as fault:
            self.message_user(request, str(fault), messages.ERROR)
            return redirect(self.url("changelist"))
        if token is None:
            self.message_user(request, "No such token exists here, living or dead.", messages.WARNING)
            return redirect(self.url("changelist"))
        return redirect(f"admin:tokens_{token._meta.model_name}_change", token.pk)

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        try:
            return queryset.filter(pk=search_term.strip()), False
        except ValidationError:
            return super().get_search_results(request, queryset, search_term)

    # --- issuing

    def response_add(
        self, request: HttpRequest, obj: Token, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The one page that shows a value. Rendered after the commit, and kept by nobody."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "token": obj,
            "title": f"The {self.opts.verbose_name} is issued",
        }
        response = TemplateResponse(request, "admin/tokens/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    # --- the end of tokens

    def end(self, principal: Principal, record: Token) -> None:
        services.delete_token(principal, record)

    def consequences(self, record: Any) -> list[str]:
        return [
            f"{record} of {record.owner} stops working from the next request on, for good.",
            "It disappears for its owner. Here and in the audit trail it stays to be seen.",
        ]


ENDS_BY = {"expires_at": "its expiry", "rotation": "the end of the overlap"}


def _told(status: Status) -> str:
    if status.reason is not None:
        return f"No. {status.reason}"
    if status.ends_at is None or status.ends_by is None:
        return "Yes. Nothing ends it by itself."
    by = ENDS_BY.get(status.ends_by) or f"the policy: {status.ends_by.replace('_', ' ')}"
    return f"Yes, until {localize(timezone.localtime(status.ends_at))}, by {by}."


def _link(token: Token | None) -> str:
    if token is None:
        return "-"
    url = reverse(f"admin:tokens_{token._meta.model_name}_change", args=[token.pk])
    return format_html('<a href="{}">{}</a>', url, token)


admin.site.register(TokenPolicy, TokenPolicyAdmin)


@admin.register(APIToken)
class APITokenAdmin(TokenAdmin):
    form = APITokenForm
    list_filter = (*TokenAdmin.list_filter, OrphanFilter)
    search_fields = ("name", "hint", "owner__name")

    standing_fields = (*TokenAdmin.standing_fields, "orphaned")

    def owners(self) -> models.QuerySet[Any]:
        return Organization.objects.live()

    @admin.display(description="orphaned")
    def orphaned(self, token: APIToken) -> str:
        is_orphan = APIToken.objects.filter(pk=token.pk).orphaned().exists()
        return "Yes: its creator is no active member any more." if is_orphan else "no"


@admin.register(PersonalAccessToken)
class PersonalAccessTokenAdmin(TokenAdmin):
    form = PersonalAccessTokenForm
    search_fields = ("name", "hint", "owner__email")
    autocomplete_fields = ("owner", "organizations")
    typed = (*TokenAdmin.typed, "covers_all_organizations", "organizations")
    whatever_stays_unsaid = "those of its owner"

    def statuses(self, here: Any, now: datetime) -> list[Status]:
        return [here.status(now), *here.status_by_organization(now)]

    def owners(self) -> models.QuerySet[Any]:
        return User.objects.get_queryset().filter(is_active=True)

    def formfield_for_manytomany(
        self, db_field: models.ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.ModelMultipleChoiceField[Any] | None:
        kwargs.setdefault("queryset", Organization.objects.live())
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(TokenUsage)
class TokenUsageAdmin(ReadOnlyAdmin):
    list_display = (
        "day",
        "hint",
        "operation",
        "scope",
        "outcome",
        "address",
        "count",
        "first_seen_at",
        "last_seen_at",
    )
    list_filter = ("day",)
    fields = ("token_id", *list_display)

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        """With the hint of the token, which a usage row names by id alone."""
        hints = [
            models.Subquery(model._default_manager.filter(pk=models.OuterRef("token_id")).values("hint")[:1])
            for model in MODELS.values()
        ]
        usage = super().get_queryset(request).annotate(token_hint=Coalesce(*hints))
        return cast("models.QuerySet[Any]", usage)

    @admin.display(description="token")
    def hint(self, usage: Any) -> str:
        return usage.token_hint or str(usage.token_id)
