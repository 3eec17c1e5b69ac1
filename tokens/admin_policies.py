"""What an organization demands of tokens, for operators; with a look at what a change would hit.

Neighbours: policies.py (update_policy, preview), organizations/operators.py (how).
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict

from organizations.models import Organization, OrgMembership
from organizations.operators import LinesField, OperatorAdmin, ScopesField, ServiceForm
from tokens import policies
from tokens.admin_forms import redacted
from tokens.models import RULE_VALUES, TokenPolicy
from tokens.policies import PolicyPreview
from tokens.policy import Mode, Rule
from tokens.secret import TokenKind

PREVIEW = "_preview"
"""The button that asks what would be hit, and saves nothing."""

RECORD_FIELDS = ("id", "created_at", "created_by", "updated_at", "updated_by")


class TokenPolicyForm(ServiceForm):
    chosen_organization = forms.ModelChoiceField(
        Organization.objects.live(),
        label="Organization",
        widget=AutocompleteSelect(OrgMembership._meta.get_field("organization"), admin.site),
    )
    allowed_kinds = forms.MultipleChoiceField(
        choices=[(kind.name, kind.name.lower()) for kind in TokenKind],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        label="Kinds",
    )
    grantable_scopes = ScopesField(label="Scopes", help_text="Tokens lose every other while it is enforced.")
    allowed_addresses = LinesField(
        required=False, label="Networks", help_text="One per line: 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
    )
    tags = LinesField(required=False, help_text="One per line.")

    effect: PolicyPreview | None = None
    warnings: tuple[str, ...] = ()

    class Meta:
        model = TokenPolicy
        fields = policies.CHANGEABLE

    def __init__(self, data: QueryDict | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(redacted(data), *args, **kwargs)
        if isinstance(scopes := self.fields.get("grantable_scopes"), ScopesField):
            scopes.offer(self.instance.grantable_scopes)

    def clean_chosen_organization(self) -> Organization:
        organization: Organization = self.cleaned_data["chosen_organization"]
        if TokenPolicy.objects.filter(organization=organization).exists():
            raise ValidationError("It has a policy. Change that.")
        return organization

    def _act(self) -> TokenPolicy:
        chosen: Organization | None = self.cleaned_data.get("chosen_organization")
        organization_id = chosen.pk if chosen else self.instance.organization_id
        changes = {name: self.cleaned_data[name] for name in self.changed_data if name in policies.CHANGEABLE}
        if PREVIEW in self.data:
            self.effect = policies.preview(self.principal, organization_id, changes)
            raise ValidationError("Nothing is saved yet.")
        made, warnings = policies.update_policy(self.principal, organization_id, changes)
        self.warnings = tuple(warnings)
        return made


class TokenPolicyAdmin(OperatorAdmin):
    """Made once for an organization, and then changed; switched off, not deleted."""

    form = TokenPolicyForm
    list_display = ("organization", "enforced", "report_only", "updated_at")
    list_select_related = ("organization",)
    search_fields = ("organization__name",)

    def get_fieldsets(self, request: HttpRequest, obj: TokenPolicy | None = None) -> Any:
        rules = [(f"{rule}_mode", *filter(None, [RULE_VALUES.get(rule)])) for rule in Rule]
        whose = "organization" if obj else "chosen_organization"
        fields = (whose, *(name for rule in rules for name in rule), "tags")
        return [(None, {"fields": fields}), *([("Record", {"fields": RECORD_FIELDS})] if obj else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: TokenPolicy | None = None) -> tuple[str, ...]:
        return ("organization", "chosen_organization", *RECORD_FIELDS) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: TokenPolicy | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        for warning in form.warnings:
            self.message_user(request, warning, messages.WARNING)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        effect = getattr(context["adminform"].form, "effect", None)
        if effect is not None:  # the form was sent to ask, and there is nothing to correct
            context |= {"effect": effect, "errors": None}
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="enforced")
    def enforced(self, policy: TokenPolicy) -> str:
        return _rules(policy, Mode.ENFORCE)

    @admin.display(description="report only")
    def report_only(self, policy: TokenPolicy) -> str:
        return _rules(policy, Mode.REPORT_ONLY)


def _rules(policy: TokenPolicy, mode: Mode) -> str:
    terms = policy.terms
    return ", ".join(rule.replace("_", " ") for rule in Rule if terms.mode(rule) == mode) or "none"
