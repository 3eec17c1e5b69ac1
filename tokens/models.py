"""Tokens and what is known of their use. Neighbours: secret.py (the string), services.py (what is done)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Cast, Replace
from uuid_utils.compat import uuid7

from organizations.fields import StringListField
from organizations.models import Organization, OrgMembership, Record
from organizations.scopes import UnknownScope, canonical, held
from organizations.validators import validate_plain_text, validate_single_line
from tokens import peppers, secret
from tokens.networks import validate_networks
from tokens.policy import Mode, Rule, Terms
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
    ROTATED = "rotated"
    EXPIRED = "expired"
    PENDING = "pending"
    ACTIVE = "active"


def states(now: datetime) -> dict[str, models.Q]:
    """What it takes to be in each state at `now`: Token.state(), for a database to ask."""
    marks = {
        State.DELETED: models.Q(deleted_at__isnull=False),
        State.REVOKED: models.Q(revoked_at__isnull=False),
        State.ROTATED: models.Q(overlap_ends_at__isnull=False, overlap_ends_at__lte=now),
        State.EXPIRED: models.Q(expires_at__isnull=False, expires_at__lte=now),
        State.PENDING: models.Q(not_before__isnull=False, not_before__gt=now),
        State.ACTIVE: models.Q(),
    }
    found: dict[str, models.Q] = {}
    earlier = models.Q()
    for state, mark in marks.items():
        found[state] = mark & ~earlier
        earlier |= mark
    return found


T = TypeVar("T", bound="Token")


class TokenQuerySet(models.QuerySet[T]):
    def live(self) -> Self:
        """Not deleted. Deleted tokens stay in the table for the audit, out of everybody's sight."""
        return self.filter(deleted_at__isnull=True)

    def usable(self, now: datetime) -> Self:
        """Would authenticate at `now`, as far as the token itself decides."""
        return self.living(now).filter(models.Q(not_before__isnull=True) | models.Q(not_before__lte=now))

    def living(self, now: datetime) -> Self:
        """Neither ended nor past its end; what is not valid yet lives."""
        return self.live().filter(
            models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now),
            models.Q(overlap_ends_at__isnull=True) | models.Q(overlap_ends_at__gt=now),
            revoked_at__isnull=True,
        )

    def counted(self, now: datetime) -> Self:
        """Living, but for the one that works on beside the living successor it has just got."""
        successors = self.model.objects.living(now).filter(
            rotated_from=models.OuterRef("pk"), overlap_ends_at__isnull=True
        )
        return self.living(now).filter(~models.Exists(successors))

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
    them. Revoking is one-way; deleting leaves a tombstone. Rotating makes a successor that points back with
    `rotated_from` and the idempotency key that asked for it; the old value works until `overlap_ends_at`.
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
    not_before = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    allowed_addresses = StringListField(validators=[validate_networks])
    last_used_at = models.DateTimeField(null=True, editable=False)
    usage_count = models.PositiveBigIntegerField(default=0, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.CharField(max_length=64, null=True, editable=False)
    revoked_reason = models.CharField(
        max_length=500, null=True, editable=False, validators=[validate_plain_text]
    )
    # One-to-one: of two rotations at once, one makes the successor.
    rotated_from = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, editable=False, related_name="rotated_to"
    )
    idempotency_key = models.CharField(
        max_length=128, null=True, editable=False, validators=[validate_single_line]
    )
    overlap_ends_at = models.DateTimeField(null=True, editable=False)
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
        texts = {"name", "description", "tags", "revoked_reason", "idempotency_key"}.difference(exclude or ())
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
        if self.overlap_ends_at is not None and self.overlap_ends_at <= now:
            return State.ROTATED
        if self.expires_at is not None and self.expires_at <= now:
            return State.EXPIRED
        if self.not_before is not None and now < self.not_before:
            return State.PENDING
        return State.ACTIVE


def is_orphaned() -> models.Q:
    """API tokens whose creator is a person who is no active member of the organization any more.

    Creators are kept by value, as text; what no person made is nobody's orphan.
    """
    people = get_user_model()._default_manager.annotate(name=_as_text("pk"))
    there = OrgMembership.objects.filter(organization=models.OuterRef("owner"), user__is_active=True)
    is_there = there.annotate(name=_as_text("user_id")).filter(name=_bare(models.OuterRef("created_by")))
    is_somebody = models.Exists(people.filter(name=_bare(models.OuterRef("created_by"))))
    return models.Q(is_somebody) & ~models.Q(models.Exists(is_there))


def _as_text(key: str) -> Replace:
    return _bare(Cast(key, models.CharField()))


def _bare(key: Any) -> Replace:
    """An id as SQLite stores it: without hyphens."""
    return Replace(key, models.Value("-"), models.Value(""))


