"""Each mutation, tried by each kind of principal: who may leaves one event, who may not only a refusal.

policy.py has the table.
"""

from collections.abc import Callable

import pytest

from audit.actions import Action
from audit.models import Event
from tests.conftest import Answer, World
from tests.factories import make_api_token, make_personal_token
from tests.mutations.policy import (
    ALLOWED,
    FOREIGN,
    INSUFFICIENT_SCOPES,
    LEFT,
    MACHINES,
    NARROW,
    PEOPLE,
    POLICY,
    PRINCIPALS,
    UNAUTHORIZED,
)
from tests.mutations.tenancy import (
    MUTATIONS,
    Tenancy,
    bearer,
    call,
    session,
    stored,
    tenancy,
    trail,
    undone,
)

DENIALS = (UNAUTHORIZED, INSUFFICIENT_SCOPES)

Headers = dict[str, str]
Attempt = Callable[[str, str], str]


def test_every_mutation_has_its_rule() -> None:
    assert set(POLICY) == set(MUTATIONS)


@pytest.fixture
def acme(world: World) -> Tenancy:
    return tenancy(world.acme, world.owner, world.admin)


@pytest.fixture
def credentials(world: World) -> dict[str, Headers]:
    """Who -> the headers that say so."""
    found: dict[str, Headers] = {}
    for name in PEOPLE:
        user = getattr(world, name)
        found[name] = session(user)
        found[f"{name}'s token"] = bearer(make_personal_token(user).token)
    found[NARROW] = bearer(make_personal_token(world.owner, "read").token)
    for name, scope in zip(MACHINES, ("read", "write", "admin"), strict=True):
        found[name] = bearer(make_api_token(world.acme, scope).token)
    found[FOREIGN] = bearer(make_api_token(world.globex, "admin").token)
    assert set(found) == set(PRINCIPALS)
    return found


def outcome(answer: Answer) -> str:
    """ALLOWED, LEFT or the code of the refusal, which comes without data."""
    if answer.code is not None:
        assert answer.body.get("data") is None
        return answer.code
    (payload,) = answer.data.values()
    return LEFT if payload.get("error") else ALLOWED


@pytest.fixture
def attempt(acme: Tenancy, credentials: dict[str, Headers]) -> Attempt:
    """attempt(name, who): what came of it. The rows and the trail must agree, and all of it is undone."""
    before, events = stored(), Event.objects.count()

    def tried(name: str, who: str) -> str:
        rule = POLICY[name]
        with undone():
            came = outcome(call(name, rule.given(acme), credentials[who]))
            after, told = stored(), trail(events)
        assert (after != before) == (came == ALLOWED)
        if came == ALLOWED:
            assert told == [rule.told] * rule.rows
        elif came == LEFT:
            assert told in ([], [Action.ACCESS_DENIED] * rule.rows)
        else:
            assert told == [Action.ACCESS_DENIED] * (came in DENIALS)
        return came

    return tried


@pytest.mark.parametrize("name", MUTATIONS)
def test_who_may(attempt: Attempt, name: str) -> None:
    came = {who: attempt(name, who) for who in PRINCIPALS}

    assert came == {who: POLICY[name].expected(who) for who in PRINCIPALS}
