"""Who belongs where: organizations, their members, groups that add scopes, and invitations.

The ground floor: every permission question is asked in an organization. Users are reached through
`settings.AUTH_USER_MODEL`; nothing here imports an app above.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxLengthValidator, URLValidator
from django.db import models
from django.db.models.functions import Lower
from uuid_utils.compat import uuid7

from organizations.fields import SealedField, StringListField
from organizations.validators import validate_domains, validate_plain_text, validate_single_line

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

    told_at: ClassVar[str] = NON_FIELD_ERRORS
    """The field at which a broken constraint over several columns is told."""

    class Meta:
        abstract = True

    def validate_constraints(self, exclude: Any = None) -> None:
        try:
            super().validate_constraints(exclude)
        except ValidationError as broken:
            errors = broken.update_error_dict({})
            errors.setdefault(self.told_at, []).extend(errors.pop(NON_FIELD_ERRORS, []))
            raise ValidationError(errors) from None


CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Base 32 without I, L, O and U."""


class Numbered(models.Model):
    """Has a short name for people to quote: a prefix and six characters that are not mistaken for others."""

    display_prefix: ClassVar[str]

    display_id = models.CharField("display id", max_length=16, unique=True, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.display_id = self.display_id or self._unused_display_id()
        super().save(*args, **kwargs)

    def full_clean(self, *args: Any, **kwargs: Any) -> None:
        self.display_id = self.display_id or self._unused_display_id()
        super().full_clean(*args, **kwargs)

    def _unused_display_id(self) -> str:
        """Of a billion. Two who draw the same at once meet the unique constraint; the second tries again."""
        while True:
            drawn = f"{self.display_prefix}-{''.join(secrets.choice(CROCKFORD) for _ in range(6))}"
            if not type(self)._default_manager.filter(display_id=drawn).exists():
                return drawn


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
    personal_org = models.BooleanField("personal", default=False)
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    told_at = "name"

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                Lower("name"),
                condition=models.Q(deleted_at__isnull=True),
                name="organization_name_is_unique",
                violation_error_code="unique",
                violation_error_message="An organization of this name exists. Choose another name.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.display_name = self.display_name or self.name
        super().save(*args, **kwargs)


class IdentityProvider(models.TextChoices):
    OKTA = "OKTA"
    ONE_LOGIN = "ONE_LOGIN"
    GOOGLE_WORKSPACE = "GOOGLE_WORKSPACE"
    SLACK = "SLACK"
    GITHUB = "GITHUB"
    MICROSOFT_ENTRA_ID = "MICROSOFT_ENTRA_ID"
    GENERIC_OIDC = "GENERIC_OIDC"
    NONE = "NONE"


class OrganizationSettingQuerySet(models.QuerySet["OrganizationSetting"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.filter(organization__in=principal.organizations_with("read:organization"))

    def with_secret(self) -> Self:
        return self.filter(identity_provider_client_secret__isnull=False)


class OrganizationSetting(Record):
    """The policy of an organization: who may join, and where its people log in. Made together with it."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="setting")
    allowed_email_domains = StringListField(validators=[validate_domains])
    identity_provider = models.CharField(
        max_length=32, choices=IdentityProvider, default=IdentityProvider.NONE, null=True, blank=True
    )
    identity_provider_client_id = models.CharField(
        max_length=255, null=True, blank=True, validators=[validate_single_line]
    )
    identity_provider_client_secret = SealedField()
    oidc_discovery_endpoint = models.CharField(
        "OIDC discovery endpoint",
        max_length=2000,
        null=True,
        blank=True,
        validators=[URLValidator(schemes=["https"]), validate_single_line],
    )
    identity_provider_login_enforced = models.BooleanField(default=False)
    multifactor_auth_enforced = models.BooleanField(null=True, blank=True)
    sso_exempt_domains = StringListField("SSO exempt domains", validators=[validate_domains])

    objects = OrganizationSettingQuerySet.as_manager()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"settings of {self.organization}"

    def clean(self) -> None:
        self.allowed_email_domains = _folded(self.allowed_email_domains)
        self.sso_exempt_domains = _folded(self.sso_exempt_domains)
        if self.identity_provider_login_enforced and not self.has_identity_provider:
            raise ValidationError(
                {
                    "identity_provider_login_enforced": "Name the identity provider first: its kind, "
                    "client id, client secret and discovery endpoint. Else nobody could log in."
                }
            )

    @property
    def has_identity_provider(self) -> bool:
        return self.identity_provider not in (None, IdentityProvider.NONE) and all(
            (
                self.identity_provider_client_id,
                self.identity_provider_client_secret,
                self.oidc_discovery_endpoint,
            )
        )

    def admits(self, address: str) -> bool:
        """Whether a person with this e-mail address may join. No domains: anybody."""
        domains = self.allowed_email_domains
        return not domains or address.lower().rpartition("@")[2] in domains


def _folded(domains: list[str]) -> list[str]:
    """In lower case, each once, in the order given."""
    return list(dict.fromkeys(domain.lower() for domain in domains))


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

    told_at = "user"

    objects = OrgMembershipQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("organization", "user"),
                name="membership_is_unique",
                violation_error_code="unique",
                violation_error_message="This person is a member already.",
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_is_known"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.organization} ({self.role})"


class GroupQuerySet(models.QuerySet["Group"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.filter(owner__in=principal.organizations_with("read:groups"))


class Group(Numbered, Record):
    """Members of one organization who share scopes beyond those of their roles."""

    display_prefix = "GRP"

    owner = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="groups")
    name = models.CharField(max_length=160, validators=[validate_single_line])
    display_name = models.CharField(max_length=160, validators=[validate_single_line])
    description = models.TextField(
        null=True, blank=True, validators=[MaxLengthValidator(2000), validate_plain_text]
    )
    is_managed = models.BooleanField("managed by the system", default=False, editable=False)
    scopes = StringListField()

    told_at = "name"

    objects = GroupQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                "owner",
                Lower("name"),
                name="group_name_is_unique",
                violation_error_code="unique",
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

    told_at = "user"

    objects = GroupMembershipQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("group", "membership"),
                name="group_membership_is_unique",
                violation_error_code="unique",
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


class InviteStatus(models.TextChoices):
    INVITATION_SENT = "INVITATION_SENT"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    INVITATION_ACCEPTED = "INVITATION_ACCEPTED"
    INVITATION_EXPIRED = "INVITATION_EXPIRED"


PENDING = (InviteStatus.INVITATION_SENT, InviteStatus.APPROVAL_REQUIRED)


class InviteQuerySet(models.QuerySet["Invite"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.filter(owner__in=principal.organizations_with("read:members"))

    def pending(self) -> Self:
        """Neither accepted nor marked as expired; those whose time is up included."""
        return self.filter(status__in=PENDING)


class Invite(Record):
    """An offer to one e-mail address to join an organization, made good by the link that was mailed to it.

    `digest` is the keyed digest of the link's secret (see invitations.py); the secret itself is nowhere.
    `requestor_id` is who vouches for it, by value. `send_attempts` counts the mails.
    """

    owner = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invites")
    recipient = models.EmailField(max_length=254)
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)
    status = models.CharField(
        max_length=32, choices=InviteStatus, default=InviteStatus.INVITATION_SENT, editable=False
    )
    expires = models.DateTimeField(null=True, blank=True)
    send_attempts = models.PositiveSmallIntegerField(default=1, editable=False)
    requestor_id = models.CharField(max_length=64, null=True, editable=False)
    ownership_transfer = models.BooleanField(default=False)
    groups = models.ManyToManyField(Group, blank=True, related_name="invites")
    digest = models.BinaryField(max_length=32, editable=False)

    told_at = "recipient"

    objects = InviteQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("digest",), name="invite_digest_is_unique"),
            models.UniqueConstraint(
                fields=("owner", "recipient"),
                condition=models.Q(status__in=PENDING),
                name="invite_is_pending_once",
                violation_error_code="unique",
                violation_error_message="This address is invited already. Send that invitation again.",
            ),
            models.CheckConstraint(
                condition=models.Q(recipient=Lower("recipient")), name="invite_recipient_is_lower_case"
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invite_role_is_known"),
            models.CheckConstraint(
                condition=models.Q(status__in=InviteStatus.values), name="invite_status_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(ownership_transfer=False) | models.Q(role=Role.OWNER),
                name="invite_transfers_ownership_to_an_owner",
            ),
        )

    def __str__(self) -> str:
        return f"{self.recipient} to {self.owner}"

    def is_over(self, now: datetime) -> bool:
        """Whether its time is up, be it marked as expired or not."""
        return self.status == InviteStatus.INVITATION_EXPIRED or (
            self.expires is not None and self.expires <= now
        )
