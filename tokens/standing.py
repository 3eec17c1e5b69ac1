"""What a token is worth now: its state, its owner's, and the terms of each organization it reaches.

Read in one SELECT, for authentication by digest and for showing a page of tokens by id, and judged by one
function: what a token is said to be able to do is what it can do. Neighbours: authentication.py (each use),
policy.py (the rules), types.py and admin.py (what people are shown).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Case, Count, Exists, OuterRef, Q, Subquery, When
from django.db.models.functions import Now
from django.utils import timezone

from organizations.access import PERSONAL_SCOPES, Bar, Grant, Kind, Principal, grant, merged
from organizations.scopes import common
from tokens import networks, policy
from tokens.models import APIToken, PersonalAccessToken, State, Token
from tokens.policy import NO_TERMS, Breach, Occasion, Rule, Terms


class BadCredential(Exception):
    """A credential was sent and does not hold. `code` is stable, the message says what to do.

    `status`: 401 for what another credential mends, 403 for what none from here would. `rule`: the one of
    its organization's policy that refuses it.
    """

    def __init__(self, code: str, message: str, rule: Rule | None = None) -> None:
        self.code = code
        self.rule = rule
        self.status = 403 if code in FORBIDDEN else 401
        self.extensions = {"code": code}
        super().__init__(message)


FORBIDDEN = frozenset({policy.ELSEWHERE, policy.REFUSED})
OWNER_INACTIVE = (
    "OWNER_INACTIVE",
    "The owner of this token is deactivated or deleted. Ask an administrator.",
)
DEAD = {
    State.DELETED: ("TOKEN_REVOKED", "The token has been revoked. Issue a new one."),
    State.REVOKED: ("TOKEN_REVOKED", "The token has been revoked. Issue a new one."),
    State.ROTATED: (policy.EXPIRED, "The token has been rotated, and its time is up. Use its successor."),
    State.EXPIRED: (policy.EXPIRED, "The token has expired. Issue a new one."),
    State.PENDING: ("TOKEN_NOT_YET_VALID", "The token is not valid yet. Wait for its notBefore."),
}
"""Code, message. An exception is made anew each time: one that is kept keeps its frames, values included."""


class Usability(StrEnum):
    """Whether a token would be accepted now, and what keeps it from it."""

    ACTIVE = "ACTIVE"
    PENDING = "PENDING"
    REVOKED = "REVOKED"
    ROTATED = "ROTATED"
    EXPIRED = "EXPIRED"
    OWNER_INACTIVE = "OWNER_INACTIVE"
    POLICY_REFUSED = "POLICY_REFUSED"


@dataclass(frozen=True, slots=True)
class Status:
    """`reason`: why it is not accepted. `policy`: the rule that refuses it. `ends_at`, `ends_by`: what ends
    it next by itself; a column, or a rule. `organization_id`: where this holds, None for the token as such.
    """

    state: Usability
    reason: str | None = None
    policy: str | None = None
    ends_at: datetime | None = None
    ends_by: str | None = None
    organization_id: UUID | None = None


USABILITIES: Mapping[tuple[State, str], Usability] = {
    **{
        (state, code): Usability[state.name]
        for state, (code, _) in DEAD.items()
        if state is not State.DELETED
    },
    (State.DELETED, DEAD[State.DELETED][0]): Usability.REVOKED,
    (State.ACTIVE, OWNER_INACTIVE[0]): Usability.OWNER_INACTIVE,
    (State.ACTIVE, policy.EXPIRED): Usability.EXPIRED,
    (State.ACTIVE, policy.REFUSED): Usability.POLICY_REFUSED,
}
"""Its own state, and the code with which it is refused -> what people are told."""


@dataclass(frozen=True, slots=True)
class Place:
    """An organization that a token reaches: what it grants there, and on what terms, if it has a policy."""

    organization_id: UUID
    grant: Grant
    terms: Terms | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A token as the database has it. `older`: live tokens its owner had before it, where that counts."""

    token: Token
    owner_is_live: bool
    places: Sequence[Place]
    older: int

    @classmethod
    def read(cls, rows: Sequence[Sequence[Any]]) -> Self:
        """The rows about one token of a SELECT of `columns()`."""
        raise NotImplementedError

    def admitted(self, now: datetime, address: str | None) -> Principal:
        """Who this token stands for. `address` None: from wherever it is accepted. Raises BadCredential."""
        state = self.token.state(now)
        if state is not State.ACTIVE:
            raise BadCredential(*DEAD[state])
        if not self.owner_is_live:
            raise BadCredential(*OWNER_INACTIVE)
        allowed = self.token.allowed_addresses
        if allowed and address is not None and not networks.hold(allowed, address):
            raise BadCredential(
                policy.ELSEWHERE, f"The token is not accepted from {address or 'an unknown address'}."
            )
        return self._principal(Occasion(now, address, self.older))

    def _principal(self, occasion: Occasion) -> Principal:
        raise NotImplementedError

    def _judged(self, place: Place, occasion: Occasion, reported: set[Rule]) -> tuple[Grant, Breach | None]:
        """What is left of a grant on its organization's terms, and why it is refused altogether."""
        if place.terms is None:
            return place.grant, None
        breaches = policy.at_use(self.token, place.terms, occasion)
        reported.update(policy.reported(breaches))
        grantable = policy.grantable(place.terms)
        if grantable is None:
            return place.grant, policy.refusal(breaches)
        narrowed = replace(place.grant, scopes=common(place.grant.scopes, grantable))
        return narrowed, policy.refusal(breaches)

    def status(self, now: datetime) -> Status:
        """Of the token as such."""
        try:
            self.admitted(now, None)
        except BadCredential as refused:
            state = USABILITIES[self.token.state(now), refused.code]
            return Status(state, str(refused), refused.rule)
        return self._active(now, ())

    def _active(self, now: datetime, places: Sequence[Place]) -> Status:
        """`places`: those whose policies may end it."""
        terms = [NO_TERMS, *(place.terms for place in places if place.terms)]
        ends = [ending for some in terms for ending in policy.endings(self.token, some, now)]
        ends_at, ends_by = min(ends, default=(None, None))
        return Status(Usability.ACTIVE, ends_at=ends_at, ends_by=ends_by)


