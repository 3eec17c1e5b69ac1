"""Human beings: an e-mail to log in with, a password, a name; and their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower

from organizations.models import Numbered, Organization, OrgMembership, Record
from organizations.validators import validate_single_line

if TYPE_CHECKING:
    from organizations.access import Principal


class UserQuerySet(models.QuerySet["User"]):
    def visible_to(self, principal: Principal) -> Self:
        """Oneself, and those with whom one shares an organization whose members one may read."""
        peers = OrgMembership.objects.visible_to(principal).values("user_id")
        return self.filter(models.Q(id__in=peers) | models.Q(id=principal.user and principal.user.pk))


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def visible_to(self, principal: Principal) -> UserQuerySet:
        return self.get_queryset().visible_to(principal)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").lower())

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A person and their settings. Raises ValidationError for a malformed or known e-mail address."""
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.full_clean()
        by = {"created_by": user.created_by, "updated_by": user.updated_by}
        with transaction.atomic(using=self._db):
            user.save(using=self._db)
            UserSetting.objects.using(self._db).create(user=user, **by)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(Numbered, Record, AbstractBaseUser, PermissionsMixin):
    """A person. Deactivated rather than deleted, so that the audit trail keeps its subject."""

    display_prefix = "USR"

    email = models.EmailField(
        max_length=254,
        unique=True,
        error_messages={"unique": "Somebody with this e-mail address exists."},
    )
    first_name = models.CharField(max_length=80, null=True, blank=True, validators=[validate_single_line])
    last_name = models.CharField(max_length=80, null=True, blank=True, validators=[validate_single_line])
    display_name = models.CharField(max_length=160, validators=[validate_single_line])
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("may use the admin", default=False)
    last_seen = models.DateTimeField(null=True, blank=True, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("id",)
        constraints = (
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"),
        )

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        super().clean()
        self.email = self.email.lower()

    def full_clean(self, *args: Any, **kwargs: Any) -> None:
        self.display_name = self.display_name or self.get_full_name() or self.email
        super().full_clean(*args, **kwargs)

    def get_full_name(self) -> str:
        return " ".join(name for name in (self.first_name, self.last_name) if name)

    def get_short_name(self) -> str:
        return self.first_name or self.email


class UserStatus(models.TextChoices):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DEACTIVATED = "DEACTIVATED"
    SUSPENDED = "SUSPENDED"
    ONBOARDING = "ONBOARDING"
    UNKNOWN = "UNKNOWN"


class UserSettingQuerySet(models.QuerySet["UserSetting"]):
    def visible_to(self, principal: Principal) -> Self:
        """One's own."""
        return self.filter(user=principal.user.pk) if principal.user is not None else self.none()


class UserSetting(Record):
    """What a person chose, and how they stand. Made together with them.

    `status` tells of `User.is_active`, which is what decides.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="setting")
    locked = models.BooleanField(default=False, editable=False)
    silenced_at = models.DateTimeField(null=True, blank=True, editable=False)
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    status = models.CharField(max_length=16, choices=UserStatus, default=UserStatus.ACTIVE, editable=False)
    email_confirmed = models.BooleanField(default=False, editable=False)
    is_tfa_enabled = models.BooleanField("uses two factors", null=True, blank=True, editable=False)
    default_org = models.ForeignKey(
        Organization, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    objects = UserSettingQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(status__in=UserStatus.values), name="user_setting_status_is_known"
            ),
        )

    def __str__(self) -> str:
        return f"settings of {self.user}"