class APITokenQuerySet(TokenQuerySet["APIToken"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.live().filter(owner__in=principal.organizations_with("read:tokens"))

    def orphaned(self) -> Self:
        return self.filter(is_orphaned())


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


class PersonalAccessTokenQuerySet(TokenQuerySet["PersonalAccessToken"]):
    def visible_to(self, principal: Principal) -> Self:
        if principal.user is None or not principal.can("read:tokens", None):
            return self.none()
        return self.live().filter(owner=principal.user.pk)

    def forget(self, organization_id: UUID) -> None:
        """Take these tokens out of an organization, until addOrganizationIDs lets them in again."""
        left = {"organization_id": organization_id}
        chosen = PersonalAccessToken.organizations.through._default_manager
        chosen.filter(personalaccesstoken__in=self, **left).delete()
        lost = PersonalAccessToken.lost_organizations.through
        ids = self.live().filter(covers_all_organizations=True).values_list("pk", flat=True)
        lost._default_manager.bulk_create(
            [lost(personalaccesstoken_id=token_id, **left) for token_id in ids], ignore_conflicts=True
        )


class PersonalAccessToken(Token):
    """A person's key: all they may do, or as little of it as its scopes and organizations say."""

    kind = TokenKind.PERSONAL

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="personal_access_tokens"
    )
    # A flag, because an empty list must not mean "all": removing the last organization would widen.
    covers_all_organizations = models.BooleanField("every organization of the owner", default=True)
    organizations = models.ManyToManyField(Organization, blank=True, related_name="personal_access_tokens")
    # Those its owner has left, or in which it was not used for too long: neither joining again nor a use
    # elsewhere revives what a token was once trusted with.
    lost_organizations = models.ManyToManyField(Organization, editable=False, related_name="+")

    objects = PersonalAccessTokenQuerySet.as_manager()

    class Meta(Token.Meta):
        verbose_name = "personal access token"

    @property
    def realm(self) -> UUID | None:
        return None

    @property
    def limit(self) -> frozenset[str] | None:
        return held(self.scopes) if self.scopes else None


class TokenPolicyQuerySet(models.QuerySet["TokenPolicy"]):
    def visible_to(self, principal: Principal) -> Self:
        return self.filter(organization__in=principal.organizations_with("read:organization"))


def _mode(rule: str) -> Any:
    return models.CharField(rule, max_length=12, choices=MODES, default=Mode.OFF.value)


def _days(name: str) -> Any:
    return models.PositiveIntegerField(
        name, null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(LONGEST_LIFE.days)]
    )


MODES = [(mode.value, mode.value.replace("_", " ").lower()) for mode in Mode]


def validate_kinds(names: list[str]) -> None:
    """Raises ValidationError for what is no kind of token."""
    unknown = sorted(set(names) - {kind.name for kind in TokenKind})
    if unknown:
        raise ValidationError(f"No kind of token: {', '.join(unknown)[:80]}. There are API and PERSONAL.")


class TokenPolicy(Record):
    """What an organization demands of the tokens that reach it. An organization without one demands nothing.

    The rules are those of policy.Rule: each has a mode and, where it takes one, a value.
    """

    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, related_name="token_policy", editable=False
    )
    maximum_lifetime_mode = _mode("maximum lifetime")
    maximum_lifetime_days = _days("maximum lifetime in days")
    inactivity_limit_mode = _mode("inactivity limit")
    inactivity_limit_days = _days("inactivity limit in days")
    expiry_required_mode = _mode("expiry required")
    scopes_required_mode = _mode("scopes required")
    allowed_kinds_mode = _mode("allowed kinds")
    allowed_kinds = StringListField(validators=[validate_kinds])
    grantable_scopes_mode = _mode("grantable scopes")
    grantable_scopes = StringListField(validators=[validate_scopes])
    allowed_addresses_mode = _mode("allowed addresses")
    allowed_addresses = StringListField(validators=[validate_networks])
    live_tokens_mode = _mode("live tokens of an owner")
    live_tokens_limit = models.PositiveIntegerField(
        "most live tokens of an owner", null=True, blank=True, validators=[MinValueValidator(1)]
    )

    objects = TokenPolicyQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "token policies"

    def __str__(self) -> str:
        return f"token policy of {self.organization}"

    @property
    def terms(self) -> Terms:
        return Terms(*(getattr(self, column) for column in Terms._fields))

    def clean(self) -> None:
        """A rule that is on has its value."""
        missing = {
            column: "Give it a value, or switch the rule off."
            for rule, column in RULE_VALUES.items()
            if self.terms.mode(rule) != Mode.OFF and not getattr(self, column)
        }
        if missing:
            raise ValidationError(missing)


RULE_VALUES = {
    Rule.MAXIMUM_LIFETIME: "maximum_lifetime_days",
    Rule.INACTIVITY_LIMIT: "inactivity_limit_days",
    Rule.ALLOWED_KINDS: "allowed_kinds",
    Rule.GRANTABLE_SCOPES: "grantable_scopes",
    Rule.ALLOWED_ADDRESSES: "allowed_addresses",
    Rule.LIVE_TOKENS: "live_tokens_limit",
}
"""Rule -> the column of its value, which it needs unless it is off."""


class TokenUsageQuerySet(models.QuerySet["TokenUsage"]):
    def since(self, moments: Mapping[UUID, datetime]) -> Self:
        """Token id -> a moment: what was used after it. A row counts a whole day of uses."""
        wanted = models.Q(pk__in=())
        for token_id, moment in moments.items():
            wanted |= models.Q(token_id=token_id, last_seen_at__gte=moment)
        return self.filter(wanted)

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
    ROTATED = "rotated"
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
    ROTATED, REVOKED), the network (NETWORK). `claim` is the mark of whoever is sending it.
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
