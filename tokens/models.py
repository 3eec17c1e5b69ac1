"""Tokens and what is known of their use. Neighbours: secret.py (the string), services.py (what is done)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils import timezone
from uuid_utils.compat import uuid7

from organizations.access import grants_of
from organizations.fields import StringListField
from organizations.models import Organization, Record
from organizations.scopes import CATALOGUE, UnknownScope, canonical, covers, held
from organizations.validators import validate_plain_text, validate_single_line
from tokens import peppers, secret
from tokens.secret import TokenKind

if TYPE_CHECKING:
    from organizations.access import Principal

LONGEST_LIFE = timedelta(days=100 * 365)
MOST_SCOPES = 100
RECENT_ADDRESSES = 20


class State(StrEnum):
    """What a token is at a moment. The first that applies, in this order."""

    DELETED = "deleted"
    REVOKED = "revoked"
    EXPIRED = "expired"
    ACTIVE = "active"


T = TypeVar("T", bound="Token")


class TokenQuerySet(models.QuerySet[T]):
    def live(self) -> Self:
        """Not deleted. Deleted tokens stay in the table for the audit, out of everybody's sight."""
        return self.filter(deleted_at__isnull=True)

    def usable(self, now: datetime) -> Self:
        """Would authenticate at `now`, as far as the token itself decides."""
        return self.live().filter(
            models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now), revoked_at__isnull=True
        )

    def unused_since(self, moment: datetime) -> Self:
        """Neither used nor created after `moment`."""
        return self.filter(
            models.Q(last_used_at__lt=moment) | models.Q(last_used_at__isnull=True, created_at__lt=moment)
        )

    def with_value(self, value: str) -> Self:
        """The token that has this value, found by digest."""
        return self.filter(digest__in=peppers.digests(value))


def validate_scopes(names: list[str]) -> None:
    """Known, each once, not too many. Raises ValidationError."""
    if len(names) > MOST_SCOPES:
        raise ValidationError(f"At most {MOST_SCOPES} scopes; these are {len(names)}.")
    try:
        resolved = [canonical(name) for name in names]
    except UnknownScope as unknown:
        raise ValidationError(str(unknown), code="unknown_scope") from unknown
    for name in names:
        if resolved.count(canonical(name)) > 1:
            raise ValidationError(f'Scope "{name}" is there twice. Send each once.', code="duplicate")


