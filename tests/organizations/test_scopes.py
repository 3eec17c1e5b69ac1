"""The vocabulary: which scopes there are, how they are spelled, and which cover which."""

import itertools

import pytest
from django.test import Client

from organizations import scopes
from organizations.scopes import CATALOGUE, UnknownScope, canonical, covers

SEEDS = {
    *("read", "read:controls", "read:evidence", "read:tasks", "read:reports"),
    *("write", "write:tasks", "write:evidence", "write:notes", "write:files"),
    *("admin", "admin:tokens", "admin:integrations"),
}


# held -> the verbs it covers, by hand
VERBS = {
    "read": {"read"},
    "write": {"read", "write"},
    "delete": {"read", "write", "delete"},
    "admin": {"read", "write", "delete", "admin"},
}


def test_the_catalogue_holds_the_thirteen_of_the_seeds_each_described() -> None:
    assert len(SEEDS) == 13
    assert set(CATALOGUE) >= SEEDS
    assert all(CATALOGUE.values())


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_canonical_name_stands_for_itself(name: str) -> None:
    assert canonical(name) == name
    assert scopes.spellings(name)[0] == name


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("control:read", "read:controls"),
        ("evidence:read", "read:evidence"),
        ("evidence:write", "write:evidence"),
        ("task:read", "read:tasks"),
        ("task:write", "write:tasks"),
        ("report:read", "read:reports"),
        ("note:write", "write:notes"),
        ("file:write", "write:files"),
        ("integration:admin", "admin:integrations"),
        ("token:admin", "admin:tokens"),
        ("api_token:write", "write:tokens"),
        ("api_token:read", "read:tokens"),
        ("personal_access_token:admin", "admin:tokens"),
        ("organization:write", "write:organization"),
        ("member:read", "read:members"),
        ("org_membership:admin", "admin:members"),
        ("group:write", "write:groups"),
        ("event:read", "read:events"),
    ],
)
def test_the_other_spelling_names_the_same_scope(other: str, expected: str) -> None:
    assert canonical(other) == expected
    assert other in scopes.spellings(expected)
    assert scopes.spellings(other)[0] == expected


# --- what covers what ------------------------------------------------------------------------------


@pytest.mark.parametrize(("held", "asked"), list(itertools.product(VERBS, VERBS)))
def test_a_bare_verb_covers_itself_and_the_lesser_verbs_on_every_object(held: str, asked: str) -> None:
    names = [name for name in CATALOGUE if name.partition(":")[0] == asked]

    assert names
    assert {covers({held}, name) for name in names} == {asked in VERBS[held]}


@pytest.mark.parametrize("held", CATALOGUE)
def test_a_scope_covers_the_same_object_with_the_same_or_a_lesser_verb(held: str) -> None:
    verb, _, held_object = held.partition(":")
    expected = {
        name
        for name in CATALOGUE
        if name.partition(":")[0] in VERBS[verb] and held_object in ("", name.partition(":")[2])
    }

    assert {name for name in CATALOGUE if covers({held}, name)} == expected


@pytest.mark.parametrize("asked", ["read", "write", "delete", "admin"])
def test_every_scope_of_an_object_together_is_less_than_the_bare_verb(asked: str) -> None:
    assert not covers([name for name in CATALOGUE if ":" in name], asked)


@pytest.mark.parametrize("asked", CATALOGUE)
def test_holding_nothing_covers_nothing(asked: str) -> None:
    assert not covers((), asked)


@pytest.mark.parametrize("asked", ["read:unknown", "control:read", "", "*", "read:*", "READ"])
def test_what_is_no_canonical_scope_is_never_covered(asked: str) -> None:
    assert not covers(CATALOGUE, asked)


def test_a_scope_that_left_the_catalogue_grants_nothing() -> None:
    assert scopes.held(["read:gone", "task:read", "admin:*"]) == {"read:tasks"}


# --- what is not a scope ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("raed", "read"),
        ("read:control", "read:controls"),
        ("reads:tasks", "read:tasks"),
        ("admin:token", "admin:tokens"),
        ("write:evidences", "write:evidence"),
        ("api_tokens:write", "api_token:write"),
    ],
)
def test_an_unknown_scope_is_named_with_the_nearest_known_one(name: str, nearest: str) -> None:
    with pytest.raises(UnknownScope, match=f'Unknown scope "{name}". Did you mean "{nearest}"') as unknown:
        canonical(name)

    assert str(unknown.value).endswith("See scopes { name }.")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "read ",
        " read",
        "read\n",
        "\tread",
        "READ",
        "Read",
        "ADMIN:TOKENS",
        "Control:read",
        "read:",
        ":read",
        "read:*",
        "*",
        "*:*",
        "*:read",
        "read:%",
        "read:tasks,write:tasks",
        "read write",
        "read:tasks:all",
        "tasks:read",
        "controls:read",
        "control:admin",
        "execute",
        "execute:tasks",
        "read:ｔasks",
        "rеad",  # with a Cyrillic e
        "read\0",
        "x" * 10_000,
    ],
)
def test_nothing_is_trimmed_folded_split_or_expanded(name: str) -> None:
    with pytest.raises(UnknownScope) as unknown:
        canonical(name)

    assert len(str(unknown.value)) < 200


# --- the lists -------------------------------------------------------------------------------------


def test_the_catalogue_by_object_lists_every_scope_once() -> None:
    listed = scopes.by_object()

    flat = [f"{verb}:{name}" if name != "*" else verb for name, verbs in listed.items() for verb in verbs]
    assert sorted(flat) == sorted(CATALOGUE)
    assert listed["*"] == ["read", "write", "delete", "admin"]
    assert listed["tokens"] == ["read", "write", "admin"]


@pytest.mark.parametrize("verb", scopes.Verb)
def test_the_names_of_a_verb_are_all_its_scopes_in_both_spellings(verb: scopes.Verb) -> None:
    names = scopes.names_of(verb)

    assert set(names) == {
        name
        for every in CATALOGUE
        if every.partition(":")[0] == verb.name
        for name in scopes.spellings(every)
    }


def test_the_catalogue_is_served_without_a_credential(client: Client) -> None:
    answer = client.get("/v1/scopes").json()

    assert answer == {"success": True, "scopes": scopes.by_object()}
