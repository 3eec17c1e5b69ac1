"""Counting uses without writing on the request path.

A use is a dict entry. A thread of this process writes what has gathered, in bulk, once a second: one
rollup row per token, day, operation, scope, address and outcome, and the counters on the tokens. When the
process ends in an orderly way (SIGTERM), the rest is written at once. While the database is away the
buffer stays, bounded; what does not fit is dropped and counted. What a process still holds when it ends
without a database goes to a file, which the next process or `flushtokenusage` takes in.

Neighbours: authentication.py, which calls accepted() and refused(); models.TokenUsage, what is written;
spool.py, the files.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import Error, connection, transaction
from uuid_utils.compat import uuid7

from tokens import spool
from tokens.models import APIToken, PersonalAccessToken, Token, TokenUsage
from tokens.secret import TokenKind

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.9
FIRST_USE_WAIT_SECONDS = 0.25
ROWS_PER_STATEMENT = 500
MODELS: Mapping[TokenKind, type[Token]] = {model.kind: model for model in (APIToken, PersonalAccessToken)}


class Key(NamedTuple):
    token_id: UUID
    day: date
    operation: str
    scope: str
    address: str
    outcome: str


class Use(NamedTuple):
    """One operation of one request. `outcome` is "ok" or the code of the refusal."""

    operation: str
    scope: str
    outcome: str


TokenRef = tuple[type[Token], UUID]
K = TypeVar("K")


@dataclass(slots=True)
class Tally:
    """How often, and from when to when."""

    count: int
    first: datetime
    last: datetime


@dataclass(slots=True)
class Gathered:
    """What has been seen since the last flush: at most USAGE_BUFFER_KEYS keys of each sort."""

    rollup: dict[Key, Tally] = field(default_factory=dict)
    uses: dict[TokenRef, Tally] = field(default_factory=dict)
    redigests: dict[TokenRef, tuple[bytes, str]] = field(default_factory=dict)
    lost: set[tuple[UUID, UUID]] = field(default_factory=set)
    dropped: int = 0

    def add(self, into: dict[K, Tally], key: K, tally: Tally) -> None:
        known = into.get(key)
        if known is not None:
            known.count += tally.count
            known.first = min(known.first, tally.first)
            known.last = max(known.last, tally.last)
        elif len(into) < settings.USAGE_BUFFER_KEYS:
            into[key] = tally
        else:
            self.dropped += tally.count

    def take_back(self, other: Gathered) -> None:
        """What could not be written waits for the next flush."""
        for key, tally in other.rollup.items():
            self.add(self.rollup, key, tally)
        for ref, tally in other.uses.items():
            self.add(self.uses, ref, tally)
        self.redigests.update(other.redigests)
        self.lost |= other.lost
        self.dropped += other.dropped

    @property
    def is_empty(self) -> bool:
        return not (self.rollup or self.uses)

    def as_rows(self) -> dict[str, list[list[Any]]]:
        """For a file. Without the redigests: the next use of those tokens brings them again."""
        return {
            "rollup": [[*key, tally.count, tally.first, tally.last] for key, tally in self.rollup.items()],
            "uses": [
                [model.kind, token_id, tally.count, tally.first, tally.last]
                for (model, token_id), tally in self.uses.items()
            ],
            "lost": [list(pair) for pair in self.lost],
        }

    @classmethod
    def from_rows(cls, rows: Mapping[str, Sequence[Sequence[Any]]]) -> Gathered:
        """What as_rows() gave, after a way through JSON. Raises one of four for others: see spooled()."""
        back = cls()
        for token_id, day, operation, scope, address, outcome, *tally in rows["rollup"]:
            key = Key(UUID(token_id), date.fromisoformat(day), operation, scope, address, outcome)
            back.rollup[key] = _tally(*tally)
        back.lost = {(UUID(token_id), UUID(place)) for token_id, place in rows.get("lost", ())}
        for kind, token_id, *tally in rows["uses"]:
            back.uses[MODELS[TokenKind(kind)], UUID(token_id)] = _tally(*tally)
        return back


def _tally(count: int, first: str, last: str) -> Tally:
    return Tally(int(count), datetime.fromisoformat(first), datetime.fromisoformat(last))


_lock = threading.Lock()
_flushing = threading.Lock()
_gathered = Gathered()


def accepted(token: Token, uses: Iterable[Use], address: str, now: datetime) -> None:
    """One request of an authenticated token, and the operations it asked for."""
    with _lock:
        _gathered.add(_gathered.uses, (type(token), token.pk), Tally(1, now, now))
        _note(token, uses, address, now)
    if settings.USAGE_FLUSHER:
        flusher = _Flusher.running()
        if token.last_used_at is None:
            flusher.flush_now()


def refused(token: Token, code: str, address: str, now: datetime) -> None:
    """A request with a token we know and do not accept: in the rollup, not among its uses."""
    with _lock:
        _note(token, [Use("authenticate", "", code)], address, now)
    if settings.USAGE_FLUSHER:
        _Flusher.running()


def redigest(token: Token, digest: bytes, pepper_id: str) -> None:
    """A token signed with an older pepper was used: store it under the current one, later."""
    with _lock:
        _gathered.redigests[type(token), token.pk] = (digest, pepper_id)


def lose(token: Token, organization_id: UUID) -> None:
    """A personal token was not used for too long there. Written with the use that would revive it."""
    with _lock:
        _gathered.lost.add((token.pk, organization_id))


def _note(token: Token, uses: Iterable[Use], address: str, now: datetime) -> None:
    day = now.astimezone(UTC).date()
    for use in uses:
        _gathered.add(_gathered.rollup, Key(token.pk, day, *_cut(use, address)), Tally(1, now, now))


def _cut(use: Use, address: str) -> tuple[str, str, str, str]:
    operation, scope, outcome = use
    return operation[:80], scope[:40], address[:45], outcome[:32]


def flush() -> int:
    """Write what has gathered. Returns the number of rollup rows. Raises django.db.Error, and keeps all."""
    global _gathered
    with _flushing:
        with _lock:
            taken, _gathered = _gathered, Gathered()
        if not (taken.rollup or taken.uses or taken.redigests or taken.lost):
            return 0
        if taken.dropped:
            log.warning("usage buffer full: %d uses were not counted", taken.dropped)
            taken.dropped = 0
        try:
            with transaction.atomic():
                _write_rollup(taken.rollup)
                _write_uses(taken.uses)
                for (model, token_id), (digest, pepper_id) in taken.redigests.items():
                    model.objects.filter(pk=token_id).update(digest=digest, pepper_id=pepper_id)
                _write_losses(taken.lost)
        except Error:
            with _lock:
                _gathered.take_back(taken)
            raise
    return len(taken.rollup)


def spill() -> Path | None:
    """Put what is gathered and cannot be written into a file. Raises OSError."""
    global _gathered
    with _lock:
        taken, _gathered = _gathered, Gathered()
    return None if taken.is_empty else spool.store(taken.as_rows())


def take_in(spilled: spool.Spilled) -> bool:
    """Write a spilled file, once however often this is called, and delete it. Whether this call wrote it.

    Raises spool.Unreadable or django.db.Error, and leaves the file where it is.
    """
    gathered = spooled(spilled)
    with transaction.atomic():
        is_first = _mark_taken(spilled)
        if is_first:
            _write_rollup(gathered.rollup)
            _write_uses(gathered.uses)
            _write_losses(gathered.lost)
    spilled.path.unlink(missing_ok=True)
    return is_first


def spooled(spilled: spool.Spilled) -> Gathered:
    """What a file holds. Raises spool.Unreadable."""
    try:
        return Gathered.from_rows(spilled.rows)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise spool.Unreadable(spilled.path) from fault


def _mark_taken(spilled: spool.Spilled) -> bool:
    """Whether this is the first time.

    The mark is a row of the rollup itself, with the file's id in place of a token's and a count of 0. It
    commits with the uses, and its unique key keeps a file from counting twice whoever dies at which moment,
    which no renaming of files can.
    """
    at = spilled.spilled_at
    mark = Key(spilled.id, at.astimezone(UTC).date(), "usage spool", "", "", "taken in")
    _, is_first = TokenUsage.objects.get_or_create(
        **mark._asdict(), defaults={"first_seen_at": at, "last_seen_at": at}
    )
    return is_first


def prune(before: date, *, batch_size: int = 1_000) -> Iterator[int]:
    """Delete rollup rows of days before `before`, a transaction per batch, yielding the size of each."""
    old = TokenUsage.objects.filter(day__lt=before).order_by("day", "pk").values("pk")
    while deleted := TokenUsage.objects.filter(pk__in=old[:batch_size]).delete()[0]:
        yield deleted


def _write_rollup(rollup: Mapping[Key, Tally]) -> None:
    """Add to the rows of these keys, in key order so that two flushers cannot deadlock."""
    table = TokenUsage._meta.db_table
    columns = ("id", *Key._fields, "count", "first_seen_at", "last_seen_at")
    for batch in _batches(sorted(rollup.items(), key=lambda item: item[0])):
        rows = [(uuid7(), *key, tally.count, tally.first, tally.last) for key, tally in batch]
        _execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES %s "  # noqa: S608 (names of our own)
            f"ON CONFLICT ({', '.join(Key._fields)}) DO UPDATE SET "
            f"count = {table}.count + excluded.count, "
            f"first_seen_at = CASE WHEN {table}.first_seen_at > excluded.first_seen_at "
            f"THEN excluded.first_seen_at ELSE {table}.first_seen_at END, "
            f"last_seen_at = CASE WHEN {table}.last_seen_at < excluded.last_seen_at "
            f"THEN excluded.last_seen_at ELSE {table}.last_seen_at END",
            [TokenUsage._meta.get_field(column) for column in columns],
            rows,
        )


def _write_uses(uses: Mapping[TokenRef, Tally]) -> None:
    """Raise the counters of the tokens, in id order, in one statement per kind."""
    for model in (APIToken, PersonalAccessToken):
        mine = sorted((ref[1], tally) for ref, tally in uses.items() if ref[0] is model)
        table = model._meta.db_table
        for batch in _batches(mine):
            _execute(
                f"UPDATE {table} SET usage_count = usage_count + used.column2, last_used_at = CASE "  # noqa: S608
                "WHEN last_used_at IS NULL OR last_used_at < used.column3 THEN used.column3 "
                f"ELSE last_used_at END FROM (VALUES %s) AS used WHERE {table}.id = used.column1",
                [model._meta.get_field(name) for name in ("id", "usage_count", "last_used_at")],
                [(token_id, tally.count, tally.last) for token_id, tally in batch],
            )


def _write_losses(lost: Iterable[tuple[UUID, UUID]]) -> None:
    for token_id, organization_id in sorted(lost):
        PersonalAccessToken.objects.filter(pk=token_id).forget(organization_id)


def _batches(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[at : at + ROWS_PER_STATEMENT] for at in range(0, len(rows), ROWS_PER_STATEMENT))


def _execute(sql: str, fields: Sequence[Any], rows: Sequence[Sequence[Any]]) -> None:
    """Run `sql` with its one `%s` replaced by the rows, each value adapted as its field would be saved."""
    values = [
        model_field.get_db_prep_save(value, connection)
        for row in rows
        for model_field, value in zip(fields, row, strict=True)
    ]
    marks = ", ".join([f"({', '.join(['%s'] * len(fields))})"] * len(rows))
    with connection.cursor() as cursor:
        cursor.execute(sql % marks, values)


class _Flusher(threading.Thread):
    """Writes once a second for as long as the process's main thread lives, and once after it.

    Not a daemon: the interpreter waits for it, so SIGTERM loses nothing.
    """

    _current: _Flusher | None = None
    _starting = threading.Lock()

    def __init__(self) -> None:
        super().__init__(name="usage-flusher", daemon=False)
        self.wanted = threading.Event()
        self.progress = threading.Condition()
        self.begun = self.done = 0

    @classmethod
    def running(cls) -> _Flusher:
        if cls._current is None or not cls._current.is_alive():
            with cls._starting:
                if cls._current is None or not cls._current.is_alive():
                    cls._current = cls()
                    cls._current.start()
        return cls._current

    def flush_now(self) -> None:
        """Ask for a flush and wait for it, briefly: the first use of a token is seen at once."""
        with self.progress:
            mine = self.begun + 1
            self.wanted.set()
            self.progress.wait_for(lambda: self.done >= mine, FIRST_USE_WAIT_SECONDS)

    def run(self) -> None:
        main = threading.main_thread()
        threading.Thread(target=self._wake_after, args=[main], daemon=True).start()
        self._take_in()
        while main.is_alive():
            self.wanted.wait(FLUSH_SECONDS)
            self.wanted.clear()
            self._flush()
        self._flush()
        self._spill()

    def _take_in(self) -> None:
        """What processes before this one left behind."""
        for path in spool.waiting():
            try:
                if take_in(spool.read(path)):
                    log.info("usage taken in from %s", path.name)
            except (Error, spool.Unreadable) as error:
                log.warning("usage in %s not taken in: %s", path.name, type(error).__name__)
        connection.close()

    def _spill(self) -> None:
        try:
            path = spill()
        except OSError as error:
            log.error("usage lost: %s is not writable: %s", settings.USAGE_SPOOL_DIR, error.strerror)  # noqa: TRY400
        else:
            if path is not None:
                log.warning("usage could not be written and waits in %s", path)

    def _wake_after(self, main: threading.Thread) -> None:
        main.join()
        self.wanted.set()

    def _flush(self) -> None:
        with self.progress:
            self.begun += 1
        try:
            flush()
        except Error as error:
            log.warning("usage not written, will try again: %s", type(error).__name__)
        finally:
            connection.close()
        with self.progress:
            self.done = self.begun
            self.progress.notify_all()
