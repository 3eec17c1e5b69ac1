"""Mails about tokens: before they end, when made, rotated, revoked by another, used from a new network.

No request waits for a mail server. `sendnotices` does, every minute, on as many machines as run it:

1. owed       look for tokens that end soon, and at the events and uses since the last run
2. file       INSERT a row per person and fact; what is filed already is passed over by its unique key
3. addressees go through the people who have not been told something yet
4. claim      a guarded UPDATE leaves our mark; the rows that carry it are ours and nobody else's
5. post       one mail about all of them
6. tick off   they are sent

Who dies between 4 and 6 leaves a claim that another takes over when it is STALE: the mail comes late, or
twice if it died between 5 and 6, but it comes. So it does when the mail server failed.

Neighbours: management/commands/sendnotices.py, organizations/mails.py (how a mail is made),
templates/mail/token_*.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.core.mail import get_connection
from django.db.models import Exists, Min, OuterRef, Q, QuerySet
from django.utils import dateformat, timezone

from audit.actions import Action
from audit.models import Event
from organizations import mails
from organizations.models import OrgMembership, Role
from tokens import networks, policy
from tokens.models import (
    APIToken,
    Notice,
    NoticeKind,
    PersonalAccessToken,
    State,
    Token,
    TokenPolicy,
    TokenUsage,
    Watermark,
)
from tokens.policy import NO_TERMS, Mode, Terms
from tokens.usage import MODELS

THRESHOLDS = (1, 7, 14, 30)
"""Days before the end of a token. Between two of them, the nearer end is told by the farther one, once."""
OLDEST_NEWS = timedelta(days=3)
"""What happened longer ago is news to nobody: a first run on an old database stays silent about it."""
OVERLAP = timedelta(minutes=10)
"""Read again each time: the ids are in the order of time, commits and the clocks of machines less so."""
CLOCKS = timedelta(minutes=1)
"""By so much the time in an id may be before the one in `created_at`, or after it."""
STALE = timedelta(minutes=10)
KEPT = timedelta(days=90)
"""Longer than any fact could be filed again."""

PAGE_ROWS = 200
ROWS_PER_STATEMENT = 2_000
MOST_IN_A_MAIL = 100
PATIENCE = 5
"""So many failures in a row are the mail server's; the rest waits for the next run."""

NEWS: Mapping[str, NoticeKind] = {
    Action.API_TOKEN_CREATED: NoticeKind.CREATED,
    Action.PERSONAL_ACCESS_TOKEN_CREATED: NoticeKind.CREATED,
    Action.API_TOKEN_ROTATED: NoticeKind.ROTATED,
    Action.PERSONAL_ACCESS_TOKEN_ROTATED: NoticeKind.ROTATED,
    Action.API_TOKEN_REVOKED: NoticeKind.REVOKED,
    Action.PERSONAL_ACCESS_TOKEN_REVOKED: NoticeKind.REVOKED,
    Action.API_TOKEN_DELETED: NoticeKind.REVOKED,
    Action.PERSONAL_ACCESS_TOKEN_DELETED: NoticeKind.REVOKED,
}
RELATED: Mapping[type[Token], str] = {
    APIToken: "owner__token_policy",
    PersonalAccessToken: "owner",
}
"""What is selected with a token: whom it is of, and the policy that may end it."""
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})


class Owed(NamedTuple):
    """A notice, filed or not, and the token it is about."""

    notice: Notice
    token: Token


@dataclass(frozen=True, slots=True)
class Posted:
    """A mail about `count` tokens. `error`: the name of what kept it from being sent, None if it was."""

    recipient: str
    kind: str
    count: int
    error: str | None


# --- the six steps ---------------------------------------------------------------------------------------


def file(now: datetime) -> Iterator[int]:
    """Steps 1 and 2, in pages; yields how many rows were looked at, of in_question()."""
    for looked_at, page in owed(now):
        new = [notice for notice, _ in page]
        Notice.objects.bulk_create(new, ignore_conflicts=True, batch_size=ROWS_PER_STATEMENT)
        yield looked_at
    for read in (Event, TokenUsage):
        Watermark.objects.update_or_create(table=read._meta.db_table, defaults={"read_until": now})
    _forget(now)


