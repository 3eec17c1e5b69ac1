"""People, for operators. Nobody is deleted here, only deactivated: the trail keeps its subject."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import admin as auth_admin  # noqa: F401 (registers Django's groups, before we do)
from django.contrib.auth.models import Group as DjangoGroup
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from accounts.forms import UserForm
from accounts.models import User, UserSetting
from accounts.services import STANDING
from organizations.operators import OperatorAdmin, ReadOnlyAdmin

# Groups that give scopes are those of organizations; two things of one name would be one too many.
admin.site.unregister(DjangoGroup)

RECORD_FIELDS = (
    "id",
    "display_id",
    "last_login",
    "last_seen",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
)


@admin.register(User)
class UserAdmin(OperatorAdmin):
    form = UserForm
    list_display = ("email", "display_name", "is_active", "is_staff", "last_login", "created_at")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("email", "first_name", "last_name", "display_name", "=display_id")
    filter_horizontal = ("user_permissions",)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        names = ("email", "first_name", "last_name")
        standing = ("is_staff", "is_superuser")
        if obj is None:
            return [
                (None, {"fields": (*names, "password", "password_again")}),
                ("Operators", {"fields": standing}),
            ]
        passwords = ("password", "password_again") if self.has_change_permission(request, obj) else ()
        return [
            (None, {"fields": (*names, "display_name", "is_active", "tags")}),
            *([("Set a new password", {"fields": passwords})] if passwords else []),
            ("Operators", {"fields": (*standing, "user_permissions")}),
            ("Record", {"fields": RECORD_FIELDS}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        superusers_only = () if request.user.is_superuser else tuple(sorted(STANDING))
        return (*RECORD_FIELDS, *superusers_only)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """A filter on password hashes would tell them character by character."""
        return not lookup.startswith("password") and super().lookup_allowed(lookup, value, request)

    def choosable(self, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.filter(is_active=True)

    @method_decorator(sensitive_post_parameters())
    def changeform_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(*args, **kwargs)


@admin.register(UserSetting)
class UserSettingAdmin(ReadOnlyAdmin):
    """What people chose themselves, and what deactivating them wrote."""

    list_display = ("user", "status", "email_confirmed", "default_org", "suspended_at")
    list_filter = ("status", "email_confirmed")
    list_select_related = ("user", "default_org")
    search_fields = ("user__email",)
