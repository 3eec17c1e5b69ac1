"""Organizations, their settings, members, groups and invitations, for operators.

Neighbours: operators.py (how), services.py and invitations.py (what).
"""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, FilteredSelectMultiple, RelatedFieldWidgetWrapper
from django.contrib.auth import get_user_model
from django.db import models
from django.http import HttpRequest

from organizations import invitations, services
from organizations.access import Principal
from organizations.models import (
    Group,
    GroupMembership,
    Invite,
    Organization,
    OrganizationSetting,
    OrgMembership,
)
from organizations.operators import LinesField, OperatorAdmin, ScopesField, ServiceForm

RECORD_FIELDS = ("id", "created_at", "created_by", "updated_at", "updated_by")


def active_people() -> models.QuerySet[Any]:
    return get_user_model()._default_manager.filter(is_active=True)


class OrganizationForm(ServiceForm):
    first_owner = forms.ModelChoiceField(
        active_people(),
        widget=AutocompleteSelect(OrgMembership._meta.get_field("user"), admin.site),
        help_text="Becomes a member with the role owner.",
    )
    tags = LinesField(required=False, help_text="One per line.")

    class Meta:
        model = Organization
        fields = ("name", "display_name", "description", "tags")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "display_name" in self.fields:
            self.fields["display_name"].required = False
            self.fields["display_name"].help_text = "Empty: the name."

    def create(self, values: dict[str, Any]) -> Organization:
        return services.create_organization(
            self.principal,
            owner_id=values["first_owner"].pk,
            **{name: values[name] for name in ("name", "display_name", "description")},
        )

    def change(self, record: Organization, changes: dict[str, Any]) -> Organization:
        return services.update_organization(self.principal, record, changes)


class LivenessFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "live"), ("deleted", "deleted")]

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(deleted_at__isnull=self.value() == "live")