def send() -> Iterator[Posted]:
    """Steps 3 to 6, for one mail after the other. One that fails stops no other, unless all do."""
    connection, failures = get_connection(), 0
    for recipient_id in addressees():
        for kind in NoticeKind:
            while mine := claim(recipient_id, kind):
                posted = post(mine, connection)
                tick_off(mine, posted)
                if posted is not None:
                    failures = failures + 1 if posted.error else 0
                    yield posted
                if failures == PATIENCE:
                    return
    connection.close()


def owed(now: datetime) -> Iterator[tuple[int, list[Owed]]]:
    """Step 1: what is not filed yet. (rows looked at, what follows from them), page by page."""
    for rows, keys, found in _sources(now):
        for page in _pages(rows, *keys):
            yield len(page), _unfiled(found(page, now))


def pending(now: datetime) -> Iterator[Owed]:
    """What file() and send() would send now, for a dry run."""
    for page in _pages(_waiting(now).select_related("recipient"), "pk"):
        yield from still_owed(page, now)
    for _, found in owed(now):
        yield from found


def waiting(now: datetime) -> int:
    """How many notices send() will go through, for a progress bar."""
    return _waiting(now).count()


def addressees() -> Iterator[UUID]:
    """Step 3: whom we owe a mail that nobody is sending at this moment."""
    people = (
        _waiting(timezone.now()).order_by("recipient_id").values_list("recipient_id", flat=True).distinct()
    )
    page = list(people[:PAGE_ROWS])
    while page:
        yield from page
        page = list(people.filter(recipient_id__gt=page[-1])[:PAGE_ROWS])


def claim(recipient_id: UUID, kind: str) -> list[Notice]:
    """Step 4: what this call alone may send, at most MOST_IN_A_MAIL; nothing when others were first."""
    now, mark = timezone.now(), uuid4()
    wanted = (
        _waiting(now).filter(recipient=recipient_id, kind=kind).order_by("pk").values_list("pk", flat=True)
    )
    ids = list(wanted[:MOST_IN_A_MAIL])
    if not ids or not _waiting(now).filter(pk__in=ids).update(claim=mark, claimed_at=now):
        return []
    return list(Notice.objects.filter(pk__in=ids, claim=mark).select_related("recipient").order_by("pk"))


def post(mine: Sequence[Notice], connection: Any) -> Posted | None:
    """Step 5: one mail about notices of one kind to one person. None when it is all out of date."""
    told = still_owed(mine, timezone.now())
    _withdraw({notice.pk for notice in mine} - {notice.pk for notice, _ in told})
    if not told:
        return None
    recipient, kind = mine[0].recipient.email, NoticeKind(mine[0].kind)
    try:
        mail = mails.written(f"token_{kind}", recipient, _context(kind, told))
        connection.open()
        connection.send_messages([mail])
    except Exception as error:  # noqa: BLE001 (whatever one mail or a backend raises, the others go out)
        with suppress(Exception):
            connection.close()
        return Posted(recipient, kind, len(told), type(error).__name__)
    return Posted(recipient, kind, len(told), None)


def tick_off(mine: Sequence[Notice], posted: Posted | None) -> None:
    """Step 6. What failed keeps its claim, and so waits until that is stale."""
    if posted is not None and posted.error is None:
        claimed = Notice.objects.filter(pk__in=[notice.pk for notice in mine], claim=mine[0].claim)
        claimed.update(sent_at=timezone.now())


# --- who is told what ------------------------------------------------------------------------------------


def ends_at(token: Token, now: datetime) -> datetime | None:
    """When a token stops working whoever uses it: not what each use puts off. None for never.

    A policy ends the tokens of its organization; a personal one it only keeps out.
    """
    return policy.expiry(token, _terms(token), now)


def _terms(token: Any) -> Terms:
    own = getattr(token.owner, "token_policy", None) if token.realm else None
    return own.terms if own else NO_TERMS


