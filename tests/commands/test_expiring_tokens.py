"""expiretokens: lives are cut short to one moment, never made longer, whatever runs beside it."""

import io
import tracemalloc
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from audit.models import Event
from tests.commands.conftest import Run
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import rotation, services
from tokens.models import APIToken, Token

NOW = timezone.now()
AT = NOW + timedelta(days=7)
WEEK = ("--at", AT.isoformat())


def end(token: Token) -> object:
    return type(token).objects.get(pk=token.pk).expires_at


def test_those_that_would_live_on_end_then_and_each_is_told(run: Run, world: World, query: Query) -> None:
    endless, later = make_api_token(world.acme, "read"), make_personal_token(world.owner)
    services.update_token(SETUP, later, {"expires_at": AT + timedelta(days=1)})
    ran = run("expiretokens", "--all", *WEEK, "--yes", "--json")
    assert (ran.status, ran.ids) == (0, {str(endless.pk), str(later.pk)})
    assert (ran.json["matched"], ran.json["shortened"]) == (2, 2)
    assert end(endless) == end(later) == AT
    event = Event.objects.get(target_id=str(endless.pk), action="api_token.updated")
    assert event.changes == {"expires_at": [None, AT.isoformat()]}
    assert event.actor_label.startswith("manage.py expiretokens, run by ")
    assert APIToken.objects.get().updated_by == "expiretokens"
    assert query("{ viewer { id } }", token=endless.token).status == 200
    with time_machine.travel(AT, tick=False):
        assert query("{ viewer { id } }", token=endless.token).status == 401


def test_none_gets_longer_and_the_dead_are_left_alone(run: Run, world: World) -> None:
    sooner = make_api_token(world.acme, expires_at=AT - timedelta(days=1))
    just = make_api_token(world.acme, expires_at=AT)
    revoked, deleted = make_api_token(world.acme), make_api_token(world.acme)
    services.revoke(SETUP, revoked, reason="")
    services.delete_token(SETUP, deleted)
    rotated = make_api_token(world.acme)
    successor = rotation.rotate(SETUP, rotated, overlap_seconds=3600)
    before = {one.pk: end(one) for one in (sooner, just, revoked, deleted, rotated)}
    ran = run("expiretokens", "--all", *WEEK, "--json")
    assert ran.ids == {str(successor.pk)}
    assert {one.pk: end(one) for one in (sooner, just, revoked, deleted, rotated)} == before


def test_what_somebody_else_shortens_meanwhile_keeps_its_earlier_end(world: World) -> None:
    tokens = [make_api_token(world.acme) for _ in range(4)]
    batches = services.expire_many(SETUP, APIToken.objects.all(), AT, batch_size=2)
    next(batches)
    sooner = NOW + timedelta(hours=1)
    services.update_token(SETUP, tokens[2], {"expires_at": sooner})
    services.revoke(SETUP, tokens[3], reason="")
    assert sum(map(len, batches)) == 0
    assert [end(token) for token in tokens] == [AT, AT, sooner, None]


def test_a_second_run_changes_nothing(run: Run, world: World) -> None:
    make_api_token(world.acme)
    assert run("expiretokens", "--all", *WEEK).status == 0
    before = (list(APIToken.objects.values()), Event.objects.count())
    again = run("expiretokens", "--all", *WEEK)
    assert (again.status, again.out) == (1, "")
    assert "No living token that ends later" in again.err
    assert (list(APIToken.objects.values()), Event.objects.count()) == before


def test_whoever_stops_after_one_batch_finds_it_done_with_its_events(run: Run, world: World) -> None:
    for _ in range(5):
        make_api_token(world.acme)
    batches = services.expire_many(SETUP, APIToken.objects.all(), AT, batch_size=2)
    next(batches)
    batches.close()
    assert APIToken.objects.filter(expires_at=AT).count() == 2
    assert Event.objects.filter(action="api_token.updated").count() == 2
    assert len(run("expiretokens", "--all", *WEEK, "--yes", "--json").ids) == 3


def test_a_dry_run_writes_nothing(run: Run, world: World) -> None:
    token = make_api_token(world.acme)
    before = Event.objects.count()
    ran = run("expiretokens", "--all", "--in", "7d", "--dry-run", "--json")
    assert (ran.status, ran.ids) == (0, {str(token.pk)})
    assert "Dry run: 1 token would be shortened. Nothing was changed." in ran.err
    assert (end(token), Event.objects.count()) == (None, before)


def test_a_token_that_is_not_valid_before_that_moment_never_will_be(run: Run, world: World) -> None:
    token = make_api_token(world.acme, not_before=AT + timedelta(days=1))
    assert run("expiretokens", "--all", *WEEK).status == 0
    assert end(token) == AT


MISTAKES = [
    ("no condition", ["--in", "7d"], "at least one condition, or --all"),
    ("no time", ["--all"], "--at"),
    ("two times", ["--all", "--in", "7d", *WEEK], "not allowed with"),
    ("a time that is past", ["--all", "--at", "2020-01-01"], "Give a time in the future"),
    ("a time that is none", ["--all", "--in", "0d"], "Write a number and h, d or w"),
    ("empty batches", ["--all", "--in", "7d", "--batch-size", "0"], "1 or more"),
    ("two at once, unasked", ["--all", "--in", "7d"], "--yes"),
]


@pytest.mark.parametrize(
    ("options", "expected"), [case[1:] for case in MISTAKES], ids=[c[0] for c in MISTAKES]
)
def test_bad_usage_is_status_2_and_changes_nothing(
    run: Run, world: World, options: list[str], expected: str
) -> None:
    make_api_token(world.acme), make_api_token(world.acme)
    ran = run("expiretokens", *options)
    assert (ran.status, ran.out) == (2, "")
    assert expected in ran.err
    assert not APIToken.objects.filter(expires_at__isnull=False).exists()


class Nowhere(io.StringIO):
    """Keeps nothing of what is written."""

    def write(self, text: str) -> int:
        return len(text)


MANY = 5_000


def test_many_are_walked_in_the_memory_of_a_few(world: World) -> None:
    made = [
        APIToken(owner=world.acme, name="many", digest=number.to_bytes(32), pepper_id="1", hint="tola_many")
        for number in range(MANY)
    ]
    APIToken.objects.bulk_create(made, batch_size=2_000)
    made.clear()
    tracemalloc.start()
    try:
        call_command("expiretokens", "--all", *WEEK, "--yes", "--json", stdout=Nowhere(), stderr=Nowhere())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert APIToken.objects.filter(expires_at=AT).count() == MANY
    assert Event.objects.filter(action="api_token.updated").count() == MANY
    assert peak < 3_000_000  # bytes; all of them at once would take 10,000,000
