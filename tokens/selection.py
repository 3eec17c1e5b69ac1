"""Which tokens a command is about: conditions, all of which must hold, and how a chosen token is shown.

Neighbours: sweep.py and management/commands (listtokens and others), leaks.py, console.py (what people type).
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import IO, Any
from uuid import UUID

from django.core.management.base import CommandParser
from django.db.models import Q

from organizations.scopes import UnknownScope, spellings
from tokens import leaks, tables
from tokens.console import BadUsage, ago, find_organization, find_user, identifier, moment
from tokens.leaks import Leak
from tokens.models import APIToken, PersonalAccessToken, Token, TokenQuerySet, is_orphaned

KINDS: Mapping[str, type[Token]] = {"api": APIToken, "personal": PersonalAccessToken}
IDS_PER_QUERY = 500
PAGE_ROWS = 500


@dataclass(frozen=True)
class Selection:
    """Conditions, ANDed. None, False and () are conditions nobody set.

    `scopes`: for each scope its spellings, one of which the token must list.
    """

    ids: frozenset[UUID] | None = None
    organization_id: UUID | None = None
    user_id: UUID | None = None
    name: str | None = None
    scopes: tuple[tuple[str, ...], ...] = ()
    kind: str | None = None
    created_before: datetime | None = None
    unused_since: datetime | None = None
    expired_at: datetime | None = None
    never_expires: bool = False
    orphaned: bool = False
    leak: Leak | None = None

    @property
    def is_empty(self) -> bool:
        return self == Selection()

    @property
    def is_pinned(self) -> bool:
        """Whether tokens are named one by one."""
        return self.ids is not None or self.leak is not None

    def querysets(self) -> Iterator[TokenQuerySet[Any]]:
        """What is selected, deleted tokens too: per kind one queryset, or one per so many ids."""
        for kind, model in KINDS.items():
            if self._can_be(kind):
                chosen = self._narrowed(TokenQuerySet(model)).order_by("pk")
                yield from (chosen.filter(ids) for ids in self._ids())

    def _can_be(self, kind: str) -> bool:
        """Organizations own API tokens, which can be orphaned; people own personal ones."""
        foreign = self.user_id if kind == "api" else self.organization_id or self.orphaned or None
        return self.kind in (None, kind) and foreign is None

    def _narrowed(self, tokens: TokenQuerySet[Any]) -> TokenQuerySet[Any]:
        conditions = Q()
        if self.organization_id is not None:
            conditions &= Q(owner=self.organization_id)
        if self.user_id is not None:
            conditions &= Q(owner=self.user_id)
        if self.name is not None:
            conditions &= Q(name=self.name)
        for scope in self.scopes:
            conditions &= reduce(or_, (Q(scopes__has=spelling) for spelling in scope))
        if self.created_before is not None:
            conditions &= Q(created_at__lt=self.created_before)
        if self.expired_at is not None:
            conditions &= Q(expires_at__lte=self.expired_at)
        if self.never_expires:
            conditions &= Q(expires_at__isnull=True)
        if self.orphaned:
            conditions &= is_orphaned()
        narrowed = tokens.filter(conditions)
        return narrowed if self.unused_since is None else narrowed.unused_since(self.unused_since)

    def _ids(self) -> Iterator[Q]:
        leaked = None if self.leak is None else self.leak.ours
        sets = [ids for ids in (self.ids, leaked) if ids is not None]
        if not sets:
            yield Q()
            return
        ids = sorted(frozenset.intersection(*sets))
        for at in range(0, len(ids), IDS_PER_QUERY):
            yield Q(pk__in=ids[at : at + IDS_PER_QUERY])


def add_arguments(parser: CommandParser) -> None:
    which = parser.add_argument_group("which tokens (all conditions must hold)")
    which.add_argument("--id", action="append", metavar="ID", help="this token; may be repeated")
    which.add_argument(
        "--organization",
        metavar="NAME|ID",
        help="API tokens of this organization. Personal tokens belong to people: see --user",
    )
    which.add_argument("--user", metavar="EMAIL|ID", help="personal tokens of this person")
    which.add_argument("--name", help="exactly this name, letter case included; patterns are not accepted")
    which.add_argument(
        "--scope",
        action="append",
        metavar="SCOPE",
        help="lists this scope, in either spelling (read:tokens, api_token:read); a wider one that covers "
        "it does not count; may be repeated, then all of them must be listed",
    )
    which.add_argument("--kind", choices=KINDS, help="API tokens or personal access tokens alone")
    which.add_argument(
        "--created-before", metavar="DATE", help="2025-01-31 (from midnight UTC) or 2025-01-31T12:00:00+01:00"
    )
    which.add_argument(
        "--unused-for",
        metavar="90d",
        help="neither used nor created within this time: a number and h, d or w",
    )
    which.add_argument("--expired", action="store_true", help="whose time is up")
    which.add_argument("--never-expires", action="store_true", help="without an expiry")
    which.add_argument(
        "--orphaned",
        action="store_true",
        help="API tokens whose creator is no active member of the organization any more",
    )
    which.add_argument(
        "--leaked",
        metavar="FILE|-",
        help="whose value stands in this file (-: standard input), anywhere in any text of any size",
    )


def chosen(options: Mapping[str, Any], now: datetime) -> Selection:
    """The selection of parsed command-line options. Raises BadUsage, also for an empty value.

    An empty value is what an unset shell variable leaves: it must not widen the selection.
    """

    def given(name: str, parse: Callable[[Any], Any]) -> Any:
        return None if options[name] is None else parse(options[name])

    return Selection(
        ids=given("id", lambda ids: frozenset(identifier(text, "--id") for text in ids)),
        organization_id=given("organization", lambda text: find_organization(text).pk),
        user_id=given("user", lambda text: find_user(text).pk),
        name=options["name"],
        scopes=tuple(_spellings(name) for name in options["scope"] or ()),
        kind=options["kind"],
        created_before=given("created_before", lambda text: moment(text, "--created-before")),
        unused_since=given("unused_for", lambda text: ago(text, "--unused-for", now)),
        expired_at=now if options["expired"] else None,
        never_expires=options["never_expires"],
        orphaned=options["orphaned"],
        leak=given("leaked", _searched),
    )


def _spellings(scope: str) -> tuple[str, ...]:
    try:
        return spellings(scope)
    except UnknownScope as unknown:
        raise BadUsage(f"--scope: {unknown}") from unknown


def _searched(path: str) -> Leak:
    try:
        with _opened(path) as stream:
            return leaks.search(stream)
    except OSError as error:
        raise BadUsage(f"--leaked {path!r}: {error.strerror}. Give a readable file, or -.") from error


def _opened(path: str) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb")


def pages(tokens: TokenQuerySet[Any]) -> Iterator[list[Any]]:
    """Everything a queryset selects, with owners, by key: no cursor or lock is held while somebody reads."""
    ordered = tokens.select_related("owner").order_by("pk")
    page = list(ordered[:PAGE_ROWS])
    while page:
        yield page
        page = list(ordered.filter(pk__gt=page[-1].pk)[:PAGE_ROWS])


HEADINGS = (
    "ID",
    "KIND",
    "NAME",
    "HINT",
    "OWNER",
    "SCOPES",
    "STATE",
    "LAST USED",
    "USES",
    "EXPIRES",
    "CREATED",
)


def row(token: Any, now: datetime) -> tuple[Any, ...]:
    """A token under HEADINGS."""
    return (
        token.pk,
        kind_of(token),
        tables.short(token.name),
        token.hint,
        tables.short(str(token.owner)),
        tables.short(" ".join(token.scopes)) or None,
        token.state(now),
        token.last_used_at,
        token.usage_count,
        token.expires_at,
        token.created_at,
    )


def described(token: Any, now: datetime) -> dict[str, Any]:
    """A token for machines; never its value."""
    return {
        "id": token.pk,
        "kind": kind_of(token),
        "name": token.name,
        "hint": token.hint,
        "owner": {"id": token.owner_id, "name": str(token.owner)},
        "scopes": token.scopes,
        "tags": token.tags,
        "state": token.state(now),
        "created_at": token.created_at,
        "created_by": token.created_by,
        "last_used_at": token.last_used_at,
        "usage_count": token.usage_count,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "revoked_by": token.revoked_by,
        "revoked_reason": token.revoked_reason,
    }


def kind_of(token: Token) -> str:
    return next(kind for kind, model in KINDS.items() if isinstance(token, model))