def ending(now: datetime) -> Iterator[tuple[QuerySet[Any], tuple[str, ...]]]:
    """The tokens that may be due(), and the key by which they are paged; each by index, each token once."""
    soon = now + timedelta(days=max(THRESHOLDS))
    by_itself = Q(expires_at__gt=now, expires_at__lte=soon)
    for model in MODELS.values():
        yield _alone(model, now).filter(by_itself), ("expires_at", "pk")
    for owner_id, days in TokenPolicy.objects.filter(
        maximum_lifetime_mode=Mode.ENFORCE, organization__deleted_at__isnull=True
    ).values_list("organization_id", "maximum_lifetime_days"):
        life = timedelta(days=days or 0)
        old = Q(
            owner=owner_id, pk__gt=_first_id(now - life - CLOCKS), pk__lte=_first_id(soon - life + CLOCKS)
        )
        yield _alone(APIToken, now).filter(old).exclude(by_itself), ("pk",)


def _alone(model: type[Token], now: datetime) -> QuerySet[Any]:
    """Living tokens. Of one that has a successor, people were told when it was rotated."""
    living: QuerySet[Any] = model.objects.living(now).filter(overlap_ends_at__isnull=True)
    return living.select_related(RELATED[model])


def due(token: Token, now: datetime) -> str | None:
    """The threshold a token has passed last and the end it is about; None when it is not about to end.

    Another end makes another text: who gets more time is told of its end anew.
    """
    end = ends_at(token, now)
    lives = token.overlap_ends_at is None and token.state(now) in (State.ACTIVE, State.PENDING)
    if end is None or end <= now or not lives:
        return None
    days = min((days for days in THRESHOLDS if end - now <= timedelta(days=days)), default=None)
    return None if days is None else f"{days}d {end.isoformat()}"


def recipients(tokens: Collection[Token]) -> dict[UUID, list[Any]]:
    """Token id -> whom its notices are for, each active and once.

    The owner of a personal token; of an API token, the owners and admins of its organization, and whoever
    created it while they are a member. One query.
    """
    creators = {creator for token in tokens if token.realm and (creator := _uuid(token.created_by))}
    members = OrgMembership.objects.filter(
        Q(role__in=MANAGERS) | Q(user__in=creators),
        organization__in={token.realm for token in tokens} - {None},
        organization__deleted_at__isnull=True,
        user__is_active=True,
    )
    members_of = defaultdict(list)
    for member in members.select_related("user").order_by("pk"):
        members_of[member.organization_id].append(member)
    return {token.pk: _told_of(token, members_of[token.realm] if token.realm else None) for token in tokens}


def _told_of(token: Any, members: Iterable[OrgMembership] | None) -> list[Any]:
    if members is None:
        return [token.owner] if token.owner.is_active else []
    return [one.user for one in members if one.role in MANAGERS or str(one.user_id) == token.created_by]


def still_owed(notices: Sequence[Notice], now: datetime) -> list[Owed]:
    """Without what came to be out of date while it waited: ends that moved, people who left."""
    tokens = _tokens(notice.token_id for notice in notices)
    people = recipients(tokens.values())
    return [
        Owed(notice, tokens[notice.token_id])
        for notice in notices
        if notice.recipient in people.get(notice.token_id, ())
        and (notice.kind != NoticeKind.EXPIRY or notice.about == due(tokens[notice.token_id], now))
    ]


# --- what follows from rows ------------------------------------------------------------------------------

Found = Callable[[Sequence[Any], datetime], Iterable[Owed]]


def _sources(now: datetime) -> Iterator[tuple[QuerySet[Any], tuple[str, ...], Found]]:
    """(rows, the unique key by which they are paged, what follows from a page of them)."""
    for tokens, keys in ending(now):
        yield tokens, keys, _expiries
    yield _since(Event, now).filter(action__in=NEWS), ("pk",), _news
    yield _since(TokenUsage, now), ("pk",), _new_networks


def in_question(now: datetime) -> int:
    """How many rows file() looks at, for a progress bar."""
    return sum(rows.count() for rows, _, _ in _sources(now))


def _expiries(tokens: Sequence[Token], now: datetime) -> Iterator[Owed]:
    rows = Notice.objects.filter(kind=NoticeKind.EXPIRY, token_id__in=[token.pk for token in tokens])
    filed = set(rows.values_list("token_id", "about"))  # nearly all of them, minute after minute
    abouts = {token: about for token in tokens if (about := due(token, now))}
    unfiled = {token: about for token, about in abouts.items() if (token.pk, about) not in filed}
    people = recipients(unfiled)
    for token, about in unfiled.items():
        yield from _addressed(NoticeKind.EXPIRY, about, token, people[token.pk])