class APITokenStanding(Standing):
    __slots__ = ()

    @classmethod
    def read(cls, rows: Sequence[Sequence[Any]]) -> Self:
        columns = token_columns(APIToken)
        width = len(columns)
        token = APIToken.from_db("default", columns, rows[0][:width])
        organization_name, organization_deleted_at, older, *terms = rows[0][width:]
        place = Place(token.owner_id, Grant(token.limit, name=organization_name), _agreed(terms))
        return cls(token, organization_deleted_at is None, [place], older or 0)

    def _principal(self, occasion: Occasion) -> Principal:
        """Its one organization refuses it altogether, or not at all."""
        reported: set[Rule] = set()
        (place,) = self.places
        remaining, refused = self._judged(place, occasion, reported)
        if refused is not None:
            raise BadCredential(refused.code, refused.why, refused.rule)
        return Principal(
            Kind.API_TOKEN,
            id=str(self.token.pk),
            label=self.token.name,
            grants={place.organization_id: remaining},
            reported=reported,
            token=self.token,
            expires_at=policy.expiry(self.token, place.terms or NO_TERMS, occasion.now),
            confirm=functools.partial(_confirm, self.token),
        )

    def _active(self, now: datetime, places: Sequence[Place]) -> Status:
        return Standing._active(self, now, self.places)  # super() fails in a slotted dataclass's child


