"""Who belongs where: organizations, their members, and groups that add scopes.

The ground floor: every permission question is asked in an organization. Users are reached through
`settings.AUTH_USER_MODEL`; nothing here imports an app above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models.functions import Lower
from uuid_utils.compat import uuid7

from organizations.fields import StringListField
from organizations.validators import validate_plain_text, validate_single_line

if TYPE_CHECKING:
    from organizations.access import Principal


class Record(models.Model):
    """The columns that every row of the contract has.

    `id` is a UUIDv7 (RFC 9562), so the primary key is also the order of creation. Actors are kept by
    value: the record outlives them.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    created_by = models.CharField(max_length=64, null=True, blank=True, editable=False)
    updated_by = models.CharField(max_length=64, null=True, blank=True, editable=False)
    tags = StringListField()

    class Meta:
        abstract = True

    @property
    def updated_by_impersonator(self) -> None:
        """The contract has it; nobody can act in another's name here."""
        return None


class OrganizationQuerySet(models.QuerySet["Organization"]):
    def live(self) -> Self:
        return self.filter(deleted_at__isnull=True)

    def visible_to(self, principal: Principal) -> Self:
        return self.live().filter(id__in=principal.organization_ids)


class Organization(Record):
    """A tenant."""

    name = models.CharField(max_length=160, validators=[validate_single_line])
    display_name = models.CharField(max_length=160, validators=[validate_single_line])
    description = models.TextField(
        null=True, blank=True, validators=[MaxLengthValidator(2000), validate_plain_text]
    )
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                Lower("name"),
                condition=models.Q(deleted_at__isnull=True),
                name="organization_name_is_unique",
                violation_error_message="An organization of this name exists. Choose another name.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.display_name = self.display_name or self.name
        super().save(*args, **kwargs)


class Role(models.TextChoices):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    AUDITOR = "AUDITOR"


class OrgMembershipQuerySet(models.QuerySet["OrgMembership"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.filter(organization__in=principal.organizations_with("read:members"))


class OrgMembership(Record):
    """A person's role in an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="org_memberships"
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)

    objects = OrgMembershipQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("organization", "user"),
                name="membership_is_unique",
                violation_error_message="This person is a member already.",
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_is_known"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.organization} ({self.role})"


class GroupQuerySet(models.QuerySet["Group"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.filter(owner__in=principal.organizations_with("read:groups"))


class Group(Record):
    """Members of one organization who share scopes beyond those of their roles."""

    owner = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=160, validators=[validate_single_line])
    display_name = models.CharField(max_length=160, validators=[validate_single_line])
    description = models.TextField(
        null=True, blank=True, validators=[MaxLengthValidator(2000), validate_plain_text]
    )
    scopes = StringListField()

    objects = GroupQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                "owner",
                Lower("name"),
                name="group_name_is_unique",
                violation_error_message="A group of this name exists. Choose another name.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.display_name = self.display_name or self.name
        super().save(*args, **kwargs)


class GroupRole(models.TextChoices):
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"


class GroupMembershipQuerySet(models.QuerySet["GroupMembership"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.filter(group__owner__in=principal.organizations_with("read:groups"))


class GroupMembership(Record):
    """A member of an organization in one of its groups.

    Hangs on the membership, not on the person alone: whoever leaves the organization leaves its groups
    with the same DELETE, and the groups' scopes are found by one chain of joins.
    """

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="members")
    membership = models.ForeignKey(
        OrgMembership, on_delete=models.CASCADE, related_name="group_memberships", editable=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="group_memberships"
    )
    role = models.CharField(max_length=16, choices=GroupRole, default=GroupRole.MEMBER)

    objects = GroupMembershipQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("group", "membership"),
                name="group_membership_is_unique",
                violation_error_message="This person is in the group already.",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.group}"

    def clean(self) -> None:
        self.membership = self.membership_of(self.group, self.user_id)

    @staticmethod
    def membership_of(group: Group, user_id: UUID) -> OrgMembership:
        """The membership this row hangs on. Raises ValidationError when the person is not a member."""
        membership = OrgMembership.objects.filter(organization_id=group.owner_id, user_id=user_id).first()
        if membership is None:
            raise ValidationError(
                {"user": "Only members of the organization can be in its groups. Add them first."}
            )
        return membership