def _news(events: Sequence[Event], now: datetime) -> Iterator[Owed]:
    """To all; revoked, to all but who did it. Of a token that was dead when deleted, nothing."""
    tokens = _tokens(event.target_id for event in events)
    people = recipients(tokens.values())
    for event in events:
        token, kind = tokens.get(UUID(event.target_id)), NEWS[event.action]
        if token is None or (event.action.endswith("deleted") and token.revoked_reason != "deleted"):
            continue
        told = [
            person
            for person in people[token.pk]
            if kind is not NoticeKind.REVOKED or str(person.pk) != event.actor_id
        ]
        yield from _addressed(kind, str(event.pk), token, told)


def _new_networks(rows: Sequence[TokenUsage], now: datetime) -> Iterator[Owed]:
    """A network that is not the first a token was used from, and was seen these days for the first time."""
    # of a day's rows nearly all are about known addresses: only for others all networks are looked at
    before = _accepted().filter(
        token_id=OuterRef("token_id"), address=OuterRef("address"), pk__lt=OuterRef("pk")
    )
    fresh = _accepted().filter(~Exists(before), pk__in=[row.pk for row in rows]).order_by("pk")
    found = dict.fromkeys((row.token_id, networks.site_of(row.address)) for row in fresh)
    tokens = _tokens(token_id for token_id, _ in found)
    people, seen = recipients(tokens.values()), networks_of(tokens)
    for token_id, network in found:
        if network is not None and token_id in tokens:
            known = seen[token_id]
            if known[network] > max(now - OLDEST_NEWS, min(known.values())):
                yield from _addressed(NoticeKind.NETWORK, network, tokens[token_id], people[token_id])


def networks_of(token_ids: Iterable[UUID]) -> dict[UUID, dict[str, datetime]]:
    """Token id -> network -> when a use from there was accepted first."""
    rows = _accepted().filter(token_id__in=list(token_ids)).values_list("token_id", "address")
    found: dict[UUID, dict[str, datetime]] = {}
    for token_id, address, since in rows.annotate(Min("first_seen_at")).order_by():
        network = networks.site_of(address)
        if network is not None:
            seen = found.setdefault(token_id, {})
            seen[network] = min(since, seen.get(network, since))
    return found


def _accepted() -> QuerySet[TokenUsage]:
    """Uses by somebody who was let in, from somewhere."""
    return TokenUsage.objects.exclude(operation="authenticate").exclude(address="")


def _addressed(kind: NoticeKind, about: str, token: Token, people: Iterable[Any]) -> Iterator[Owed]:
    for person in people:
        yield Owed(Notice(kind=kind, about=about, token_id=token.pk, recipient=person), token)


def _unfiled(found: Iterable[Owed]) -> list[Owed]:
    page = list(found)
    rows = Notice.objects.filter(
        token_id__in={token.pk for _, token in page}, about__in={notice.about for notice, _ in page}
    )
    filed = set(rows.values_list("token_id", "kind", "about", "recipient_id")) if page else set()
    return [
        one
        for one in page
        if (one.token.pk, one.notice.kind, one.notice.about, one.notice.recipient_id) not in filed
    ]


# --- what is written -------------------------------------------------------------------------------------


def _context(kind: NoticeKind, told: Sequence[Owed]) -> dict[str, Any]:
    """For templates/mail/token_*: the `tokens` of the mail, each with its `facts` as (label, value)."""
    facts = FACTS[kind](told, timezone.now())
    tokens = [
        {
            "name": " ".join(token.name.split()),
            "hint": token.hint,
            "of": f"{token._meta.verbose_name} of {token.owner}",  # type: ignore[attr-defined]
            "facts": [(label, _shown(value)) for label, value in facts[notice.pk] if value],
        }
        for notice, token in told
    ]
    return {"tokens": tokens, "more": len(tokens) - 1, "link": f"{settings.PUBLIC_URL}/"}


def _shown(value: Any) -> str:
    return (
        dateformat.format(value, "j F Y, H:i e") if isinstance(value, datetime) else " ".join(value.split())
    )


Facts = dict[UUID, list[tuple[str, Any]]]


