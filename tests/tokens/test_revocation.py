"""Revoking is at once, for good, and told once; deleting leaves a tombstone."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.actions import Action
from audit.models import Event
from organizations import services as organizations
from organizations.access import Principal, Unauthorized
from organizations.models import Organization
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tests.tokens.test_escalation import DELETE_API, DELETE_PERSONAL, UPDATE_API, UPDATE_PERSONAL
from tests.tokens.test_seed_documents import CREATE_API, LIST_API, LIST_PERSONAL
from tokens import services
from tokens.authentication import BadCredential, identify, person
from tokens.models import APIToken, PersonalAccessToken, Token
from tokens.services import TokenRevoked

KINDS = {"API token": (UPDATE_API, DELETE_API), "personal token": (UPDATE_PERSONAL, DELETE_PERSONAL)}
VIEWER = "{ viewer { id } }"


def make(kind: str, world: World, *scopes: str, **fields: Any) -> Token:
    if kind == "API token":
        return make_api_token(world.acme, *scopes, **fields)
    return make_personal_token(world.owner, *scopes, **fields)


def row(token: Token) -> dict[str, Any]:
    """What is stored of it."""
    found: dict[str, Any] = type(token).objects.filter(pk=token.pk).values().get()
    return found


def events_about(token: Token) -> list[str]:
    return list(Event.objects.filter(target_id=str(token.pk)).values_list("action", flat=True))


def happened(token: Token, *what: str) -> list[str]:
    noun = "api_token" if isinstance(token, APIToken) else "personal_access_token"
    return [f"{noun}.{one}" for one in what]


# --- once and for good (31) ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_revoked_token_is_refused_at_the_next_request(world: World, query: Query, kind: str) -> None:
    token = make(kind, world)
    assert query(VIEWER, token=token.token).status == 200

    revoked = {"id": str(token.pk), "input": {"isActive": False, "revokedReason": "leaked"}}
    assert query(KINDS[kind][0], revoked, user=world.owner).code is None

    refused = query(VIEWER, token=token.token)
    assert (refused.status, refused.code) == (401, "TOKEN_REVOKED")
    stored = row(token)
    assert (stored["is_active"], stored["revoked_by"], stored["revoked_reason"]) == (
        *(False, str(world.owner.pk)),
        "leaked",
    )
    assert events_about(token) == happened(token, "created", "revoked")


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_revocation_succeeds_and_changes_nothing(world: World, query: Query, kind: str) -> None:
    token = make(kind, world)
    services.revoke(SETUP, token, reason="first")
    before, events = row(token), events_about(token)

    with time_machine.travel(timezone.now() + timedelta(days=1)):
        again = {"id": str(token.pk), "input": {"isActive": False, "revokedReason": "second"}}
        answer = query(KINDS[kind][0], again, token=make_personal_token(world.owner).token)

    assert answer.code is None
    assert row(token) == before
    assert before["revoked_reason"] == "first"
    assert events_about(token) == events


@pytest.mark.parametrize("kind", KINDS)
def test_no_revoked_token_is_activated_again(world: World, query: Query, kind: str) -> None:
    token = make(kind, world)
    services.revoke(SETUP, token, reason="leaked")
    before, events = row(token), Event.objects.count()

    for given in ({"isActive": True}, {"isActive": True, "name": "renamed"}):
        variables = {"id": str(token.pk), "input": given}
        answer = query(KINDS[kind][0], variables, token=make_personal_token(world.owner).token)

        assert (answer.status, answer.code) == (200, "TOKEN_REVOKED")
        assert answer.error["message"].startswith("The token has been revoked, for good.")
    assert row(token) == before
    assert Event.objects.exclude(target_kind=PersonalAccessToken.__name__).count() <= events


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": "renamed"}, None),
        ({"description": "leaked in a pastebin"}, None),
        ({"tags": ["leaked"]}, None),
        ({"scopes": ["read"]}, "TOKEN_REVOKED"),
        ({"appendScopes": ["read"]}, "TOKEN_REVOKED"),
        ({"clearScopes": True}, "TOKEN_REVOKED"),
        ({"expiresAt": "2050-01-01T00:00:00Z"}, "TOKEN_REVOKED"),
        ({"clearExpiresAt": True}, "TOKEN_REVOKED"),
    ],
)
def test_a_revoked_token_can_be_described_and_gets_no_rights(
    world: World, query: Query, kind: str, given: dict[str, Any], expected: str | None
) -> None:
    token = make(kind, world, "read:tasks", expires_at=timezone.now() + timedelta(days=1))
    services.revoke(SETUP, token, reason="leaked")

    answer = query(KINDS[kind][0], {"id": str(token.pk), "input": given}, user=world.owner)

    assert answer.code == expected
    assert query(VIEWER, token=token.token).code == "TOKEN_REVOKED"


@pytest.mark.parametrize("kind", KINDS)
def test_active_is_active_and_an_expired_token_is_not_revoked(world: World, query: Query, kind: str) -> None:
    token = make(kind, world)
    variables = {"id": str(token.pk), "input": {"isActive": True}}
    assert query(KINDS[kind][0], variables, user=world.owner).code is None
    assert events_about(token) == happened(token, "created")

    type(token).objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(days=1))
    assert query(VIEWER, token=token.token).code == "TOKEN_EXPIRED"
    prolonged = {"id": str(token.pk), "input": {"expiresAt": "2050-01-01T00:00:00Z"}}
    assert query(KINDS[kind][0], prolonged, user=world.owner).code is None
    assert query(VIEWER, token=token.token).status == 200


@pytest.mark.parametrize(
    "reason",
    ["x" * 501, "line\rbreak", "escape \x1b[31m", "reversed \u202e"],
)
def test_a_reason_that_cannot_be_shown_is_refused_and_revokes_nothing(
    world: World, query: Query, reason: str
) -> None:
    token = make_api_token(world.acme)
    given = {"isActive": False, "revokedReason": reason}

    answer = query(UPDATE_API, {"id": str(token.pk), "input": given}, user=world.owner)

    assert answer.code == "VALIDATION_ERROR"
    assert list(answer.error["extensions"]["fields"]) == ["revokedReason"]
    assert row(token)["revoked_at"] is None


@pytest.mark.parametrize("given", [{}, {"isActive": True}, {"name": "x"}])
def test_a_reason_without_a_revocation_is_refused(world: World, query: Query, given: dict[str, Any]) -> None:
    token = make_api_token(world.acme)
    variables = {"id": str(token.pk), "input": {"revokedReason": "leaked", **given}}

    assert query(UPDATE_API, variables, user=world.owner).code == "VALIDATION_ERROR"
    assert row(token)["revoked_reason"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_database_itself_knows_no_half_revoked_token(world: World, kind: str) -> None:
    token = make(kind, world)
    stored = type(token).objects.filter(pk=token.pk)
    now = timezone.now()

    for impossible in (
        {"is_active": False},
        {"revoked_at": now},
        {"deleted_at": now},
        {"deleted_at": now, "revoked_at": now},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            stored.update(**impossible)


# --- by itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_revokes_itself(world: World, query: Query, kind: str) -> None:
    token = make(kind, world, "admin:tokens")
    variables = {"id": str(token.pk), "input": {"isActive": False, "revokedReason": "done"}}

    assert query(KINDS[kind][0], variables, token=token.token).code is None

    assert query(VIEWER, token=token.token).code == "TOKEN_REVOKED"
    assert events_about(token) == happened(token, "created", "revoked")


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_deletes_itself(world: World, query: Query, kind: str) -> None:
    token = make(kind, world, "admin:tokens")

    assert query(KINDS[kind][1], {"id": str(token.pk)}, token=token.token).code is None

    assert query(VIEWER, token=token.token).code == "TOKEN_REVOKED"
    assert events_about(token) == happened(token, "created", "deleted")


def test_what_a_document_asks_after_its_token_revoked_itself_is_refused(world: World, query: Query) -> None:
    token = make_personal_token(world.owner, "admin")

    answer = query(
        """mutation($id: ID!) {
            end: updatePersonalAccessToken(id: $id, input: {isActive: false}) { personalAccessToken { id } }
            late: createAPIToken(input: {name: "late"}) { apiToken { id } }
        }""",
        {"id": str(token.pk)},
        token=token.token,
    )

    assert answer.error["path"] == ["late"]
    assert answer.error["extensions"]["code"] == "TOKEN_REVOKED"
    assert answer.error["message"] == "The token has been revoked. Issue a new one."
    assert not APIToken.objects.exists()
    assert row(token)["revoked_at"] is not None


# --- a write whose token died meanwhile (30) -------------------------------------------------------


def ways_to_die() -> dict[str, tuple[Callable[[Token], Any], str]]:
    def expire(token: Token) -> None:
        type(token).objects.filter(pk=token.pk).update(expires_at=timezone.now())

    return {
        "revoked": (lambda token: services.revoke(SETUP, token, reason="leaked"), "TOKEN_REVOKED"),
        "deleted": (lambda token: services.delete_token(SETUP, token), "TOKEN_REVOKED"),
        "expired": (expire, "TOKEN_EXPIRED"),
    }


def writes(principal: Principal, world: World, target: APIToken) -> dict[str, Callable[[], Any]]:
    """One call of each kind of write that a token can ask for."""
    acme = world.acme.pk
    return {
        "create": lambda: services.create_api_token(principal, organization_id=acme, name="late"),
        "update": lambda: services.update_token(principal, target, {"name": "late"}),
        "revoke": lambda: services.revoke(principal, target, reason="late"),
        "delete": lambda: services.delete_token(principal, target),
        "organization": lambda: organizations.update_organization(
            principal, world.acme, {"description": "late"}
        ),
        "group": lambda: organizations.create_group(principal, organization_id=acme, name="late"),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ways_to_die())
def test_a_write_by_a_token_that_died_meanwhile_is_refused(world: World, kind: str, how: str) -> None:
    token, target = make(kind, world, "admin"), make_api_token(world.acme)
    principal = identify(token.token, timezone.now())
    end, code = ways_to_die()[how]
    end(token)
    before, groups, events = row(target), world.acme.groups.count(), Event.objects.count()

    for name, write in writes(principal, world, target).items():
        with pytest.raises(BadCredential) as refused:
            write()
        assert refused.value.code == code, name

    assert row(target) == before
    assert Organization.objects.get(pk=world.acme.pk).description is None
    assert world.acme.groups.count() == groups
    assert Event.objects.count() == events


def test_a_sessions_write_needs_no_token_alive(world: World) -> None:
    target = make_api_token(world.acme)

    for write in writes(person(world.owner), world, target).values():
        write()


# --- several at once, for real ----------------------------------------------------------------------

on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """As many threads as the pool of connections has for them beside ours."""
    with ThreadPoolExecutor(3) as threads:
        yield threads


def on_a_connection_of_its_own(call: Callable[[], Any]) -> Callable[[], Any]:
    def called() -> Any:
        try:
            return call()
        finally:
            connection.close()

    return called


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_two_who_revoke_what_they_both_saw_alive_leave_one_event(world: World, kind: str) -> None:
    token = make(kind, world)
    seen = [type(token).objects.get(pk=token.pk) for _ in range(2)]

    for number, one in enumerate(seen):
        assert services.revoke(SETUP, one, reason=f"number {number}").revoked_reason == "number 0"

    assert events_about(token) == happened(token, "created", "revoked")


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_three_who_revoke_at_the_same_moment_leave_one_event(
    world: World, pool: ThreadPoolExecutor, kind: str
) -> None:
    token, ready = make(kind, world), threading.Barrier(3)

    def revoke(number: int) -> str | None:
        mine = type(token).objects.get(pk=token.pk)
        ready.wait(20)
        return services.revoke(SETUP, mine, reason=f"number {number}").revoked_reason

    calls = [on_a_connection_of_its_own(lambda number=number: revoke(number)) for number in range(3)]
    reasons = {future.result(20) for future in [pool.submit(call) for call in calls]}

    assert reasons == {row(token)["revoked_reason"]}
    assert events_about(token) == happened(token, "created", "revoked")


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_whoever_revokes_a_token_waits_for_the_write_it_is_in_the_middle_of(
    world: World, pool: ThreadPoolExecutor, kind: str
) -> None:
    """The write began before the revocation, so it commits before it, and the trail says so."""
    token, target = make(kind, world, "admin"), make_api_token(world.acme)
    principal = identify(token.token, timezone.now())
    is_writing, may_commit = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            services.update_token(principal, target, {"name": "in time"})
            is_writing.set()
            assert may_commit.wait(20)

    writer = pool.submit(on_a_connection_of_its_own(write))
    assert is_writing.wait(20)
    revoker = pool.submit(on_a_connection_of_its_own(lambda: services.revoke(SETUP, token, reason="leaked")))
    while not somebody_waits_for_a_lock():
        assert not revoker.done()
    assert row(token)["revoked_at"] is None
    may_commit.set()
    writer.result(20)
    revoker.result(20)

    assert row(target)["name"] == "in time"
    assert list(Event.objects.order_by("id").values_list("action", flat=True))[-2:] == [
        Action.API_TOKEN_UPDATED,
        *happened(token, "revoked"),
    ]


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_comes_while_its_token_is_being_revoked_waits_and_is_refused(
    world: World, pool: ThreadPoolExecutor, kind: str
) -> None:
    token, target = make(kind, world, "admin"), make_api_token(world.acme)
    principal = identify(token.token, timezone.now())
    with transaction.atomic():
        services.revoke(SETUP, token, reason="leaked")
        late = pool.submit(
            on_a_connection_of_its_own(lambda: services.update_token(principal, target, {"name": "late"}))
        )
        while not somebody_waits_for_a_lock():
            assert not late.done()

    with pytest.raises(BadCredential, match="has been revoked"):
        late.result(20)
    assert row(target)["name"] == "machine"
    assert events_about(target) == happened(target, "created")


# --- deleting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_token_is_gone_from_the_api_and_its_row_is_kept(
    world: World, query: Query, kind: str
) -> None:
    token = make(kind, world, "read", description="kept")
    asking = make_personal_token(world.owner, name="asking").token
    update, delete = KINDS[kind]
    single = "apiToken" if kind == "API token" else "personalAccessToken"

    answer = query(delete, {"id": str(token.pk)}, token=asking)
    assert list(answer.data.values()) == [{"deletedID": str(token.pk)}]

    listed = query(LIST_API if kind == "API token" else LIST_PERSONAL, token=asking)
    assert str(token.pk) not in str(listed.body)
    for document, variables in (
        (f"query($id: ID!) {{ {single}(id: $id) {{ id }} }}", {}),
        (update, {"input": {"name": "renamed"}}),
        (update, {"input": {"isActive": True}}),
        (delete, {}),
    ):
        again = query(document, {"id": str(token.pk), **variables}, token=asking)
        assert (again.code, again.error["message"]) == ("NOT_FOUND", f"{single.lower()} not found")
    stored = row(token)
    assert (stored["name"], stored["description"], stored["scopes"]) == (token.name, "kept", ["read"])
    assert stored["deleted_at"] is not None
    assert (stored["revoked_by"], stored["revoked_reason"]) == (str(world.owner.pk), "deleted")
    assert events_about(token) == happened(token, "created", "deleted")


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_of_a_deleted_token_is_told_to_be_revoked(world: World, query: Query, kind: str) -> None:
    token = make(kind, world)
    services.delete_token(SETUP, token)

    answer = query(VIEWER, token=token.token)

    assert (answer.status, answer.code) == (401, "TOKEN_REVOKED")


@pytest.mark.parametrize("kind", KINDS)
def test_deleting_a_revoked_token_keeps_why_it_was_revoked(world: World, kind: str) -> None:
    token = make(kind, world)
    services.revoke(SETUP, token, reason="leaked")

    services.delete_token(person(world.owner), token)

    stored = row(token)
    assert (stored["revoked_by"], stored["revoked_reason"]) == (SETUP.id, "leaked")
    assert events_about(token) == happened(token, "created", "revoked", "deleted")


@pytest.mark.parametrize("kind", KINDS)
def test_who_deletes_second_finds_nothing(world: World, kind: str) -> None:
    token = make(kind, world)
    seen = type(token).objects.get(pk=token.pk)
    services.delete_token(SETUP, token)

    with pytest.raises(type(token).DoesNotExist):
        services.delete_token(SETUP, seen)
    with pytest.raises(type(token).DoesNotExist):
        services.update_token(SETUP, seen, {"name": "renamed"})

    assert events_about(token) == happened(token, "created", "deleted")


# --- many at once ----------------------------------------------------------------------------------


def test_many_are_revoked_in_batches_each_token_once_with_its_event(world: World) -> None:
    tokens = [make_api_token(world.acme, name=f"n{number}") for number in range(7)]
    services.revoke(SETUP, tokens[3], reason="before")

    batches = list(services.revoke_many(SETUP, APIToken.objects.all(), reason="clean-up", batch_size=3))

    assert [len(batch) for batch in batches] == [3, 3]
    assert [token.pk for batch in batches for token in batch] == [
        one.pk for one in tokens if one is not tokens[3]
    ]
    assert row(tokens[3])["revoked_reason"] == "before"
    for token in tokens:
        assert events_about(token) == happened(token, "created", "revoked")


def test_revoking_many_again_changes_nothing(world: World) -> None:
    tokens = [make_personal_token(world.member) for _ in range(3)]
    list(services.revoke_many(SETUP, PersonalAccessToken.objects.all(), reason="first"))
    before, events = [row(token) for token in tokens], Event.objects.count()

    assert list(services.revoke_many(SETUP, PersonalAccessToken.objects.all(), reason="second")) == []

    assert [row(token) for token in tokens] == before
    assert Event.objects.count() == events


def test_what_is_revoked_while_many_are_is_passed_over(world: World) -> None:
    tokens = [make_api_token(world.acme) for _ in range(4)]
    batches = services.revoke_many(SETUP, APIToken.objects.all(), reason="clean-up", batch_size=2)
    next(batches)
    services.revoke(SETUP, tokens[2], reason="somebody else")

    assert [[token.pk for token in batch] for batch in batches] == [[tokens[3].pk]]
    assert events_about(tokens[2]) == happened(tokens[2], "created", "revoked")


def test_a_batch_is_found_by_one_select_however_many_there_are(world: World) -> None:
    for _ in range(6):
        make_api_token(world.acme)

    with CaptureQueriesContext(connection) as queries:
        for _ in services.revoke_many(SETUP, APIToken.objects.all(), reason="x", batch_size=100):
            pass

    found = [one["sql"] for one in queries if one["sql"].startswith("SELECT") and "LIMIT 100" in one["sql"]]
    assert len(found) == 2  # the batch, and that there is no other


def test_many_with_a_reason_that_cannot_be_shown_are_not_touched(world: World) -> None:
    token = make_api_token(world.acme)

    with pytest.raises(ValidationError):
        list(services.revoke_many(SETUP, APIToken.objects.all(), reason="\x1b[2J"))

    assert row(token)["revoked_at"] is None


def test_many_that_one_may_not_revoke_are_not_touched(world: World) -> None:
    token = make_api_token(world.acme)

    with pytest.raises(Unauthorized):
        list(services.revoke_many(person(world.member), APIToken.objects.all(), reason="x"))
    with pytest.raises(Organization.DoesNotExist):
        list(services.revoke_many(person(world.outsider), APIToken.objects.all(), reason="x"))

    assert row(token)["revoked_at"] is None


def test_no_token_is_born_revoked(world: World, query: Query) -> None:
    given = {"name": "x", "isActive": False}
    answer = query(CREATE_API, {"input": given}, token=make_personal_token(world.owner).token)

    assert answer.code == "VALIDATION_ERROR"
    assert list(answer.error["extensions"]["fields"]) == ["isActive"]
    assert not APIToken.objects.exists()


def test_a_token_revoked_error_says_what_to_do() -> None:
    assert TokenRevoked().messages == ["The token has been revoked, for good. Issue a new one."]
