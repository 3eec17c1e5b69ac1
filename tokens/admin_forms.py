"""What operators type about tokens. Each form asks tokens/services.py; neighbour: admin.py, which shows them.

A token pasted into any of these fields is cut back to its prefix before anything reads it, so that it is
neither saved nor shown again when the form comes back with an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from organizations.models import Organization, OrgMembership
from organizations.operators import LinesField, ScopesField, ServiceForm
from organizations.validators import validate_plain_text
from tokens import secret, services
from tokens.models import LONGEST_LIFE, APIToken, PersonalAccessToken, Token
from tokens.rotation import LONGEST_OVERLAP, Reason, overlap_of

DESCRIBED = ("name", "description", "scopes", "not_before", "expires_at", "allowed_addresses", "tags")
REACH = frozenset({"covers_all_organizations", "organizations"})


@sensitive_variables()
def redacted(data: QueryDict | None) -> QueryDict | None:
    """What was sent, with every token in it cut back to its prefix."""
    if data is None:
        return None
    clean = QueryDict(mutable=True)
    for name, values in data.lists():
        clean.setlist(name, [secret.redact(value) for value in values])
    return clean


class TokenForm(ServiceForm):
    scopes = ScopesField()
    allowed_addresses = LinesField(
        required=False, help_text="Networks, one per line: 192.0.2.0/24. Empty: from wherever."
    )
    tags = LinesField(required=False, help_text="One per line.")

    def __init__(self, data: QueryDict | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(redacted(data), *args, **kwargs)
        if isinstance(scopes := self.fields.get("scopes"), ScopesField):
            scopes.offer(self.instance.scopes)
        if "expires_at" in self.fields:
            self.fields["expires_at"].help_text = "UTC. Empty: it does not expire."
        if "not_before" in self.fields:
            self.fields["not_before"].help_text = "UTC. Empty: from now on."

    def described(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: values[name] for name in DESCRIBED}

    def change(self, record: Token, changes: dict[str, Any]) -> Token:
        return services.update_token(self.principal, record, changes)


class APITokenForm(TokenForm):
    scopes = ScopesField(help_text="Without any it may do nothing but ask who it is.")

    class Meta:
        model = APIToken
        fields = ("owner", *DESCRIBED)

    def create(self, values: dict[str, Any]) -> APIToken:
        return services.create_api_token(
            self.principal, organization_id=values["owner"].pk, **self.described(values)
        )


class PersonalAccessTokenForm(TokenForm):
    scopes = ScopesField(help_text="Without any it may do whatever its owner may.")

    class Meta:
        model = PersonalAccessToken
        fields = ("owner", *DESCRIBED, *sorted(REACH))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "covers_all_organizations" in self.fields:
            self.fields["covers_all_organizations"].help_text = "As they come and go."
            self.fields["organizations"].help_text = "Or only these, of those the owner belongs to."

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        chosen = values.get("organizations", ())
        if "covers_all_organizations" in values and values["covers_all_organizations"] == bool(chosen):
            raise ValidationError(
                {"organizations": "Either tick every organization, or choose at least one, not both."}
            )
        self._require_memberships({organization.pk: organization.name for organization in chosen})
        return values

    def create(self, values: dict[str, Any]) -> PersonalAccessToken:
        chosen = None if values["covers_all_organizations"] else _ids(values["organizations"])
        return services.create_personal_access_token(
            self.principal, owner_id=values["owner"].pk, organizations=chosen, **self.described(values)
        )

    def change(self, record: Token, changes: dict[str, Any]) -> Token:
        kept = {name: value for name, value in changes.items() if name not in REACH}
        if kept != changes:
            kept |= self._moved()
        return super().change(record, kept)

    def _moved(self) -> dict[str, Any]:
        if self.cleaned_data["covers_all_organizations"]:
            return {"clear_organizations": True}
        before, after = _ids(self.initial["organizations"]), _ids(self.cleaned_data["organizations"])
        return {"add_organization_ids": after - before, "remove_organization_ids": before - after}

    def _require_memberships(self, names: dict[UUID, str]) -> None:
        """Of those newly chosen: one the owner has left meanwhile stays a dead letter."""
        owner = self.cleaned_data.get("owner") if self.instance._state.adding else self.instance.owner
        memberships = OrgMembership.objects.filter(user=owner, organization__in=names)
        joined = set(memberships.values_list("organization_id", flat=True))
        missing = names.keys() - joined - _ids(self.initial.get("organizations", ()))
        if owner is not None and missing:
            foreign = ", ".join(sorted(names[pk] for pk in missing))
            raise ValidationError({"organizations": f"The owner is not a member of {foreign}."})


def _ids(organizations: Iterable[Organization]) -> set[UUID]:
    return {organization.pk for organization in organizations}


class RevokeForm(forms.Form):
    reason = forms.CharField(
        max_length=500,
        validators=[validate_plain_text],
        widget=AdminTextInputWidget,
        help_text="Required. Whoever looks at the token or at the audit trail will read it.",
    )

    def __init__(self, data: QueryDict | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(redacted(data), *args, **kwargs)


class ExpireForm(forms.Form):
    days = forms.IntegerField(
        min_value=1, max_value=LONGEST_LIFE.days - 1, label="In days", help_text="Counted from now."
    )


class RotateForm(forms.Form):
    """Its cleaned data are what rotation.rotate() takes."""

    reason = forms.ChoiceField(
        choices=[(reason.value, reason.value.lower()) for reason in Reason],
        initial=Reason.ROUTINE.value,
        help_text="After a leak the old value ends at once.",
    )
    overlap_hours = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=LONGEST_OVERLAP.days * 24,
        help_text="So long the old value works on. Empty: an hour; none after a leak.",
    )
    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST_LIFE.days - 1,
        label="New value works for days",
        help_text="Empty: as long as the old one was given.",
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        hours, days = values.pop("overlap_hours", None), values.pop("days", None)
        values["overlap_seconds"] = None if hours is None else hours * 3600
        values["expires_at"] = None if days is None else timezone.now() + timedelta(days=days)
        try:
            overlap_of(values["overlap_seconds"], values.get("reason"))
        except ValidationError as refused:
            self.add_error("overlap_hours", refused.messages)
        return values