def _facts_of_end(told: Sequence[Owed], now: datetime) -> Facts:
    return {
        notice.pk: [("Expires", ends_at(token, now)), ("Last used", token.last_used_at or "never")]
        for notice, token in told
    }


def _facts_of_creation(told: Sequence[Owed], now: datetime) -> Facts:
    return {
        notice.pk: [*event, ("Expires", ends_at(token, now) or "never"), ("Revoked", token.revoked_at)]
        for (notice, token), event in zip(told, _facts_of_events(told), strict=True)
    }


def _facts_of_rotation(told: Sequence[Owed], now: datetime) -> Facts:
    return {
        notice.pk: [*event, ("Old value until", token.overlap_ends_at), ("Revoked", token.revoked_at)]
        for (notice, token), event in zip(told, _facts_of_events(told), strict=True)
    }


def _facts_of_revocation(told: Sequence[Owed], now: datetime) -> Facts:
    return {
        notice.pk: [*event, ("Reason", token.revoked_reason)]
        for (notice, token), event in zip(told, _facts_of_events(told), strict=True)
    }


def _facts_of_events(told: Sequence[Owed]) -> Iterator[list[tuple[str, Any]]]:
    """When it happened, who did it and from where."""
    events = Event.objects.in_bulk([UUID(notice.about) for notice, _ in told])
    for notice, _ in told:
        event = events[UUID(notice.about)]
        yield [("When", event.created_at), ("By", event.actor_label), ("From", event.address)]


def _facts_of_network(told: Sequence[Owed], now: datetime) -> Facts:
    seen = networks_of({token.pk for _, token in told})
    return {
        notice.pk: [("Network", notice.about), ("First used", seen.get(token.pk, {}).get(notice.about))]
        for notice, token in told
    }


FACTS: Mapping[NoticeKind, Callable[[Sequence[Owed], datetime], Facts]] = {
    NoticeKind.ROTATED: _facts_of_rotation,
    NoticeKind.EXPIRY: _facts_of_end,
    NoticeKind.CREATED: _facts_of_creation,
    NoticeKind.REVOKED: _facts_of_revocation,
    NoticeKind.NETWORK: _facts_of_network,
}


# --- rows ------------------------------------------------------------------------------------------------


def _waiting(now: datetime) -> QuerySet[Notice]:
    return Notice.objects.waiting(now - STALE)


def _tokens(ids: Iterable[Any]) -> dict[UUID, Token]:
    """Tokens of either kind by id, dead and deleted ones too."""
    wanted = set(ids)
    found = (model.objects.select_related(RELATED[model]).in_bulk(wanted) for model in MODELS.values())
    return {token_id: token for tokens in found for token_id, token in tokens.items()}


def _since(model: type[Any], now: datetime) -> QuerySet[Any]:
    """The rows that were written since file() was there, by their ids (UUIDv7: milliseconds come first)."""
    oldest = now - OLDEST_NEWS
    mark = Watermark.objects.filter(table=model._meta.db_table).first()
    start = max(oldest, mark.read_until - OVERLAP) if mark else oldest
    written: QuerySet[Any] = model.objects.filter(pk__gt=_first_id(start))
    return written


def _first_id(moment: datetime) -> UUID:
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def _pages(rows: QuerySet[Any], *keys: str) -> Iterator[list[Any]]:
    """By a unique key of one or two columns, and so in constant memory, with no cursor held open."""
    ordered = rows.order_by(*keys)
    page = list(ordered[:PAGE_ROWS])
    while page:
        yield page
        *first, key = ((name, getattr(page[-1], name)) for name in keys)
        rest = Q(**{f"{key[0]}__gt": key[1]})
        for name, value in first:
            rest = Q(**{f"{name}__gte": value}) & (Q(**{f"{name}__gt": value}) | rest)
        page = list(ordered.filter(rest)[:PAGE_ROWS])


def _withdraw(ids: Collection[UUID]) -> None:
    Notice.objects.filter(pk__in=ids).delete()


def _forget(now: datetime) -> None:
    """A page of the oldest, each run: more than a minute brings."""
    old = Notice.objects.filter(pk__lt=_first_id(now - KEPT)).order_by("pk").values("pk")
    Notice.objects.filter(pk__in=old[:ROWS_PER_STATEMENT]).delete()


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
