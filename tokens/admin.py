"""Tokens and their use, for operators. No page shows a value, but the one that answers the issuing.

Neighbours: admin_forms.py (what is typed), admin_filters.py (what is narrowed by), services.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from accounts.models import User
from organizations.access import Principal, operator
from organizations.models import Organization
from organizations.operators import OperatorAdmin, ReadOnlyAdmin
from tokens import secret, services
from tokens.admin_filters import ExpiryFilter, OrphanFilter, StateFilter, UseFilter, VerbFilter
from tokens.admin_forms import APITokenForm, PersonalAccessTokenForm, RevokeForm
from tokens.models import APIToken, PersonalAccessToken, Token, TokenQuerySet, TokenUsage
from tokens.secret import Malformed, TokenKind

MODELS: dict[TokenKind, type[APIToken | PersonalAccessToken]] = {
    TokenKind.API: APIToken,
    TokenKind.PERSONAL: PersonalAccessToken,
}

# So long that it is no hint or name any more: a value, or most of one, that must not reach a URL or a page.
PASTED = re.compile(r"tol[ap]_[0-9A-Za-z]{12,}")

MOST_AT_ONCE = 500
TOO_MANY = f"At most {MOST_AT_ONCE} at once. Choose fewer, or use manage.py revoketokens."

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


class TokenAdmin(OperatorAdmin):
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
    actions = ("revoke_chosen",)
    typed: ClassVar[tuple[str, ...]] = ("name", "description", "scopes", "expires_at")
    whatever_stays_unsaid = "none"

    def get_fieldsets(self, request: HttpRequest, obj: Token | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("owner", *self.typed, "tags")})]
        return [(None, {"fields": ("owner", *self.typed, "tags")}), ("Record", {"fields": RECORD_FIELDS})]

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        rights = () if obj.revoked_at is None else tuple(set(self.typed) - {"name", "description"})
        return ("owner", *rights, *RECORD_FIELDS)

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

    @admin.action(description="Revoke the chosen tokens", permissions=["change"])
    def revoke_chosen(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        if queryset.count() > MOST_AT_ONCE:
            self.message_user(request, TOO_MANY, messages.ERROR)
            return None
        return self._ask(request, queryset.select_related("owner"), RevokeForm())

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_revoke"
        return [path("revoke/", view, name=name), *super().get_urls()]

    def revoke_view(self, request: HttpRequest) -> HttpResponse:
        """Asks before it acts. What is hit is pinned by id, not by the filters of the list it came from."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        sent = request.POST if request.method == "POST" else request.GET
        try:
            tokens = self._chosen(request, sent.getlist("tokens"))
        except ValidationError as fault:
            self.message_user(request, " ".join(fault.messages), messages.ERROR)
            return redirect(self.url("changelist"))
        form = RevokeForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            return self._revoke(request, tokens, form.cleaned_data["reason"])
        return self._ask(request, tokens, form)

    def _chosen(self, request: HttpRequest, ids: list[str]) -> TokenQuerySet[Any]:
        """Raises ValidationError when one of them is no token: nothing chosen is passed over in silence."""
        if len(ids) > MOST_AT_ONCE:
            raise ValidationError(TOO_MANY)
        field = forms.ModelMultipleChoiceField(self.get_queryset(request).select_related("owner"))
        field.error_messages["required"] = "Choose at least one token."
        return cast("TokenQuerySet[Any]", field.clean(ids))

    def _ask(self, request: HttpRequest, tokens: models.QuerySet[Any], form: RevokeForm) -> HttpResponse:
        now = timezone.now()
        rows = [(token, token.state(now)) for token in tokens]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Revoke tokens",
            "rows": rows,
            "form": form,
            "already": sum(token.revoked_at is not None for token, _ in rows),
            "left": sum(token.revoked_at is None for token, _ in rows),
            "action_url": self.url("revoke"),
            "back_url": self.url("changelist"),
        }
        return TemplateResponse(request, "admin/tokens/revoke_confirmation.html", context)

    def _revoke(self, request: HttpRequest, tokens: TokenQuerySet[Any], reason: str) -> HttpResponse:
        chosen, revoked = tokens.count(), 0
        batch: list[Any]
        for batch in services.revoke_many(operator(request.user), tokens, reason=reason):
            revoked += len(batch)
            for token in batch:
                self.log_change(request, token, "Revoked.")
        before = f" {chosen - revoked} had been revoked before." if chosen > revoked else ""
        self.message_user(request, f"Tokens revoked: {revoked}.{before}", messages.SUCCESS)
        return redirect(self.url("changelist"))


@admin.register(APIToken)
class APITokenAdmin(TokenAdmin):
    form = APITokenForm
    list_filter = (*TokenAdmin.list_filter, OrphanFilter)
    search_fields = ("name", "hint", "owner__name")

    def owners(self) -> models.QuerySet[Any]:
        return Organization.objects.live()


@admin.register(PersonalAccessToken)
class PersonalAccessTokenAdmin(TokenAdmin):
    form = PersonalAccessTokenForm
    search_fields = ("name", "hint", "owner__email")
    autocomplete_fields = ("owner", "organizations")
    typed = (*TokenAdmin.typed, "covers_all_organizations", "organizations")
    whatever_stays_unsaid = "those of its owner"

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