@admin.register(Organization)
class OrganizationAdmin(OperatorAdmin):
    form = OrganizationForm
    list_display = ("name", "display_name", "created_at", "deleted_at")
    list_filter = (LivenessFilter,)
    search_fields = ("name", "display_name")

    def get_fields(self, request: HttpRequest, obj: Organization | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", "display_name", "description", "first_owner")
        return ("name", "display_name", "description", "tags", *RECORD_FIELDS, "deleted_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Organization | None = None) -> tuple[str, ...]:
        return ("first_owner", *RECORD_FIELDS, "deleted_at") if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def has_delete_permission(self, request: HttpRequest, obj: Organization | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.deleted_at is None)

    def choosable(self, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.filter(deleted_at__isnull=True)

    def consequences(self, record: Organization) -> list[str]:
        return [
            f"{record} disappears for its {record.members.count()} members, with its groups.",
            "Its API tokens stop working from the next request on.",
            "Personal access tokens lose it at once, and keep their other organizations.",
            "The rows stay for the audit. The name becomes free.",
        ]

    def end(self, principal: Principal, record: Organization) -> None:
        services.delete_organization(principal, record)


class MembershipForm(ServiceForm):
    class Meta:
        model = OrgMembership
        fields = ("organization", "user", "role")

    def create(self, values: dict[str, Any]) -> OrgMembership:
        return services.add_member(
            self.principal,
            organization_id=values["organization"].pk,
            user_id=values["user"].pk,
            role=values["role"],
        )

    def change(self, record: OrgMembership, changes: dict[str, Any]) -> OrgMembership:
        return services.change_role(self.principal, record, changes["role"])


@admin.register(OrgMembership)
class MembershipAdmin(OperatorAdmin):
    form = MembershipForm
    list_display = ("user", "organization", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "organization")
    search_fields = ("user__email", "organization__name")
    autocomplete_fields = ("organization", "user")

    def get_fields(self, request: HttpRequest, obj: OrgMembership | None = None) -> tuple[str, ...]:
        return ("organization", "user", "role", *(RECORD_FIELDS if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: OrgMembership | None = None) -> tuple[str, ...]:
        return ("organization", "user", *RECORD_FIELDS) if obj else ()

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        live = Organization.objects.live() if db_field.name == "organization" else active_people()
        return super().formfield_for_foreignkey(db_field, request, **{"queryset": live, **kwargs})

    def consequences(self, record: OrgMembership) -> list[str]:
        return [
            f"{record.user} leaves {record.organization} and its groups.",
            "Their personal access tokens lose this organization from the next request on.",
        ]

    def end(self, principal: Principal, record: OrgMembership) -> None:
        services.remove_member(principal, record)


class GroupForm(ServiceForm):
    scopes = ScopesField(help_text="What its members may do beyond their roles.")
    tags = LinesField(required=False, help_text="One per line.")
    people = forms.ModelMultipleChoiceField(
        get_user_model()._default_manager.none(),
        required=False,
        label="Members",
        widget=RelatedFieldWidgetWrapper(
            FilteredSelectMultiple("members", is_stacked=False),
            GroupMembership._meta.get_field("user").remote_field,
            admin.site,
            can_add_related=False,
        ),
        help_text="Out of the members of the organization.",
    )

    class Meta:
        model = Group
        fields = ("owner", "name", "display_name", "description", "scopes", "tags")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "display_name" in self.fields:
            self.fields["display_name"].required = False
            self.fields["display_name"].help_text = "Empty: the name."
        if isinstance(scopes := self.fields.get("scopes"), ScopesField):
            scopes.offer(self.instance.scopes)
        people = self.fields.get("people")
        if isinstance(people, forms.ModelMultipleChoiceField) and not self.instance._state.adding:
            everybody = get_user_model()._default_manager.order_by("email")
            people.queryset = everybody.filter(org_memberships__organization=self.instance.owner_id)
            self.initial["people"] = everybody.filter(group_memberships__group=self.instance)

    def create(self, values: dict[str, Any]) -> Group:
        return services.create_group(
            self.principal,
            organization_id=values["owner"].pk,
            **{name: values[name] for name in ("name", "description", "scopes")},
        )

    def change(self, record: Group, changes: dict[str, Any]) -> Group:
        people = changes.pop("people", None)
        if people is not None:
            self._change_people(record, {person.pk for person in people})
        return services.update_group(self.principal, record, changes)

    def _change_people(self, group: Group, wanted: set[Any]) -> None:
        present: dict[Any, GroupMembership] = {
            member.user_id: member for member in group.members.select_related("group", "user")
        }
        for user_id in present.keys() - wanted:
            services.remove_from_group(self.principal, present[user_id])
        for user_id in wanted - present.keys():
            services.add_to_group(self.principal, group, user_id)


@admin.register(Group)
class GroupAdmin(OperatorAdmin):
    form = GroupForm
    list_display = ("name", "owner", "member_count", "scopes_listed", "created_at")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__name")
    autocomplete_fields = ("owner",)

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("owner", "name", "description", "scopes")
        members = "people" if self.has_change_permission(request, obj) else "people_listed"
        return ("owner", "name", "display_name", "description", "scopes", members, "tags", *RECORD_FIELDS)

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> tuple[str, ...]:
        return ("owner", "people_listed", *RECORD_FIELDS) if obj else ()

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        groups = super().get_queryset(request).annotate(member_count=models.Count("members"))
        return cast("models.QuerySet[Any]", groups)

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        kwargs.setdefault("queryset", Organization.objects.live())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="members", ordering="member_count")
    def member_count(self, group: Any) -> int:
        return int(group.member_count)

    @admin.display(description="members")
    def people_listed(self, group: Group) -> str:
        return ", ".join(group.members.order_by("user__email").values_list("user__email", flat=True)) or "-"

    @admin.display(description="scopes")
    def scopes_listed(self, group: Group) -> str:
        return ", ".join(group.scopes) or "none"

    def consequences(self, record: Group) -> list[str]:
        return [
            f"{record} of {record.owner} is deleted, with its {record.members.count()} places.",
            "Its members stay in the organization and lose what only the group allowed them.",
        ]

    def end(self, principal: Principal, record: Group) -> None:
        services.delete_group(principal, record)


POLICY_FIELDS = (
    "allowed_email_domains",
    "identity_provider",
    "identity_provider_client_id",
    "oidc_discovery_endpoint",
    "identity_provider_login_enforced",
    "multifactor_auth_enforced",
    "sso_exempt_domains",
    "tags",
)


class SettingForm(ServiceForm):
    allowed_email_domains = LinesField(required=False, help_text="One per line. Empty: any.")
    sso_exempt_domains = LinesField(required=False, label="SSO exempt domains", help_text="One per line.")
    new_client_secret = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Empty: stays as it is. It is never shown again.",
    )
    forget_client_secret = forms.BooleanField(required=False)
    tags = LinesField(required=False, help_text="One per line.")

    class Meta:
        model = OrganizationSetting
        fields = POLICY_FIELDS

    def change(self, record: OrganizationSetting, changes: dict[str, Any]) -> OrganizationSetting:
        secret = changes.pop("new_client_secret", "")
        if changes.pop("forget_client_secret", False) or secret:
            changes["identity_provider_client_secret"] = secret or None
        return services.update_organization_setting(self.principal, record, changes)


@admin.register(OrganizationSetting)
class SettingAdmin(OperatorAdmin):
    """Made and deleted with the organization alone."""

    form = SettingForm
    list_display = ("organization", "identity_provider", "identity_provider_login_enforced", "updated_at")
    list_filter = ("identity_provider", "identity_provider_login_enforced")
    list_select_related = ("organization",)
    search_fields = ("organization__name",)

    def get_fields(self, request: HttpRequest, obj: OrganizationSetting | None = None) -> tuple[str, ...]:
        secrets = ("new_client_secret", "forget_client_secret")
        return (
            "organization",
            *POLICY_FIELDS,
            "client_secret",
            *(secrets if self._may(request, obj) else ()),
        )

    def get_readonly_fields(
        self, request: HttpRequest, obj: OrganizationSetting | None = None
    ) -> tuple[str, ...]:
        return ("organization", "client_secret")

    def _may(self, request: HttpRequest, obj: OrganizationSetting | None) -> bool:
        return self.has_change_permission(request, obj)

    @admin.display(description="client secret")
    def client_secret(self, setting: OrganizationSetting) -> str:
        return "set" if setting.identity_provider_client_secret else "none"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: OrganizationSetting | None = None) -> bool:
        return False


class InviteForm(ServiceForm):
    class Meta:
        model = Invite
        fields = ("owner", "recipient", "role")

    def create(self, values: dict[str, Any]) -> Invite:
        return invitations.invite(
            self.principal,
            organization_id=values["owner"].pk,
            recipient=values["recipient"],
            role=values["role"],
        )


@admin.register(Invite)
class InviteAdmin(OperatorAdmin):
    form = InviteForm
    list_display = ("recipient", "owner", "role", "status", "expires", "send_attempts")
    list_filter = ("status", "role")
    list_select_related = ("owner",)
    search_fields = ("recipient", "owner__name")
    autocomplete_fields = ("owner",)

    def get_fields(self, request: HttpRequest, obj: Invite | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("owner", "recipient", "role")
        told = ("status", "expires", "send_attempts", "requestor_id", "ownership_transfer", "groups", "tags")
        return ("owner", "recipient", "role", *told, *RECORD_FIELDS)

    def has_change_permission(self, request: HttpRequest, obj: Invite | None = None) -> bool:
        return False

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        kwargs.setdefault("queryset", Organization.objects.live())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def consequences(self, record: Invite) -> list[str]:
        return [f"The invitation of {record} is withdrawn: its link stops working."]

    def end(self, principal: Principal, record: Invite) -> None:
        invitations.withdraw(principal, record)