class PersonalTokenStanding(Standing):
    __slots__ = ()

    @classmethod
    def read(cls, rows: Sequence[Sequence[Any]]) -> Self:
        """One row per membership and group of the owner, each repeating the token and the owner."""
        columns, owner_columns = token_columns(PersonalAccessToken), person_columns()
        token_end = len(columns)
        owner_end = token_end + len(owner_columns)
        token = PersonalAccessToken.from_db("default", columns, rows[0][:token_end])
        token.owner = get_user_model().from_db("default", owner_columns, rows[0][token_end:owner_end])
        places: dict[UUID, Place] = {}
        most_older = 0
        for row in rows:
            organization_id, name, deleted_at, role, group_scopes, is_reached, older, *terms = row[owner_end:]
            most_older = max(most_older, older or 0)
            if organization_id is not None and deleted_at is None and is_reached:
                known = places.get(organization_id)
                granted = merged(known.grant if known else None, grant(role, group_scopes or (), name))
                places[organization_id] = Place(organization_id, granted, _agreed(terms))
        return cls(token, token.owner.is_active, list(places.values()), most_older)

    def _principal(self, occasion: Occasion) -> Principal:
        """An organization that refuses it bars it from there; elsewhere it works."""
        reported: set[Rule] = set()
        grants: dict[UUID | None, Grant] = {None: Grant(PERSONAL_SCOPES)}
        barred: dict[UUID, Bar] = {}
        for place in self.places:
            remaining, refused = self._judged(place, occasion, reported)
            if refused is None:
                grants[place.organization_id] = remaining
            else:
                barred[place.organization_id] = Bar(
                    f"{place.grant.name}: {refused.why}", {"code": refused.code, "policy": refused.rule}
                )
        owner: Any = self.token.owner  # type: ignore[attr-defined]
        return Principal(
            Kind.PERSONAL_TOKEN,
            id=str(owner.pk),
            label=owner.email,
            grants=grants,
            barred=barred,
            reported=reported,
            limit=self.token.limit,
            user=owner,
            token=self.token,
            expires_at=policy.expiry(self.token, NO_TERMS, occasion.now),
            confirm=functools.partial(_confirm, self.token),
        )

    def status_by_organization(self, now: datetime) -> list[Status]:
        """Of the token in each organization it reaches."""
        try:
            barred = self.admitted(now, None).barred
        except BadCredential:
            return [replace(self.status(now), organization_id=place.organization_id) for place in self.places]
        return [
            replace(
                _barred(barred[place.organization_id])
                if place.organization_id in barred
                else self._active(now, (place,)),
                organization_id=place.organization_id,
            )
            for place in self.places
        ]


def _agreed(columns: Sequence[Any]) -> Terms | None:
    """The terms in a row; an organization without a policy has nulls."""
    return None if columns[0] is None else Terms(*columns)


def _confirm(token: Token) -> None:
    """Hold the acting token's row: whoever revokes it now waits for this write, or was first."""
    rows = type(token).objects.only("revoked_at", "deleted_at", "expires_at", "overlap_ends_at", "not_before")
    state = rows.select_for_update(no_key=True).get(pk=token.pk).state(timezone.now())
    if state is not State.ACTIVE:
        raise BadCredential(*DEAD[state])


def _barred(bar: Bar) -> Status:
    state = USABILITIES[State.ACTIVE, bar.extensions["code"]]
    return Status(state, bar.message, bar.extensions["policy"])


# --- the SELECT ----------------------------------------------------------------------------------------

TOKEN_COLUMNS = frozenset(
    {
        "id",
        "created_at",
        "name",
        "hint",
        "scopes",
        "not_before",
        "expires_at",
        "allowed_addresses",
        "last_used_at",
        "overlap_ends_at",
        "revoked_at",
        "deleted_at",
        "pepper_id",
        "owner_id",
        "covers_all_organizations",
    }
)


@functools.cache
def token_columns(model: type[Token]) -> tuple[str, ...]:
    """What is loaded of a token, the id first, in the order Model.from_db takes it."""
    names = (field.attname for field in model._meta.concrete_fields)
    return tuple(name for name in names if name in TOKEN_COLUMNS)


@functools.cache
def person_columns() -> tuple[str, ...]:
    names = (field.attname for field in get_user_model()._meta.concrete_fields)
    return tuple(name for name in names if name != "password")


