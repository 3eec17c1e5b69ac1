"""Every use is counted once, refusals beside it, by a flush that loses nothing when it fails."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from audit.middleware import client_address
from audit.models import Event
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tests.tokens.test_seed_documents import CREATE_API
from tokens import services, usage
from tokens.models import APIToken, TokenUsage
from tokens.secret import TokenKind, mint
from tokens.usage import Gathered, Use

NOON = datetime(2031, 5, 6, 12, 0, tzinfo=UTC)
HERE = "192.0.2.7"
ME = "{ me { id } }"
COUNTED = """query($id: ID!) { apiToken(id: $id) {
    usageCount lastUsedAt recentIPAddresses { address firstSeenAt lastSeenAt count }
} }"""


def use(token: Any, *operations: str, at: datetime = NOON, address: str = HERE, outcome: str = "ok") -> None:
    uses = [Use(name, "read:tokens", outcome) for name in operations or ("apiTokens",)]
    usage.accepted(token, uses, address, at)


def counted(token: Any) -> tuple[int, datetime | None]:
    token.refresh_from_db()
    return token.usage_count, token.last_used_at


def rollup(token: Any) -> Counter[tuple[str, str, str]]:
    """(operation, scope, outcome) -> how often."""
    found: Counter[tuple[str, str, str]] = Counter()
    for row in TokenUsage.objects.filter(token_id=token.pk):
        found[row.operation, row.scope, row.outcome] += row.count
    return found


# --- what is counted -------------------------------------------------------------------------------


def test_nothing_is_written_before_the_flush_and_everything_by_it(world: World, query: Query) -> None:
    token = make_personal_token(world.owner)
    for _ in range(3):
        query(ME, token=token.token)
    assert counted(token) == (0, None)

    assert usage.flush() == 1

    assert counted(token)[0] == 3
    assert rollup(token) == {("me", "", "ok"): 3}
    assert usage.flush() == 0
    assert counted(token)[0] == 3


def test_a_request_is_one_use_and_each_root_field_a_row_with_its_scope(world: World, query: Query) -> None:
    token = make_personal_token(world.auditor)

    query(
        "{ me { id } a: apiTokens { totalCount } b: apiTokens { totalCount } events { totalCount } }",
        token=token.token,
    )
    usage.flush()

    assert counted(token)[0] == 1
    assert rollup(token) == {
        ("me", "", "ok"): 1,
        ("apiTokens", "read:tokens", "ok"): 2,
        ("events", "read:events", "ok"): 1,
    }


def test_what_a_root_field_answered_is_the_outcome(world: World, query: Query) -> None:
    token = make_personal_token(world.auditor, "read", "admin:tokens")

    query("{ apiTokens { totalCount } }", token=token.token)
    query('{ apiToken(id: "x") { id } }', token=token.token)
    query(CREATE_API, {"input": {"name": "x"}}, token=token.token)
    query(
        'mutation { createPersonalAccessToken(input: {name: ""}) { personalAccessToken { id } } }',
        token=token.token,
    )
    query("{ nonsense }", token=token.token)
    query(ME, token=token.token, **{"x-organization-id": "elsewhere"})
    usage.flush()

    assert counted(token)[0] == 6
    assert rollup(token) == {
        ("apiTokens", "read:tokens", "ok"): 1,
        ("apiToken", "read:tokens", "NOT_FOUND"): 1,
        ("createAPIToken", "admin:tokens", "UNAUTHORIZED"): 1,
        ("createPersonalAccessToken", "admin:tokens", "VALIDATION_ERROR"): 1,
        ("/query", "", "400"): 1,
        ("nowhere", "", "404"): 1,
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/scopes", ("/v1/scopes", "", "200")),
        ("/query?x=1", ("/query", "", "405")),
        ("/no/such/page", ("nowhere", "", "404")),
        ("/%00%ff", ("nowhere", "", "404")),
        ("/admin/tokens/apitoken/x/change/", ("/admin/tokens/apitoken/<path:object_id>/change/", "", "302")),
    ],
)
def test_beside_graphql_the_page_is_counted_as_the_urls_spell_it(
    world: World, client: Client, path: str, expected: tuple[str, str, str]
) -> None:
    """A path is the client's own text: a NUL in it would keep PostgreSQL from writing any use again."""
    token = make_personal_token(world.owner)

    client.get(path, headers={"authorization": f"Bearer {token.token}"})
    usage.flush()

    assert rollup(token) == {expected: 1}


