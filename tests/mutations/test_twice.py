"""What is there already is not made again: alone, in a list, in a file, or among the people of a group."""

from typing import Any

import pytest

from tests.conftest import Answer, World
from tests.factories import make_personal_token
from tests.mutations.policy import ALLOWED, POLICY, VALIDATION_ERROR
from tests.mutations.tenancy import MUTATIONS, Tenancy, bearer, call, is_file, outcome, stored, tenancy

ALREADY_EXISTS = "ALREADY_EXISTS"
CREATED = [name for name in MUTATIONS if name.startswith("create") and "Token" not in name]
"""Tokens have no name that another may not have."""


@pytest.fixture
def acme(world: World) -> Tenancy:
    return tenancy(world.acme, world.owner)


@pytest.fixture
def headers(world: World) -> dict[str, str]:
    return bearer(make_personal_token(world.owner).token)


def assert_refused(answer: Answer, name: str, row: int) -> None:
    """For what is there already; of many rows, `row` is the first that is wrong."""
    if "Bulk" not in name:
        assert outcome(answer) == ALREADY_EXISTS
        return
    assert outcome(answer) == VALIDATION_ERROR
    assert answer.error["extensions"]["rows"][0]["row"] == row + is_file(name)  # after the names of columns


@pytest.mark.parametrize("name", CREATED)
def test_nothing_is_made_twice(acme: Tenancy, headers: dict[str, str], name: str) -> None:
    given = POLICY[name].given(acme)
    assert outcome(call(name, given, headers)) == ALLOWED
    before = stored()

    assert_refused(call(name, given, headers), name, row=1)
    assert stored() == before


@pytest.mark.parametrize("name", [name for name in CREATED if "Bulk" in name])
def test_no_list_and_no_file_makes_the_same_twice(acme: Tenancy, headers: dict[str, str], name: str) -> None:
    first, _ = POLICY[name].given(acme)["input"]
    before = stored()

    assert_refused(call(name, {"input": [first, first]}, headers), name, row=2)
    assert stored() == before


@pytest.mark.parametrize("name", [name for name in CREATED if "members" in MUTATIONS[name].args])
def test_nobody_is_put_in_twice_with_what_is_made(acme: Tenancy, headers: dict[str, str], name: str) -> None:
    given: dict[str, Any] = POLICY[name].given(acme)
    before = stored()

    answer = call(name, given | {"members": given["members"] * 2}, headers)

    assert_refused(answer, name, row=2)
    assert stored() == before
