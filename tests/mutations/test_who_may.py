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
    VALIDATION_ERROR,
)
from tests.mutations.tenancy import (
    MUTATIONS,
    Tenancy,
    bearer,
    call,
    keys_of,
    put,
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


@pytest.mark.parametrize("name", [name for name in MUTATIONS if name.startswith("update")])
def test_the_same_change_again_is_no_event(acme: Tenancy, credentials: dict[str, Headers], name: str) -> None:
    asked = name, POLICY[name].given(acme), credentials["owner's token"]
    assert outcome(call(*asked)) == ALLOWED
    before, events = stored(), Event.objects.count()

    assert outcome(call(*asked)) == ALLOWED
    assert (stored(), trail(events)) == (before, [])


# --- roles -------------------------------------------------------------------------------------------

GIVE_ROLES = [name for name in MUTATIONS if {"OrgMembershipRole", "InviteRole"} & set(keys_of(name).values())]
OWN_ORGANIZATION = "createOrganizationWithMembers"
"""Its founder owns it, and may give every role in it."""


def test_the_mutations_that_give_roles_are_found() -> None:
    assert {"createOrgMembership", "updateBulkOrgMembership", "updateInvite", OWN_ORGANIZATION} <= set(
        GIVE_ROLES
    )


@pytest.mark.parametrize(
    ("who", "role", "came"),
    [
        ("admin", "OWNER", {UNAUTHORIZED, LEFT}),
        ("admin", "ADMIN", {ALLOWED}),
        ("owner", "OWNER", {ALLOWED}),
    ],
)
@pytest.mark.parametrize("name", GIVE_ROLES)
def test_nobody_gives_a_role_above_their_own(
    acme: Tenancy, credentials: dict[str, Headers], name: str, who: str, role: str, came: set[str]
) -> None:
    given = POLICY[name].given(acme)
    for place in keys_of(name):
        if place[-1] == "role":
            given = put(given, place, role)
    before = stored()

    found = outcome(call(name, given, credentials[f"{who}'s token"]))

    assert found in ({ALLOWED} if name == OWN_ORGANIZATION else came)
    assert (stored() != before) == (found == ALLOWED)


@pytest.mark.parametrize("who", ["owner", "admin"])
@pytest.mark.parametrize(
    "name",
    ["updateOrgMembership", "updateBulkOrgMembership", "deleteOrgMembership", "deleteBulkOrgMembership"],
)
def test_the_last_owner_is_neither_demoted_nor_removed(
    world: World, acme: Tenancy, credentials: dict[str, Headers], name: str, who: str
) -> None:
    """Nor do they leave: see policy.py."""
    last = str(world.acme.members.get(user=world.owner).pk)
    given = POLICY[name].given(acme) | ({"ids": [last]} if "ids" in MUTATIONS[name].args else {"id": last})
    before = stored()

    came = outcome(call(name, given, credentials[f"{who}'s token"]))

    assert came == (LEFT if "ids" in given else {"owner": VALIDATION_ERROR, "admin": UNAUTHORIZED}[who])
    assert stored() == before