def test_a_session_is_no_use_of_a_token(world: World, query: Query) -> None:
    make_personal_token(world.owner)

    query(ME, user=world.owner)

    assert usage.flush() == 0


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda token: services.revoke(SETUP, token, reason="x"), "TOKEN_REVOKED"),
        (lambda token: services.delete_token(SETUP, token), "TOKEN_REVOKED"),
        (lambda token: APIToken.objects.filter(pk=token.pk).update(expires_at=NOON), "TOKEN_EXPIRED"),
        (lambda token: type(token.owner).objects.update(deleted_at=NOON), "OWNER_INACTIVE"),
    ],
)
def test_a_refused_request_is_in_the_rollup_and_not_among_the_uses(
    world: World, query: Query, end: Any, code: str
) -> None:
    token = make_api_token(world.acme, "read")
    query("{ apiTokens { totalCount } }", token=token.token)
    usage.flush()
    before = counted(token)
    end(token)

    with time_machine.travel(NOON + timedelta(days=1)):
        for _ in range(2):
            assert query(ME, token=token.token).code == code
    usage.flush()

    assert counted(token) == before
    assert rollup(token) == {("apiTokens", "read:tokens", "ok"): 1, ("authenticate", "", code): 2}


def test_who_is_unknown_or_malformed_leaves_no_row(world: World, query: Query) -> None:
    for value in (mint(TokenKind.API), "tola_x", "x"):
        assert query(ME, token=value).status == 401

    assert usage.flush() == 0
    assert not TokenUsage.objects.exists()


# --- how it adds up --------------------------------------------------------------------------------


def test_the_rollup_has_a_row_per_token_day_operation_scope_address_and_outcome(world: World) -> None:
    token, other = make_api_token(world.acme), make_personal_token(world.owner)
    use(token)
    use(token, at=NOON + timedelta(hours=3))
    use(token, at=NOON + timedelta(days=1))
    use(token, "events")
    use(token, address="192.0.2.8")
    use(token, outcome="NOT_FOUND")
    use(other)

    assert usage.flush() == 6

    first = TokenUsage.objects.get(
        token_id=token.pk, day=NOON.date(), operation="apiTokens", address=HERE, outcome="ok"
    )
    assert (first.count, first.first_seen_at, first.last_seen_at) == (2, NOON, NOON + timedelta(hours=3))
    assert counted(token) == (6, NOON + timedelta(days=1))
    assert counted(other) == (1, NOON)


def test_the_day_is_utcs(world: World) -> None:
    late = datetime.fromisoformat("2031-05-06T23:30:00-05:00")
    use(make_api_token(world.acme), at=late)
    usage.flush()

    assert TokenUsage.objects.get().day.isoformat() == "2031-05-07"


def test_a_flush_adds_to_the_rows_there_are(world: World) -> None:
    token = make_api_token(world.acme)
    for times, moment in ((1, NOON), (2, NOON + timedelta(minutes=5)), (3, NOON - timedelta(minutes=5))):
        for _ in range(times):
            use(token, at=moment)
        usage.flush()

    row = TokenUsage.objects.get()
    assert row.count == 6
    assert row.first_seen_at == NOON - timedelta(minutes=5)
    assert row.last_seen_at == NOON + timedelta(minutes=5)
    assert counted(token) == (6, NOON + timedelta(minutes=5))


