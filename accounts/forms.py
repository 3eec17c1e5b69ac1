"""The operators' forms about people. Each asks accounts/services.py; neighbour: admin.py."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.models import Permission
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.core.exceptions import ValidationError
from django.db import models

from accounts import services
from accounts.models import User
from organizations.access import operator
from organizations.operators import LinesField, ServiceForm


class PasswordField(forms.CharField):
    def __init__(self, **options: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
        super().__init__(strip=False, widget=widget, **options)


class UserForm(ServiceForm):
    password = PasswordField()
    password_again = PasswordField()
    tags = LinesField(required=False, help_text="One per line.")

    class Meta:
        model = User
        fields = (
            "email",
            "first_name",
            "last_name",
            "display_name",
            "is_active",
            "is_staff",
            "is_superuser",
            "user_permissions",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        for name in {"password", "password_again"} & self.fields.keys():
            self.fields[name].required = is_new
        if "password" in self.fields:
            self.initial.pop("password", None)  # of the instance: a hash
            self.fields["password"].label = "Password" if is_new else "New password"
            self.fields["password"].help_text = password_validators_help_text_html()
        if "display_name" in self.fields:
            self.fields["display_name"].required = False
            self.fields["display_name"].help_text = "Empty: first and last name, else the e-mail address."
        if "is_active" in self.fields:
            self.fields[
                "is_active"
            ].help_text = "Unticked, every session and personal token of theirs stops at the next request."
        permissions = self.fields.get("user_permissions")
        if isinstance(permissions, forms.ModelMultipleChoiceField):
            permissions.queryset = permissions_of_the_admin()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("password", "") != values.get("password_again", ""):
            raise ValidationError({"password_again": "The two passwords differ. Type the same twice."})
        return values

    def create(self, values: dict[str, Any]) -> User:
        known = ("email", "password", "first_name", "last_name", "is_staff", "is_superuser")
        return services.create_user(
            self.principal, **{name: values[name] for name in known if name in values}
        )

    def change(self, record: User, changes: dict[str, Any]) -> User:
        changes.pop("password_again", None)
        password = changes.pop("password", None)
        is_active = changes.pop("is_active", None)
        if password:
            record = services.set_password(self.principal, record, password)
        if is_active is not None:
            switch = services.reactivate if is_active else services.deactivate
            record = switch(self.principal, record)
        return services.update_user(self.principal, record, changes) if changes else record


class OwnPasswordForm(AdminPasswordChangeForm):
    """An operator's own password, by the service, so that the trail shows it."""

    def save(self, commit: bool = True) -> User:
        return services.set_password(operator(self.user), self.user, self.cleaned_data["new_password1"])


def permissions_of_the_admin() -> models.QuerySet[Permission]:
    """Those that open a page of the admin; the others mean nothing here."""
    shown = [
        models.Q(content_type__app_label=model._meta.app_label, content_type__model=model._meta.model_name)
        for model in admin.site._registry
    ]
    rule = models.Q()
    for one in shown:
        rule |= one
    return Permission.objects.filter(rule).select_related("content_type")


class JoinForm(forms.Form):
    """Whoever accepts an invitation without an account: their name and a first password."""

    first_name = forms.CharField(max_length=80, required=False)
    last_name = forms.CharField(max_length=80, required=False)
    password = PasswordField(max_length=4096)
    password_again = PasswordField(max_length=4096)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("password") != values.get("password_again"):
            raise ValidationError({"password_again": "The two passwords differ. Type the same twice."})
        return values

    def account(self) -> dict[str, str]:
        """What accept_as_new_person() takes."""
        return {name: self.cleaned_data[name] for name in ("first_name", "last_name", "password")}

    def add_refusal(self, refusal: ValidationError) -> None:
        """What the service refused, next to its field where this form has it."""
        for name, errors in refusal.update_error_dict({}).items():
            self.add_error(name if name in self.fields else None, errors)
