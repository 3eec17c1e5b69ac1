"""What is done to chosen tokens after a page that shows what it hits: revoking, rotating, expiring.

What is hit is pinned by id, not by the filters of the list it came from. Neighbours: admin.py, services.py,
rotation.py; rotatetokens and its like do the same to many.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from organizations.access import operator
from organizations.operators import REFUSALS, OperatorAdmin, explained
from tokens import rotation, services
from tokens.admin_forms import ExpireForm, RevokeForm, RotateForm
from tokens.models import State, Token, TokenQuerySet


class Deed:
    """One of the things done to chosen tokens. The words are those of its page."""

    name: ClassVar[str]
    form: ClassVar[type[forms.Form]]
    most: ClassVar[int]
    consequence: ClassVar[str]
    spared: ClassVar[str]

    @property
    def too_many(self) -> str:
        return f"At most {self.most} at once. Choose fewer, or use manage.py {self.name}tokens."

    def hits(self, token: Token, now: datetime) -> bool:
        raise NotImplementedError

    def perform(
        self, page: DeedAdmin, request: HttpRequest, tokens: TokenQuerySet[Any], values: dict[str, Any]
    ) -> HttpResponse:
        raise NotImplementedError


class Revoking(Deed):
    name, form, most = "revoke", RevokeForm, 500
    consequence = "will stop working from the next request on, for good."
    spared = "revoked already"

    def hits(self, token: Token, now: datetime) -> bool:
        return token.revoked_at is None

    def perform(
        self, page: DeedAdmin, request: HttpRequest, tokens: TokenQuerySet[Any], values: dict[str, Any]
    ) -> HttpResponse:
        chosen, revoked = tokens.count(), 0
        batch: list[Any]
        for batch in services.revoke_many(operator(request.user), tokens, reason=values["reason"]):
            revoked += len(batch)
            for token in batch:
                page.log_change(request, token, "Revoked.")
        before = f" {chosen - revoked} had been revoked before." if chosen > revoked else ""
        page.message_user(request, f"Tokens revoked: {revoked}.{before}", messages.SUCCESS)
        return redirect(page.url("changelist"))


class Expiring(Deed):
    name, form, most = "expire", ExpireForm, 500
    consequence = "will expire then, and none later than it does now."
    spared = "over already"

    def hits(self, token: Token, now: datetime) -> bool:
        return token.state(now) in (State.ACTIVE, State.PENDING)

    def perform(
        self, page: DeedAdmin, request: HttpRequest, tokens: TokenQuerySet[Any], values: dict[str, Any]
    ) -> HttpResponse:
        chosen, shortened = tokens.count(), 0
        at = timezone.now() + timedelta(days=values["days"])
        batch: list[Any]
        for batch in services.expire_many(operator(request.user), tokens, at):
            shortened += len(batch)
            for token in batch:
                page.log_change(request, token, "Life cut short.")
        spared = f" {chosen - shortened} end sooner anyway." if chosen > shortened else ""
        page.message_user(request, f"Lives cut short: {shortened}.{spared}", messages.SUCCESS)
        return redirect(page.url("changelist"))


class Rotating(Deed):
    name, form, most = "rotate", RotateForm, 20
    consequence = "will get a successor. The next page shows the new values, this once."
    spared = "over or rotated already"

    def hits(self, token: Token, now: datetime) -> bool:
        return token.state(now) is State.ACTIVE and token.overlap_ends_at is None

    @sensitive_variables()
    def perform(
        self, page: DeedAdmin, request: HttpRequest, tokens: TokenQuerySet[Any], values: dict[str, Any]
    ) -> HttpResponse:
        """Each commits by itself; the page is rendered afterwards, and kept by nobody."""
        rows = [self._rotated(page, request, token, values) for token in tokens]
        context = page.context(request, "New values", rows=rows, back_url=page.url("changelist"))
        response = TemplateResponse(request, "admin/tokens/rotated.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @sensitive_variables()
    def _rotated(
        self, page: DeedAdmin, request: HttpRequest, token: Token, values: dict[str, Any]
    ) -> tuple[Token, Token | None, str]:
        """The token, its successor, else why there is none."""
        try:
            successor = rotation.rotate(operator(request.user), token, **values)
        except REFUSALS as refusal:
            return token, None, " ".join(ValidationError(list(explained(refusal).values())).messages)
        page.log_change(request, token, "Rotated.")
        return token, successor, ""


REVOKING, ROTATING, EXPIRING = Revoking(), Rotating(), Expiring()
DEEDS = (REVOKING, ROTATING, EXPIRING)


class DeedAdmin(OperatorAdmin):
    """A list of tokens whose actions ask before they act."""

    actions = ("revoke_chosen", "rotate_chosen", "expire_chosen")

    @admin.action(description="Revoke the chosen tokens", permissions=["change"])
    def revoke_chosen(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        return self._choose(request, queryset, REVOKING)

    @admin.action(description="Rotate the chosen tokens", permissions=["change"])
    def rotate_chosen(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        return self._choose(request, queryset, ROTATING)

    @admin.action(description="Let the chosen tokens expire", permissions=["change"])
    def expire_chosen(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> HttpResponse | None:
        return self._choose(request, queryset, EXPIRING)

    def _choose(
        self, request: HttpRequest, queryset: models.QuerySet[Any], deed: Deed
    ) -> HttpResponse | None:
        if queryset.count() > deed.most:
            self.message_user(request, deed.too_many, messages.ERROR)
            return None
        return self._ask(request, queryset.select_related("owner"), deed, deed.form())

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path(
                f"{deed.name}/",
                self.admin_site.admin_view(functools.partial(self.deed_view, deed=deed)),
                name=f"{self.opts.app_label}_{self.opts.model_name}_{deed.name}",
            )
            for deed in DEEDS
        ]
        return [*pages, *super().get_urls()]

    def deed_view(self, request: HttpRequest, deed: Deed) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        sent = request.POST if request.method == "POST" else request.GET
        try:
            tokens = self._chosen(request, sent.getlist("tokens"), deed)
        except ValidationError as fault:
            self.message_user(request, " ".join(fault.messages), messages.ERROR)
            return redirect(self.url("changelist"))
        form = deed.form(request.POST if request.method == "POST" else None)
        if form.is_valid():
            return deed.perform(self, request, tokens, form.cleaned_data)
        return self._ask(request, tokens, deed, form)

    def _chosen(self, request: HttpRequest, ids: list[str], deed: Deed) -> TokenQuerySet[Any]:
        """Raises ValidationError when one of them is no token: nothing chosen is passed over in silence."""
        if len(ids) > deed.most:
            raise ValidationError(deed.too_many)
        field = forms.ModelMultipleChoiceField(self.get_queryset(request).select_related("owner"))
        field.error_messages["required"] = "Choose at least one token."
        return cast("TokenQuerySet[Any]", field.clean(ids))

    def _ask(
        self, request: HttpRequest, tokens: models.QuerySet[Any], deed: Deed, form: forms.Form
    ) -> HttpResponse:
        now = timezone.now()
        rows = [(token, token.state(now), deed.hits(token, now)) for token in tokens]
        left = sum(is_hit for *_, is_hit in rows)
        context = self.context(
            request,
            f"{deed.name.capitalize()} tokens",
            deed=deed,
            rows=rows,
            form=form,
            left=left,
            spared=len(rows) - left,
            action_url=self.url(deed.name),
            back_url=self.url("changelist"),
        )
        return TemplateResponse(request, "admin/tokens/deed_confirmation.html", context)

    def context(self, request: HttpRequest, title: str, **more: Any) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "title": title, **more}