def test_the_buffers_of_two_processes_add_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [make_api_token(world.acme), make_personal_token(world.owner)]
    buffers = [Gathered(), Gathered()]
    for number, buffer in enumerate(buffers):
        monkeypatch.setattr(usage, "_gathered", buffer)
        for token in tokens:
            for _ in range(number + 2):
                use(token, at=NOON + timedelta(minutes=number))

    for buffer in reversed(buffers):
        monkeypatch.setattr(usage, "_gathered", buffer)
        assert usage.flush() == 2

    for token in tokens:
        assert counted(token) == (5, NOON + timedelta(minutes=1))
        assert rollup(token) == {("apiTokens", "read:tokens", "ok"): 5}


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer")
@pytest.mark.django_db(transaction=True)
def test_processes_that_flush_at_the_same_moment_neither_lose_nor_block_each_other(world: World) -> None:
    tokens = [make_api_token(world.acme) for _ in range(50)]
    ready, failures = threading.Barrier(3), []

    def process(order: int) -> None:
        mine = Gathered()
        for token in tokens[::order]:
            key = usage.Key(token.pk, NOON.date(), "apiTokens", "read:tokens", HERE, "ok")
            mine.add(mine.rollup, key, usage.Tally(1, NOON, NOON))
            mine.add(mine.uses, (APIToken, token.pk), usage.Tally(1, NOON, NOON))
        try:
            for _ in range(5):
                ready.wait(20)
                usage._write_rollup(mine.rollup)
                usage._write_uses(mine.uses)
        except Exception as failure:  # noqa: BLE001 (told below)
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=process, args=[order]) for order in (1, -1, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert {counted(token)[0] for token in tokens} == {15}
    assert set(TokenUsage.objects.values_list("count", flat=True)) == {15}


def test_more_rows_than_a_statement_takes_are_all_written(world: World) -> None:
    tokens = [make_api_token(world.acme) for _ in range(3)]
    for number in range(usage.ROWS_PER_STATEMENT + 1):
        use(tokens[number % 3], f"field{number}")

    assert usage.flush() == usage.ROWS_PER_STATEMENT + 1

    assert TokenUsage.objects.count() == usage.ROWS_PER_STATEMENT + 1
    assert sum(counted(token)[0] for token in tokens) == usage.ROWS_PER_STATEMENT + 1


def test_what_is_too_long_for_a_column_is_cut_and_counted(world: World) -> None:
    token = make_api_token(world.acme)
    usage.accepted(token, [Use("o" * 500, "s" * 500, "c" * 500)], "a" * 500, NOON)

    assert usage.flush() == 1

    row = TokenUsage.objects.get()
    assert [len(text) for text in (row.operation, row.scope, row.outcome, row.address)] == [80, 40, 32, 45]


# --- when the database does not answer ---------------------------------------------------------------


@contextmanager
def failing(error: Exception, on: str) -> Iterator[None]:
    """Every statement that begins so fails as it would without a database."""

    def refuse(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith(on):
            raise error
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse):
        yield


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
@pytest.mark.parametrize("on", ["SAVEPOINT", "INSERT", "UPDATE"])
def test_a_flush_that_fails_keeps_its_counts_and_writes_them_later(
    world: World, error: Exception, on: str
) -> None:
    token = make_api_token(world.acme)
    use(token)

    for _ in range(2):
        with failing(error, on), pytest.raises(type(error)):
            usage.flush()
        use(token, at=NOON + timedelta(minutes=1))
    assert counted(token) == (0, None)
    assert not TokenUsage.objects.exists()

    usage.flush()

    assert counted(token) == (3, NOON + timedelta(minutes=1))
    assert rollup(token) == {("apiTokens", "read:tokens", "ok"): 3}


def test_a_new_digest_too_waits_for_the_database(world: World) -> None:
    token = make_api_token(world.acme)
    usage.redigest(token, b"d" * 32, "new")

    with failing(OperationalError("gone"), "UPDATE"), pytest.raises(OperationalError):
        usage.flush()
    usage.flush()

    token.refresh_from_db()
    assert (bytes(token.digest), token.pepper_id) == (b"d" * 32, "new")


def test_the_buffer_is_bounded_and_what_did_not_fit_is_told(
    world: World, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.USAGE_BUFFER_KEYS = 3
    tokens = [make_api_token(world.acme) for _ in range(5)]
    for token in [*tokens, *tokens[:3]]:
        use(token)
    assert (len(usage._gathered.rollup), len(usage._gathered.uses)) == (3, 3)

    with caplog.at_level(logging.WARNING, "tokens.usage"):
        assert usage.flush() == 3

    assert [counted(token)[0] for token in tokens] == [2, 2, 2, 0, 0]
    assert caplog.messages == ["usage buffer full: 4 uses were not counted"]
    caplog.clear()
    use(tokens[4])
    usage.flush()
    assert counted(tokens[4])[0] == 1
    assert caplog.messages == []


def test_the_buffer_stays_bounded_while_the_database_is_away(world: World, settings: Any) -> None:
    settings.USAGE_BUFFER_KEYS = 10
    tokens = [make_api_token(world.acme) for _ in range(20)]

    for _ in range(3):
        for token in tokens:
            use(token)
        with failing(OperationalError("gone"), "INSERT"), pytest.raises(OperationalError):
            usage.flush()

    assert len(usage._gathered.rollup) == len(usage._gathered.uses) == 10
    usage.flush()
    assert sorted(counted(token)[0] for token in tokens) == [0] * 10 + [3] * 10


# --- what the API shows ----------------------------------------------------------------------------


def test_the_api_shows_how_often_when_last_and_from_where(world: World, query: Query) -> None:
    token = make_api_token(world.acme, "read")
    reader = make_personal_token(world.auditor).token
    unused = query(COUNTED, {"id": str(token.pk)}, token=reader).data["apiToken"]
    assert unused == {"usageCount": 0, "lastUsedAt": None, "recentIPAddresses": []}

    use(token, address="192.0.2.1")
    use(token, "events", address="192.0.2.1", at=NOON + timedelta(hours=1))
    use(token, address="2001:db8::1", at=NOON + timedelta(minutes=30))
    usage.refused(token, "TOKEN_REVOKED", "203.0.113.66", NOON + timedelta(hours=2))
    usage.flush()

    assert query(COUNTED, {"id": str(token.pk)}, token=reader).data["apiToken"] == {
        "usageCount": 3,
        "lastUsedAt": "2031-05-06T13:00:00Z",
        "recentIPAddresses": [
            {
                "address": "192.0.2.1",
                "firstSeenAt": "2031-05-06T12:00:00Z",
                "lastSeenAt": "2031-05-06T13:00:00Z",
                "count": 2,
            },
            {
                "address": "2001:db8::1",
                "firstSeenAt": "2031-05-06T12:30:00Z",
                "lastSeenAt": "2031-05-06T12:30:00Z",
                "count": 1,
            },
        ],
    }


def test_at_most_twenty_addresses_are_shown_the_newest_first(world: World, query: Query) -> None:
    token = make_api_token(world.acme)
    for number in range(25):
        use(token, address=f"192.0.2.{number}", at=NOON + timedelta(minutes=number))
    use(token, address="192.0.2.3", at=NOON + timedelta(days=3))
    usage.flush()

    answer = query(COUNTED, {"id": str(token.pk)}, token=make_personal_token(world.owner).token)

    shown = [one["address"] for one in answer.data["apiToken"]["recentIPAddresses"]]
    assert shown == ["192.0.2.3", *(f"192.0.2.{number}" for number in range(24, 5, -1))]


# --- the address of a client -------------------------------------------------------------------------

PEER, CLIENT, SPOOFED, INNER = "10.0.0.9", "198.51.100.7", "203.0.113.66", "10.0.0.5"
ADDRESSES = [
    # proxies of ours, X-Forwarded-For as it arrives, whom we believe it is
    (0, "", PEER),
    (0, SPOOFED, PEER),
    (0, f"{SPOOFED}, {CLIENT}", PEER),
    (1, "", PEER),
    (1, CLIENT, CLIENT),
    (1, f"{SPOOFED}, {CLIENT}", CLIENT),
    (1, f"{SPOOFED},{SPOOFED},{CLIENT}", CLIENT),
    (1, f"{SPOOFED}, unknown", PEER),
    (1, f"{SPOOFED}, ", PEER),
    (1, f"{CLIENT}:4711", PEER),
    (1, "not an address", PEER),
    (1, "999.1.1.1", PEER),
    (1, "127.1", PEER),
    (1, "2001:DB8::0:1", "2001:db8::1"),
    (1, "[2001:db8::1]", PEER),
    (1, f"::ffff:{CLIENT}", CLIENT),
    (1, f"fe80::1%{'x' * 900}", PEER),
    (1, "<script>", PEER),
    (1, f"{CLIENT}\x00", PEER),
    (1, "9" * 5_000, PEER),
    (2, f"{CLIENT}, {INNER}", CLIENT),
    (2, f"{SPOOFED}, {CLIENT}, {INNER}", CLIENT),
    (2, f"{SPOOFED}, unknown, {INNER}", PEER),
    (2, INNER, PEER),
    (2, "", PEER),
    (3, f"{CLIENT}, {INNER}", PEER),
]


@pytest.mark.parametrize(("proxies", "forwarded_for", "expected"), ADDRESSES)
def test_x_forwarded_for_is_believed_behind_so_many_proxies_of_ours(
    proxies: int, forwarded_for: str, expected: str
) -> None:
    assert client_address(PEER, forwarded_for, proxies) == expected


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "expected"),
    [(0, SPOOFED, "127.0.0.1"), (1, f"{SPOOFED}, {CLIENT}", CLIENT), (2, CLIENT, "127.0.0.1")],
)
def test_uses_and_events_are_from_the_address_that_is_believed(
    world: World, query: Query, settings: Any, proxies: int, forwarded_for: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    token = make_personal_token(world.owner)

    query(CREATE_API, {"input": {"name": "x"}}, token=token.token, **{"x-forwarded-for": forwarded_for})
    usage.flush()

    assert TokenUsage.objects.get(token_id=token.pk).address == expected
    assert Event.objects.latest("id").address == expected


def test_the_last_use_is_the_moment_of_the_request(world: World, query: Query) -> None:
    token = make_personal_token(world.owner)
    before = timezone.now()
    query(ME, token=token.token)
    after = timezone.now()

    usage.flush()

    last_used_at = counted(token)[1]
    assert last_used_at is not None
    assert before <= last_used_at <= after
