"""Two who rotate at the same moment, or rotate and revoke, on PostgreSQL: one successor at most."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit.models import Event
from organizations import services as organizations
from organizations.models import OrgMembership
from tests.conftest import World
from tests.factories import SETUP, join, make_api_token, make_personal_token
from tests.organizations.people import holder_of, outcome
from tests.races import PATIENCE_SECONDS, together
from tokens import services
from tokens.authentication import BadCredential, person
from tokens.models import APIToken, State, Token
from tokens.rotation import rotate

pytestmark = [
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer"),
    pytest.mark.django_db(transaction=True),
]
ROUNDS = 5


def rotating(world: World, token: Token, **how: Any) -> Callable[[], Any]:
    principal = person(world.owner)
    return lambda: rotate(principal, token, **how)


def revoking(world: World, token: Token) -> Callable[[], Any]:
    principal = person(world.owner)
    return lambda: services.revoke(principal, token, reason="at once")


def rotations(token: Token) -> int:
    return Event.objects.filter(action="api_token.rotated", target_id=str(token.pk)).count()


def test_of_two_rotations_at_once_one_makes_the_successor(world: World) -> None:
    for _ in range(ROUNDS):
        token = make_api_token(world.acme, "read")

        came = together(rotating(world, token), rotating(world, token, idempotency_key="other"))

        assert came == ["invalid", "ok"]  # CONFLICT
        assert (APIToken.objects.filter(rotated_from=token).count(), rotations(token)) == (1, 1)


def test_two_rotations_at_once_with_one_key_are_one(world: World) -> None:
    for _ in range(ROUNDS):
        token = make_api_token(world.acme, "read")
        made: list[Token] = []
        rotates = rotating(world, token, idempotency_key="deploy")

        def act(made: list[Token] = made, rotates: Callable[[], Any] = rotates) -> None:
            made.append(rotates())

        assert together(act, act) == ["ok", "ok"]
        assert len({one.pk for one in made}) == 1
        assert len({one.token for one in made}) == 2  # the value for one of them, the mask for the other
        assert rotations(token) == 1


def test_rotated_and_revoked_at_once_the_old_one_is_dead(world: World) -> None:
    """Either the rotation was first, and there is a successor; or it was refused."""
    for _ in range(ROUNDS):
        token = make_api_token(world.acme, "read")

        came = together(rotating(world, token), revoking(world, token))

        old = APIToken.objects.get(pk=token.pk)
        has_successor = APIToken.objects.filter(rotated_from=token).exists()
        assert old.state(timezone.now()) is State.REVOKED
        assert came == (["ok", "ok"] if has_successor else ["invalid", "ok"])
        assert rotations(token) == has_successor


def test_a_token_that_rotates_itself_while_it_is_revoked_gets_no_successor_afterwards(world: World) -> None:
    for _ in range(ROUNDS):
        token = make_api_token(world.acme, "write:tokens")
        itself = holder_of(token)

        def act(token: Token = token, itself: Any = itself) -> None:
            with suppress(BadCredential):
                rotate(itself, token)

        together(act, revoking(world, token))

        order = list(
            Event.objects.filter(target_id=str(token.pk)).order_by("id").values_list("action", flat=True)
        )
        assert order[1:] in (["api_token.revoked"], ["api_token.rotated", "api_token.revoked"])
        assert APIToken.objects.filter(rotated_from=token).count() == len(order) - 2


def test_who_leaves_while_their_token_is_rotated_takes_the_successor_out_too(world: World) -> None:
    """Joining again does not let it back in: it is as old an authorization as its predecessor."""
    token, principal = make_personal_token(world.both), person(world.both)
    there = OrgMembership.objects.get(user=world.both, organization=world.acme)
    started = threading.Event()

    def leave() -> None:
        started.set()
        try:
            outcome(lambda: organizations.remove_member(SETUP, there))
        finally:
            connection.close()

    leaving = threading.Thread(target=leave)
    with transaction.atomic():
        successor = rotate(principal, token)
        leaving.start()
        started.wait(PATIENCE_SECONDS)
        leaving.join(1)  # it waits for this transaction, or is done before it
    leaving.join(PATIENCE_SECONDS)

    join(world.both, world.acme)
    assert holder_of(successor).organization_ids == (world.globex.pk,)