def _terms(organization: str) -> tuple[str, ...]:
    """The columns of an organization's policy, as Terms has them."""
    return tuple(f"{organization}__token_policy__{column}" for column in Terms._fields)


def older_siblings(model: type[Token]) -> Subquery:
    """How many living tokens of its owner are older, null for none. An index has (owner, id), by age."""
    siblings = model.objects.counted(Now()).filter(owner=OuterRef("owner"), pk__lt=OuterRef("pk"))
    return Subquery(siblings.order_by().values("owner").annotate(n=Count("pk")).values("n"))


def _older(model: type[Token], organization: str) -> Case:
    """The same, counted only where a policy names a limit."""
    is_limited = Q(**{f"{organization}__token_policy__live_tokens_limit__isnull": False})
    return Case(When(is_limited, then=older_siblings(model)))


def _api_tokens() -> models.QuerySet[APIToken]:
    return APIToken.objects.annotate(older=_older(APIToken, "owner"))


def _api_token_columns() -> tuple[str, ...]:
    return (*token_columns(APIToken), "owner__name", "owner__deleted_at", "older", *_terms("owner"))


MEMBERSHIP = "owner__org_memberships"


def _personal_tokens() -> models.QuerySet[PersonalAccessToken]:
    def among(through: type[models.Model]) -> Exists:
        return Exists(
            through._default_manager.filter(
                personalaccesstoken_id=OuterRef("pk"),
                organization_id=OuterRef(f"{MEMBERSHIP}__organization_id"),
            )
        )

    chosen = among(PersonalAccessToken.organizations.through)
    lost = among(PersonalAccessToken.lost_organizations.through)
    return PersonalAccessToken.objects.annotate(
        is_reached=Case(When(covers_all_organizations=True, then=~lost), default=chosen),
        older=_older(PersonalAccessToken, f"{MEMBERSHIP}__organization"),
    )


def _personal_token_columns() -> tuple[str, ...]:
    return (
        *token_columns(PersonalAccessToken),
        *(f"owner__{column}" for column in person_columns()),
        f"{MEMBERSHIP}__organization_id",
        f"{MEMBERSHIP}__organization__name",
        f"{MEMBERSHIP}__organization__deleted_at",
        f"{MEMBERSHIP}__role",
        f"{MEMBERSHIP}__group_memberships__group__scopes",
        "is_reached",
        "older",
        *_terms(f"{MEMBERSHIP}__organization"),
    )


class Reading(NamedTuple):
    """How the standing of a kind of token is selected and read. Functions, because apps load later."""

    queryset: Callable[[], models.QuerySet[Any]]
    columns: Callable[[], tuple[str, ...]]
    standing: type[Standing]


READINGS: Mapping[type[Token], Reading] = {
    APIToken: Reading(_api_tokens, _api_token_columns, APITokenStanding),
    PersonalAccessToken: Reading(_personal_tokens, _personal_token_columns, PersonalTokenStanding),
}


def standings(tokens: Iterable[Token]) -> dict[UUID, Standing]:
    """Token id -> how it stands, in one query per kind."""
    found: dict[UUID, Standing] = {}
    by_kind: dict[type[Token], list[UUID]] = {}
    for token in tokens:
        by_kind.setdefault(type(token), []).append(token.pk)
    for kind, ids in by_kind.items():
        reading = READINGS[kind]
        rows: dict[UUID, list[Sequence[Any]]] = {}
        for row in reading.queryset().order_by().filter(pk__in=ids).values_list(*reading.columns()):
            rows.setdefault(row[0], []).append(row)
        found |= {token_id: reading.standing.read(about) for token_id, about in rows.items()}
    return found


def abilities(standing: Standing) -> list[str]:
    """The scopes of the catalogue that a token holds somewhere now: none once it is not accepted."""
    try:
        return standing.admitted(timezone.now(), None).abilities
    except BadCredential:
        return []
