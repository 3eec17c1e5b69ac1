"""Each mutation, tried by each kind of principal: who may leaves one event, who may not only a refusal.

policy.py has the table.
"""

from collections.abc import Callable

import pytest

from audit.actions import Action
from audit.models import Event
from tests.conftest import World
from tests.factories import make_api_token, make_organization, make_personal_token
from tests.mutations.policy import (
    FOREIGN,
    INSUFFICIENT_SCOPES,
    MACHINES,
    NARROW,
    PEOPLE,
    POLICY,
    PRINCIPALS,
    UNAUTHORIZED,
    VALIDATION_ERROR,
)
from tests.mutations.tenancy import (
    ALLOWED,
    LEFT,
    MUTATIONS,
    Tenancy,
    bearer,
    call,
    keys_of,
    outcome,
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
    for name in ("member", "auditor"):
        make_organization(f"{name}'s own", getattr(world, name))
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


def test_the_same_change_again_is_no_event(acme: Tenancy, credentials: dict[str, Headers]) -> None:
    for name in [name for name in MUTATIONS if name.startswith("update")]:
        asked = name, POLICY[name].given(acme), credentials["owner's token"]
        with undone():
            assert outcome(call(*asked)) == ALLOWED
            before, events = stored(), Event.objects.count()

            assert outcome(call(*asked)) == ALLOWED
            assert (name, stored(), trail(events)) == (name, before, [])


# --- roles -------------------------------------------------------------------------------------------

GIVE_ROLES = [name for name in MUTATIONS if {"OrgMembershipRole", "InviteRole"} & set(keys_of(name).values())]
OWN_ORGANIZATION = "createOrganizationWithMembers"
"""Its founder owns it, and may give every role in it."""


@pytest.mark.parametrize(
    ("who", "role", "code"),
    [("admin", "OWNER", UNAUTHORIZED), ("admin", "ADMIN", ALLOWED), ("owner", "OWNER", ALLOWED)],
)
def test_nobody_gives_a_role_above_their_own(
    acme: Tenancy, credentials: dict[str, Headers], who: str, role: str, code: str
) -> None:
    before, came = stored(), {}

    for name in GIVE_ROLES:
        given = POLICY[name].given(acme)
        for place in keys_of(name):
            given = put(given, place, role) if place[-1] == "role" else given
        with undone():
            came[name] = outcome(call(name, given, credentials[f"{who}'s token"]))
            assert (stored() != before) == (came[name] == ALLOWED)

    by_row = [name for name in GIVE_ROLES if name.startswith("updateBulk") and code == UNAUTHORIZED]
    expected = dict.fromkeys(GIVE_ROLES, code) | dict.fromkeys(by_row, LEFT) | {OWN_ORGANIZATION: ALLOWED}
    assert came == expected


GIVE_SCOPES = [
    (name, place) for name in MUTATIONS for place in keys_of(name) if place[-1] in ("scopes", "appendScopes")
]
NARROWED = "updatePersonalAccessToken"
"""A token without scopes has every right of its owner; any scope is less."""


@pytest.mark.parametrize(("scope", "is_held"), [("admin:groups", True), ("admin:members", False)])
def test_nobody_gives_a_scope_they_lack(world: World, acme: Tenancy, scope: str, is_held: bool) -> None:
    headers = bearer(make_personal_token(world.owner, "admin:groups", "admin:tokens").token)
    before, came = stored(), {}

    for name, place in GIVE_SCOPES:
        with undone():
            given = put(POLICY[name].given(acme), place, [scope])
            came[name, place] = outcome(call(name, given, headers))
            assert (stored() != before) == (came[name, place] == ALLOWED)

    refused = {
        (name, place): LEFT if name.startswith("updateBulk") else INSUFFICIENT_SCOPES
        for name, place in GIVE_SCOPES
        if not is_held and name != NARROWED
    }
    assert came == dict.fromkeys(GIVE_SCOPES, ALLOWED) | refused


@pytest.mark.parametrize(("who", "code"), [("owner", VALIDATION_ERROR), ("admin", UNAUTHORIZED)])
def test_the_last_owner_is_neither_demoted_nor_removed(
    world: World, acme: Tenancy, credentials: dict[str, Headers], who: str, code: str
) -> None:
    """Nor do they leave: see policy.py."""
    last = str(world.acme.members.get(user=world.owner).pk)
    before, came = stored(), {}

    for name in ("updateOrgMembership", "deleteOrgMembership"):
        came[name] = outcome(
            call(name, POLICY[name].given(acme) | {"id": last}, credentials[f"{who}'s token"])
        )
    for name in ("updateBulkOrgMembership", "deleteBulkOrgMembership"):
        given = POLICY[name].given(acme) | {"ids": [last]}
        came[name] = outcome(call(name, given, credentials[f"{who}'s token"]))

    assert list(came.values()) == [code, code, LEFT, LEFT]
    assert stored() == before
