"""Ids that are no such thing of the caller's: in each place of each mutation where an id can stand.

Nothing is written, and somebody else's looks like nobody's.
"""

from collections.abc import Callable
from uuid import UUID

import pytest

from audit.models import Event
from organizations import services
from tests.conftest import Answer, World
from tests.factories import SETUP, make_organization, make_personal_token
from tests.mutations.policy import NOT_FOUND, POLICY, VALIDATION_ERROR
from tests.mutations.tenancy import (
    LEFT,
    MUTATIONS,
    Place,
    Tenancy,
    bearer,
    call,
    is_file,
    keys_of,
    outcome,
    put,
    stored,
    tenancy,
    trail,
    undone,
)

MEANT = {
    "ownerID": "organization",
    "organizationID": "organization",
    "organizationIDs": "organization",
    "addOrganizationIDs": "organization",
    "removeOrganizationIDs": "organization",
    "parentID": "organization",
    "defaultOrgID": "organization",
    "userID": "stranger",
    "newOwnerID": "member",
    "groupID": "group",
    "groupIDs": "group",
    "addGroupIDs": "group",
    "removeGroupIDs": "group",
    "inheritGroupPermissions": "group",
    "cloneGroupMembers": "group",
}
"""What a key other than `id` and `ids` names, as tenancy.py calls it. No service takes any further one."""

PLACES, UNTAKEN = (
    [
        (name, place)
        for name in MUTATIONS
        for place, kind in keys_of(name).items()
        if kind == "ID" and (place[-1] in ("id", "ids", *MEANT)) is is_meant
    ]
    for is_meant in (True, False)
)

PERSONAL = ("self", "own setting", "personal token")
"""A person's own, in no organization."""

DELETED_BY = {
    "api token": "deleteAPIToken",
    "personal token": "deletePersonalAccessToken",
    "organization": "deleteOrganization",
    "membership": "deleteOrgMembership",
    "group": "deleteGroup",
    "place": "deleteGroupMembership",
    "invite": "deleteInvite",
}

RANDOM = str(UUID(int=5, version=4))
MALFORMED = ("", "no id", "0" * 4_000)

Try = Callable[..., Answer]


@pytest.fixture
def acme(world: World) -> Tenancy:
    make_organization("hooli", world.owner)  # where they stay an owner when acme is closed
    return tenancy(world.acme, world.owner)


@pytest.fixture
def closed(world: World) -> Tenancy:
    """What was in an organization of the same owner."""
    initech = make_organization("initech", world.owner)
    things = tenancy(initech, world.owner)
    services.delete_organization(SETUP, initech)
    return things


@pytest.fixture
def attempt(world: World, acme: Tenancy) -> Try:
    """attempt(name, place, id, first="deleteGroup"): by the owner, with this id there. Nothing is written.
    It is refused, but where it was to be taken away, and is not there already. All of it is undone.
    """
    headers = bearer(make_personal_token(world.owner).token)

    def tried(name: str, place: Place, bad: str, first: str | None = None) -> Answer:
        with undone():
            if first is not None:
                assert call(first, POLICY[first].given(acme), headers).code is None
            before, events = stored(), Event.objects.count()
            value = [bad] if place[-1].endswith(("IDs", "ids")) else bad
            given = POLICY[name].given(acme)
            if is_taken_away := place[-1].startswith("remove"):
                given["input"] = {}
            answer = call(name, put(given, place, value), headers)
            is_refused = outcome(answer) in (NOT_FOUND, VALIDATION_ERROR, LEFT)
            assert is_refused or is_taken_away, (name, place, bad)
            assert (stored(), trail(events)) == (before, []), (name, place, bad)
        return answer

    return tried


def meant(name: str, place: Place, own: Tenancy) -> str:
    """The name of what the mutation is about there."""
    key = place[-1]
    if key in MEANT:
        return MEANT[key]
    given = POLICY[name].given(own)[key]
    return own.name(given if key == "id" else given[0])


def without(answer: Answer, key: str) -> str:
    return repr(answer.body).replace(key, "<id>")


def test_somebody_elses_is_answered_as_nobodys(world: World, acme: Tenancy, attempt: Try) -> None:
    globex = tenancy(world.globex, world.outsider)

    for name, place in PLACES:
        foreign = globex[meant(name, place, acme)]
        answer = attempt(name, place, foreign)
        assert without(answer, foreign) == without(attempt(name, place, RANDOM), RANDOM)


def test_what_belonged_to_a_closed_organization_is_gone_with_it(
    closed: Tenancy, acme: Tenancy, attempt: Try
) -> None:
    for name, place in PLACES:
        thing = meant(name, place, acme)
        if thing not in (*PERSONAL, "stranger"):
            attempt(name, place, closed[thing])


def test_what_was_deleted_is_gone(acme: Tenancy, attempt: Try) -> None:
    for name, place in PLACES:
        thing = meant(name, place, acme)
        if thing in DELETED_BY:
            attempt(name, place, acme[thing], first=DELETED_BY[thing])


def test_what_is_something_else_is_not_there(acme: Tenancy, attempt: Try) -> None:
    for name, place in PLACES:
        attempt(name, place, acme["setting" if meant(name, place, acme) != "setting" else "group"])


@pytest.mark.parametrize("malformed", MALFORMED, ids=lambda one: one[:20])
def test_what_is_no_id_at_all_is_not_there(attempt: Try, malformed: str) -> None:
    for name, place in PLACES:
        if malformed or not is_file(name):  # an empty cell says nothing
            attempt(name, place, malformed)


def test_a_key_that_no_service_takes_is_refused_by_name(attempt: Try) -> None:
    for name, place in UNTAKEN:
        answer = attempt(name, place, RANDOM)
        assert (outcome(answer), f"{place[-1]} is the server's" in repr(answer.body)) == (
            VALIDATION_ERROR,
            True,
        ), (name, place)