class Token(Record):
    """What both kinds of token have. The value is not among it: see `digest`.

    `digest` is HMAC-SHA-256 of the value under the pepper `pepper_id`. `scopes` are as the client spelled
    them. Revoking is one-way; deleting leaves a tombstone.
    """

    kind: ClassVar[TokenKind]

    name = models.CharField(max_length=255, validators=[validate_single_line])
    description = models.TextField(
        null=True, blank=True, validators=[MaxLengthValidator(2000), validate_plain_text]
    )
    digest = models.BinaryField(max_length=32, editable=False)
    pepper_id = models.CharField(max_length=32, editable=False)
    hint = models.CharField(max_length=secret.HINT_LENGTH, editable=False)
    scopes = StringListField(validators=[validate_scopes])
    is_active = models.BooleanField(default=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    usage_count = models.PositiveBigIntegerField(default=0, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.CharField(max_length=64, null=True, editable=False)
    revoked_reason = models.CharField(
        max_length=500, null=True, editable=False, validators=[validate_plain_text]
    )
    sso_authorizations = models.JSONField(default=dict, editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)

    if TYPE_CHECKING:
        objects: Any  # each kind's own queryset
        owner_id: UUID

    class Meta:
        abstract = True
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("digest",), name="%(class)s_digest_is_unique"),
            models.CheckConstraint(
                condition=models.Q(is_active=True, revoked_at__isnull=True)
                | models.Q(is_active=False, revoked_at__isnull=False),
                name="%(class)s_revoked_is_inactive",
            ),
            models.CheckConstraint(
                condition=models.Q(deleted_at__isnull=True) | models.Q(is_active=False),
                name="%(class)s_deleted_is_revoked",
            ),
        )
        indexes = (
            models.Index(fields=("owner", "id"), name="%(class)s_by_owner"),
            models.Index(
                fields=("expires_at", "id"),
                condition=models.Q(revoked_at__isnull=True),
                name="%(class)s_by_expiry",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """As Django's, and no text holds a token: it would be stored, listed and audited."""
        super().clean_fields(exclude)
        texts = {"name", "description", "tags", "revoked_reason"}.difference(exclude or ())
        leaking = [name for name in texts if secret.PATTERN.search(str(getattr(self, name)))]
        if leaking:
            raise ValidationError(dict.fromkeys(leaking, "Leave the token itself out: this text is stored."))

    @property
    def token(self) -> str:
        """The value while this instance is the one that minted it, else the mask."""
        value: str = self.__dict__.get("minted_value", secret.MASK)
        return value

    def mint(self) -> None:
        """Give this unsaved token its value, kept on this instance alone, and the digest that is saved."""
        value = secret.mint(self.kind)
        self.digest, self.pepper_id = peppers.signed(value)
        self.hint = secret.hint(value)
        self.__dict__["minted_value"] = value

    def __getstate__(self) -> dict[str, object]:
        """Neither pickled nor cached with its value."""
        return {key: value for key, value in super().__getstate__().items() if key != "minted_value"}

    @property
    def realm(self) -> UUID | None:
        """The organization whose permission it takes to manage this token; None for its owner alone."""
        raise NotImplementedError

    @property
    def limit(self) -> frozenset[str] | None:
        """The token's own canonical scopes; None when it sets no limit."""
        raise NotImplementedError

    def state(self, now: datetime) -> State:
        if self.deleted_at is not None:
            return State.DELETED
        if self.revoked_at is not None:
            return State.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return State.EXPIRED
        return State.ACTIVE


class APITokenQuerySet(TokenQuerySet["APIToken"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.live().filter(owner__in=principal.organizations_with("read:tokens"))


class APIToken(Token):
    """A machine's key to one organization. It has the scopes it was given, and no others."""

    kind = TokenKind.API

    owner = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="api_tokens")

    objects = APITokenQuerySet.as_manager()

    class Meta(Token.Meta):
        verbose_name = "API token"

    @property
    def realm(self) -> UUID | None:
        return self.owner_id

    @property
    def limit(self) -> frozenset[str]:
        return held(self.scopes)

    @property
    def abilities(self) -> list[str]:
        """The scopes of the catalogue this token holds now: none once it is dead."""
        if self.state(timezone.now()) is not State.ACTIVE:
            return []
        return [scope for scope in CATALOGUE if covers(self.limit, scope)]


class PersonalAccessTokenQuerySet(TokenQuerySet["PersonalAccessToken"]):
    def visible_to(self, principal: Principal) -> Self:
        if principal.user is None or not principal.can("read:tokens", None):
            return self.none()
        return self.live().filter(owner=principal.user.pk)


class PersonalAccessToken(Token):
    """A person's key: all they may do, or as little of it as its scopes and organizations say."""

    kind = TokenKind.PERSONAL

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="personal_access_tokens"
    )
    # A flag, because an empty list must not mean "all": removing the last organization would widen.
    covers_all_organizations = models.BooleanField("every organization of the owner", default=True)
    organizations = models.ManyToManyField(Organization, blank=True, related_name="personal_access_tokens")

    objects = PersonalAccessTokenQuerySet.as_manager()

    class Meta(Token.Meta):
        verbose_name = "personal access token"

    @property
    def realm(self) -> UUID | None:
        return None

    @property
    def limit(self) -> frozenset[str] | None:
        return held(self.scopes) if self.scopes else None

    @property
    def abilities(self) -> list[str]:
        """The scopes of the catalogue this token holds somewhere now. For many: load_grants() first."""
        if "owner_grants" not in vars(self):
            load_grants([self])
        if self.state(timezone.now()) is not State.ACTIVE:
            return []
        reached = vars(self)["owner_grants"]
        return [
            scope
            for scope in CATALOGUE
            if (self.limit is None or covers(self.limit, scope))
            and any(covers(grant.scopes, scope) for grant in reached)
        ]


def load_grants(tokens: Sequence[PersonalAccessToken]) -> None:
    """What their owners may do where these tokens reach, in two queries for any number of tokens."""
    grants = grants_of({token.owner_id for token in tokens})
    through = PersonalAccessToken.organizations.through
    chosen: dict[UUID, set[UUID | None]] = {token.pk: {None} for token in tokens}
    narrowed = [token.pk for token in tokens if not token.covers_all_organizations]
    for token_id, organization_id in (
        through.objects.filter(personalaccesstoken__in=narrowed).values_list(
            "personalaccesstoken_id", "organization_id"
        )
        if narrowed
        else ()
    ):
        chosen[token_id].add(organization_id)
    for token in tokens:
        vars(token)["owner_grants"] = [
            grant
            for organization_id, grant in grants[token.owner_id].items()
            if token.covers_all_organizations or organization_id in chosen[token.pk]
        ]


class TokenUsageQuerySet(models.QuerySet["TokenUsage"]):
    def recent_addresses(self, token_ids: Iterable[UUID]) -> dict[UUID, list[dict[str, Any]]]:
        """Token id -> the last RECENT_ADDRESSES from which it was accepted, newest first."""
        rows = (
            self.filter(token_id__in=token_ids)
            .exclude(operation="authenticate")
            .exclude(address="")
            .values("token_id", "address")
            .annotate(
                seen_first=models.Min("first_seen_at"),
                seen_last=models.Max("last_seen_at"),
                seen=models.Sum("count"),
            )
            .order_by("-seen_last")
        )
        found: dict[UUID, list[dict[str, Any]]] = {}
        for row in rows:
            listed = found.setdefault(row["token_id"], [])
            if len(listed) < RECENT_ADDRESSES:
                listed.append(
                    {
                        "address": row["address"],
                        "first_seen_at": row["seen_first"],
                        "last_seen_at": row["seen_last"],
                        "count": row["seen"],
                    }
                )
        return found


class TokenUsage(models.Model):
    """One rollup row per token, day, operation, scope, address and outcome, refusals included.

    Points at its token by value: usage outlives tokens of either kind.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    token_id = models.UUIDField()
    day = models.DateField()
    operation = models.CharField(max_length=80)
    scope = models.CharField(max_length=40, blank=True)
    address = models.CharField(max_length=45, blank=True)
    outcome = models.CharField(max_length=32)
    count = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    objects = TokenUsageQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "token usage"
        constraints = (
            models.UniqueConstraint(
                fields=("token_id", "day", "operation", "scope", "address", "outcome"),
                name="token_usage_is_one_row_per_key",
            ),
        )
        indexes = (models.Index(fields=("day",), name="token_usage_by_day"),)

    def __str__(self) -> str:
        return f"{self.operation} {self.outcome} ×{self.count} on {self.day}"


class NoticeKind(models.TextChoices):
    """What a mail about a token says."""

    EXPIRY = "expiry"
    CREATED = "created"
    REVOKED = "revoked"
    NETWORK = "network"


class NoticeQuerySet(models.QuerySet["Notice"]):
    def waiting(self, claimed_before: datetime) -> Self:
        """Not sent, and nobody is at it: unclaimed, or claimed so long ago that whoever did it is gone."""
        return self.filter(
            models.Q(claimed_at__isnull=True) | models.Q(claimed_at__lt=claimed_before), sent_at__isnull=True
        )


class Notice(models.Model):
    """One person is told one fact about one token, once: the unique key sees to it.

    `about` tells facts of a kind apart: threshold and end of the token (EXPIRY), the event's id (CREATED,
    REVOKED), the network (NETWORK). `claim` is the mark of whoever is sending it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    token_id = models.UUIDField()
    kind = models.CharField(max_length=16, choices=NoticeKind)
    about = models.CharField(max_length=64)
    claim = models.UUIDField(null=True)
    claimed_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("token_id", "kind", "about", "recipient"), name="notice_is_filed_once"
            ),
        )
        indexes = (
            models.Index(
                fields=("recipient", "kind", "id"),
                condition=models.Q(sent_at__isnull=True),
                name="notice_not_sent",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.about}"


class Watermark(models.Model):
    """Until when `sendnotices` has read a table whose ids are in the order of time."""

    table = models.CharField(primary_key=True, max_length=64)
    read_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.table} until {self.read_until}"
