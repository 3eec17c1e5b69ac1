"""Nobody grants what they lack, and no token widens itself: each way up is tried, and leaves one event."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import User
from audit.actions import Action
from audit.models import Event
from config.graphql.policy import RequiresScope
from config.schema import Mutation, schema
from config.schema import Query as RootQuery
from organizations.models import Organization
from tests.conftest import Answer, Query, World
from tests.factories import make_api_token, make_organization, make_personal_token
from tests.tokens.test_seed_documents import CREATE_API, CREATE_PERSONAL, LIST_PERSONAL
from tokens.authentication import identify
from tokens.models import APIToken, PersonalAccessToken, Token

UPDATE_API = """mutation($id: ID!, $input: UpdateAPITokenInput!) {
    updateAPIToken(id: $id, input: $input) { apiToken { name scopes expiresAt isActive abilities } }
}"""
UPDATE_PERSONAL = """mutation($id: ID!, $input: UpdatePersonalAccessTokenInput!) {
    updatePersonalAccessToken(id: $id, input: $input) {
        personalAccessToken { name scopes expiresAt isActive abilities }
    }
}"""
DELETE_API = "mutation($id: ID!) { deleteAPIToken(id: $id) { deletedID } }"
DELETE_PERSONAL = "mutation($id: ID!) { deletePersonalAccessToken(id: $id) { deletedID } }"

DENIALS = ("UNAUTHORIZED", "INSUFFICIENT_SCOPES")

Attempt = Callable[..., Answer]


def everything() -> list[Any]:
    """Every token there is, whatever is known of it, and where it reaches."""
    return [
        *APIToken.objects.order_by("pk").values(),
        *PersonalAccessToken.objects.order_by("pk").values(),
        *PersonalAccessToken.organizations.through.objects.order_by("pk").values(),
    ]


def new_events(count: int) -> list[str]:
    """The actions since there were `count` events, but for the log-in that a session begins with."""
    actions = Event.objects.values_list("action", flat=True)[count:]
    return [action for action in actions if action != Action.USER_LOGGED_IN]


@pytest.fixture
def attempt(query: Query) -> Attempt:
    """As query; and what is refused must have changed nothing, and what is denied left one event."""

    def tried(document: str, variables: Any = None, **who: Any) -> Answer:
        before, events = everything(), Event.objects.count()
        answer = query(document, variables, **who)
        if answer.code is not None:
            assert answer.body.get("data") is None
            assert everything() == before
            assert new_events(events) == [Action.ACCESS_DENIED] * (answer.code in DENIALS)
        else:
            assert len(new_events(events)) == 1
        return answer

    return tried


def changing(token: Token) -> str:
    return UPDATE_API if isinstance(token, APIToken) else UPDATE_PERSONAL


def change(attempt: Attempt, asking: Token, target: Token, **given: Any) -> Answer:
    return attempt(changing(target), {"id": str(target.pk), "input": given}, token=asking.token)


# --- who may create, change and delete what (cases 1, 2, 13) -----------------------------------------

OPERATIONS = (
    *("create API token", "create personal token", "update API token", "delete API token"),
    *("update own", "delete own", "update another's", "delete another's"),
)
OK, SCOPES, ROLE, NOT_FOUND = None, "INSUFFICIENT_SCOPES", "UNAUTHORIZED", "NOT_FOUND"
ACTORS: dict[str, tuple[Any, ...]] = {
    # scopes of the token they use, then what each of the operations answers
    "owner's session": (None, OK, OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND),
    "owner": ([], OK, OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND),
    "owner with admin": (["admin"], OK, OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND),
    "owner with admin:tokens": (["admin:tokens"], OK, OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND),
    "owner with token:admin": (["token:admin"], OK, OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND),
    "owner with read": (["read"], *[SCOPES] * 8),
    "owner with write": (["write"], *[SCOPES] * 8),
    "owner with delete": (["delete"], *[SCOPES] * 8),
    "owner with write:tokens": (["write:tokens"], *[SCOPES] * 8),
    "owner with admin:integrations": (["admin:integrations"], *[SCOPES] * 8),
    "admin": ([], OK, OK, OK, OK, OK, OK, NOT_FOUND, NOT_FOUND),
    "admin with read": (["read"], *[SCOPES] * 8),
    "auditor's session": (None, ROLE, OK, ROLE, ROLE, OK, OK, NOT_FOUND, NOT_FOUND),
    "auditor": ([], ROLE, OK, ROLE, ROLE, OK, OK, NOT_FOUND, NOT_FOUND),
    "auditor with admin": (["admin"], ROLE, OK, ROLE, ROLE, OK, OK, NOT_FOUND, NOT_FOUND),
    "member": ([], ROLE, OK, NOT_FOUND, NOT_FOUND, OK, OK, NOT_FOUND, NOT_FOUND),
    "member with admin": (["admin"], ROLE, OK, NOT_FOUND, NOT_FOUND, OK, OK, NOT_FOUND, NOT_FOUND),
    "outsider": ([], NOT_FOUND, OK, NOT_FOUND, NOT_FOUND, OK, OK, NOT_FOUND, NOT_FOUND),
    "API token with admin": (["admin"], OK, ROLE, OK, OK, *[NOT_FOUND] * 4),
    "API token with admin:tokens": (["admin:tokens"], OK, ROLE, OK, OK, *[NOT_FOUND] * 4),
    "API token with write": (["write"], *[SCOPES] * 8),
    "API token with read": (["read"], *[SCOPES] * 8),
    "API token": ([], *[SCOPES] * 8),
}


@pytest.mark.parametrize("actor", ACTORS)
def test_who_may_do_what_to_tokens(world: World, attempt: Attempt, actor: str) -> None:
    scopes, *expected = ACTORS[actor]
    name = actor.partition(" ")[0].partition("'")[0]
    user: User = getattr(world, name, world.owner)
    if scopes is None:
        who: dict[str, Any] = {"user": user}
    elif name == "API":
        who = {"token": make_api_token(world.acme, *scopes).token}
    else:
        who = {"token": make_personal_token(user, *scopes).token}
    made = {"name": "new", "scopes": ["admin:tokens"]}
    machines = [str(make_api_token(world.acme).pk) for _ in range(2)]
    own = [str(make_personal_token(user).pk) for _ in range(2)]
    anothers = str(make_personal_token(world.both).pk)
    attempts = (
        (CREATE_API, {"input": made | {"ownerID": str(world.acme.pk)}}),
        (CREATE_PERSONAL, {"input": made}),
        (UPDATE_API, {"id": machines[0], "input": {"name": "new"}}),
        (DELETE_API, {"id": machines[1]}),
        (UPDATE_PERSONAL, {"id": own[0], "input": {"name": "new"}}),
        (DELETE_PERSONAL, {"id": own[1]}),
        (UPDATE_PERSONAL, {"id": anothers, "input": {"isActive": False}}),
        (DELETE_PERSONAL, {"id": anothers}),
    )

    answers = [attempt(document, variables, **who).code for document, variables in attempts]

    assert dict(zip(OPERATIONS, answers, strict=True)) == dict(zip(OPERATIONS, expected, strict=True))


def test_an_api_token_that_asks_for_a_personal_one_is_told_why_not(world: World, attempt: Attempt) -> None:
    answer = attempt(
        CREATE_PERSONAL, {"input": {"name": "x"}}, token=make_api_token(world.acme, "admin").token
    )

    assert answer.code == "UNAUTHORIZED"
    assert answer.error["message"] == "API tokens own no personal things. Use a personal access token."


@pytest.mark.parametrize("what", ["random", "malformed", "of the other kind"])
def test_an_id_that_is_no_such_token_is_not_found(world: World, attempt: Attempt, what: str) -> None:
    asking = make_personal_token(world.owner)
    machine = make_api_token(world.acme)
    chosen = {"random": str(uuid4()), "malformed": "no id"}

    for document, other in ((DELETE_API, asking), (DELETE_PERSONAL, machine)):
        answer = attempt(document, {"id": chosen.get(what, str(other.pk))}, token=asking.token)
        assert answer.code == "NOT_FOUND"


# --- minting (case 3) --------------------------------------------------------------------------------


@pytest.mark.parametrize("document", [CREATE_PERSONAL, CREATE_API])
@pytest.mark.parametrize(
    ("own", "asked", "lacking"),
    [
        (["admin:tokens"], ["read"], ["read"]),
        (["admin:tokens"], ["admin"], ["admin"]),
        (["admin:tokens"], ["read:tasks"], ["read:tasks"]),
        (["admin:tokens", "read"], ["read", "write:tasks"], ["write:tasks"]),
        (["admin:tokens", "write:tasks"], ["task:read", "control:read"], ["read:controls"]),
        (["admin:tokens", "write"], ["write", "delete"], ["delete"]),
        (["admin:tokens", "write", "read:events"], ["admin:members"], ["admin:members"]),
    ],
)
def test_a_token_mints_no_scope_it_lacks_and_is_told_which(
    world: World, attempt: Attempt, document: str, own: list[str], asked: list[str], lacking: list[str]
) -> None:
    asking = [make_personal_token(world.owner, *own)]
    if document is CREATE_API:
        asking.append(make_api_token(world.acme, *own))

    for token in asking:
        answer = attempt(document, {"input": {"name": "x", "scopes": asked}}, token=token.token)

        assert answer.error["extensions"] == {"code": "INSUFFICIENT_SCOPES", "requiredScopes": lacking}


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        ([], []),
        ([], ["admin"]),
        (["admin"], []),
        (["admin"], ["admin", "read"]),
        (["admin:tokens"], ["admin:tokens"]),
        (["admin:tokens"], ["token:admin"]),
        (["admin:tokens"], ["read:tokens", "write:tokens"]),
        (["admin:tokens", "write"], ["read", "read:tasks", "evidence:write"]),
    ],
)
def test_a_token_mints_what_it_has_or_less(
    world: World, attempt: Attempt, own: list[str], asked: list[str]
) -> None:
    asking = make_personal_token(world.owner, *own)

    answer = attempt(CREATE_PERSONAL, {"input": {"name": "x", "scopes": asked}}, token=asking.token)

    made = answer.data["createPersonalAccessToken"]["personalAccessToken"]
    assert made["scopes"] == asked
    assert set(made["abilities"]) <= set(identify(asking.token, timezone.now()).abilities)


def test_a_limited_token_mints_none_without_scopes_because_that_would_have_no_limit(
    world: World, attempt: Attempt
) -> None:
    asking = make_personal_token(world.owner, "admin:tokens", "write")

    for given in ({}, {"scopes": []}, {"scopes": None}):
        answer = attempt(CREATE_PERSONAL, {"input": {"name": "x", **given}}, token=asking.token)
        assert answer.error["extensions"] == {"code": "INSUFFICIENT_SCOPES", "requiredScopes": ["admin"]}


def test_an_admin_grants_no_api_token_what_their_role_lacks(world: World, attempt: Attempt) -> None:
    """A group lets a member manage tokens; what it does not give they cannot give on."""
    from tests.organizations.test_access import make_group

    make_group(world.acme, "admin:tokens", members=(world.member,))
    asking = make_personal_token(world.member)

    allowed = attempt(CREATE_API, {"input": {"name": "x", "scopes": ["write:tasks"]}}, token=asking.token)
    refused = attempt(CREATE_API, {"input": {"name": "x", "scopes": ["admin:members"]}}, token=asking.token)

    assert allowed.code is None
    assert refused.code == "UNAUTHORIZED"
    assert "admin:members" in refused.error["message"]


def test_a_bound_token_mints_none_that_reaches_further(world: World, attempt: Attempt) -> None:
    asking = make_personal_token(world.both, organizations=[world.acme.pk]).token

    def made_for(**given: Any) -> str | None:
        return attempt(CREATE_PERSONAL, {"input": {"name": "x", **given}}, token=asking).code

    acme, globex = str(world.acme.pk), str(world.globex.pk)
    assert made_for(organizationIDs=[acme]) is None
    assert made_for() == "UNAUTHORIZED"
    assert made_for(organizationIDs=[]) == "VALIDATION_ERROR"  # none is not all
    assert made_for(organizationIDs=[globex]) == "NOT_FOUND"
    assert made_for(organizationIDs=[acme, globex]) == "NOT_FOUND"


def test_nobody_binds_a_token_to_an_organization_they_are_not_in(world: World, attempt: Attempt) -> None:
    for who in ({"user": world.owner}, {"token": make_personal_token(world.owner).token}):
        for foreign in (str(world.globex.pk), str(uuid4()), "no id"):
            given = {"name": "x", "organizationIDs": [foreign]}
            assert attempt(CREATE_PERSONAL, {"input": given}, **who).code == "NOT_FOUND"


# --- widening oneself (case 4) -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["API token", "personal token"])
@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        (["admin:tokens"], {"scopes": ["admin:tokens", "read"]}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens"], {"scopes": ["admin"]}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens"], {"appendScopes": ["read:tasks"]}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens", "read:tasks"], {"scopes": ["admin:tokens", "task:write"]}, "INSUFFICIENT_SCOPES"),
        (["admin"], {"scopes": ["read", "admin:tokens"]}, None),
        (["admin", "read"], {"scopes": ["admin"]}, None),
        (["admin:tokens"], {"scopes": ["token:admin"]}, None),
        (["admin:tokens"], {"scopes": ["read:tokens"]}, None),
        (["admin"], {"appendScopes": ["read"]}, None),
        (["admin:tokens"], {"name": "renamed", "description": "new"}, None),
        (["admin:tokens"], {"isActive": False}, None),
    ],
)
def test_a_token_narrows_itself_or_ends_and_never_widens_itself(
    world: World, attempt: Attempt, kind: str, own: list[str], given: dict[str, Any], expected: str | None
) -> None:
    token: Token = (
        make_api_token(world.acme, *own) if kind == "API token" else make_personal_token(world.owner, *own)
    )

    assert change(attempt, token, token, **given).code == expected


def test_a_personal_token_does_not_shed_its_scopes(world: World, attempt: Attempt) -> None:
    """Without scopes it would have no limit: even admin, which lacks nothing, does not do it to itself."""
    narrow, wide = make_personal_token(world.owner, "admin:tokens"), make_personal_token(world.owner, "admin")

    assert change(attempt, narrow, narrow, clearScopes=True).code == "INSUFFICIENT_SCOPES"
    assert change(attempt, narrow, narrow, scopes=[]).code == "INSUFFICIENT_SCOPES"
    assert change(attempt, wide, wide, clearScopes=True).code == "UNAUTHORIZED"
    assert change(attempt, narrow, wide, clearScopes=True).code == "INSUFFICIENT_SCOPES"
    assert change(attempt, wide, narrow, clearScopes=True).code is None


def test_a_token_that_narrowed_itself_is_narrow_at_the_next_request(world: World, query: Query) -> None:
    token = make_personal_token(world.owner, "admin")
    variables = {"id": str(token.pk), "input": {"scopes": ["admin:tokens"]}}
    assert query(UPDATE_PERSONAL, variables, token=token.token).code is None

    widen = {"id": str(token.pk), "input": {"scopes": ["admin"]}}
    assert query(UPDATE_PERSONAL, widen, token=token.token).code == "INSUFFICIENT_SCOPES"
    assert query("{ events { totalCount } }", token=token.token).code == "INSUFFICIENT_SCOPES"


def test_a_bound_token_does_not_let_itself_out(world: World, attempt: Attempt) -> None:
    token = make_personal_token(world.both, organizations=[world.acme.pk])
    acme, globex = str(world.acme.pk), str(world.globex.pk)

    assert change(attempt, token, token, clearOrganizations=True).code == "UNAUTHORIZED"
    assert change(attempt, token, token, addOrganizationIDs=[globex]).code == "NOT_FOUND"
    assert (
        change(attempt, token, token, removeOrganizationIDs=[acme], addOrganizationIDs=[globex]).code
        == "NOT_FOUND"
    )
    assert change(attempt, token, token, removeOrganizationIDs=[acme]).code is None


# --- widening another (case 5) -----------------------------------------------------------------------

IN_A_YEAR = timezone.now() + timedelta(days=365)


def wire(moment: datetime) -> str:
    return moment.isoformat()


@pytest.mark.parametrize("kind", ["API token", "personal token"])
@pytest.mark.parametrize(
    ("own", "theirs", "given", "expected"),
    [
        (["admin:tokens"], ["read:tasks"], {"appendScopes": ["write:tasks"]}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens", "read"], ["read:tasks"], {"scopes": ["write:tasks"]}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens", "read"], ["read:tasks"], {"scopes": ["read"]}, None),
        (["admin:tokens"], ["admin"], {"scopes": ["read", "admin:tokens"]}, None),
        (["admin:tokens"], ["admin"], {"name": "renamed"}, None),
        (["admin:tokens"], ["admin"], {"isActive": False}, None),
        (["admin:tokens"], ["admin"], {"expiresAt": wire(IN_A_YEAR - timedelta(days=1))}, None),
        (
            ["admin:tokens"],
            ["admin"],
            {"expiresAt": wire(IN_A_YEAR + timedelta(days=1))},
            "INSUFFICIENT_SCOPES",
        ),
        (["admin:tokens"], ["admin"], {"clearExpiresAt": True}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens", "read"], ["read:tasks"], {"clearExpiresAt": True}, None),
        (["admin"], ["admin"], {"clearExpiresAt": True}, None),
    ],
)
def test_a_token_gives_another_no_scope_and_no_time_for_a_scope_it_lacks(
    world: World,
    attempt: Attempt,
    kind: str,
    own: list[str],
    theirs: list[str],
    given: dict[str, Any],
    expected: str | None,
) -> None:
    asking = make_personal_token(world.owner, *own)
    if kind == "API token":
        target: Token = make_api_token(world.acme, *theirs, expires_at=IN_A_YEAR)
    else:
        target = make_personal_token(world.owner, *theirs, expires_at=IN_A_YEAR)

    assert change(attempt, asking, target, **given).code == expected


@pytest.mark.parametrize(
    ("scopes", "reach", "given", "expected"),
    [
        # of the token that asks, where it reaches, what it asks for another that is bound to acme, the answer
        (["admin"], None, {"addOrganizationIDs": ["globex"]}, None),
        (["admin"], None, {"clearOrganizations": True}, None),
        (["admin:tokens"], None, {"addOrganizationIDs": ["globex"]}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens"], None, {"clearOrganizations": True}, "INSUFFICIENT_SCOPES"),
        (["admin:tokens"], None, {"removeOrganizationIDs": ["acme"]}, None),
        (["admin"], ["acme"], {"addOrganizationIDs": ["globex"]}, "NOT_FOUND"),
        (["admin"], ["acme"], {"clearOrganizations": True}, "UNAUTHORIZED"),
        (["admin"], ["acme"], {"appendScopes": ["write:tasks"]}, None),
        (["admin"], ["globex"], {"appendScopes": ["write:tasks"]}, "UNAUTHORIZED"),
        (["admin"], ["globex"], {"clearScopes": True}, "UNAUTHORIZED"),
        (["admin"], ["globex"], {"clearExpiresAt": True}, "UNAUTHORIZED"),
        (["admin"], ["globex"], {"scopes": ["read:tasks"]}, None),
        (["admin"], ["globex"], {"isActive": False}, None),
    ],
)
def test_a_token_gives_another_no_place_it_does_not_reach_and_nothing_for_such_a_place(
    world: World,
    attempt: Attempt,
    scopes: list[str],
    reach: list[str] | None,
    given: dict[str, Any],
    expected: str | None,
) -> None:
    ids = {"acme": world.acme.pk, "globex": world.globex.pk}
    asking = make_personal_token(world.both, *scopes, organizations=reach and [ids[name] for name in reach])
    target = make_personal_token(world.both, "read", organizations=[world.acme.pk], expires_at=IN_A_YEAR)
    sent = {
        name: [str(ids[one]) for one in value] if name.endswith("IDs") else value
        for name, value in given.items()
    }

    assert change(attempt, asking, target, **sent).code == expected


def test_a_bound_token_gives_nothing_to_one_that_reaches_everything(world: World, attempt: Attempt) -> None:
    asking = make_personal_token(world.both, "admin", organizations=[world.acme.pk])
    target = make_personal_token(world.both, "read:tasks")

    assert change(attempt, asking, target, appendScopes=["write:tasks"]).code == "UNAUTHORIZED"
    assert change(attempt, asking, target, name="renamed").code is None


def test_a_session_gives_its_owners_tokens_whatever_it_likes(world: World, attempt: Attempt) -> None:
    """A personal token never has more than its owner; so a person needs no permission to widen one."""
    token = make_personal_token(
        world.member, "read:tasks", organizations=[world.acme.pk], expires_at=IN_A_YEAR
    )
    variables = {
        "id": str(token.pk),
        "input": {"clearScopes": True, "clearOrganizations": True, "clearExpiresAt": True},
    }

    assert attempt(UPDATE_PERSONAL, variables, user=world.member).code is None
    assert identify(token.token, timezone.now()).limit is None


# --- time (cases 6, 7) -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["API token", "personal token"])
@pytest.mark.parametrize("scopes", [["admin"], ["admin:tokens"]])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"expiresAt": wire(IN_A_YEAR + timedelta(seconds=1))}, "UNAUTHORIZED"),
        ({"clearExpiresAt": True}, "UNAUTHORIZED"),
        ({"expiresAt": wire(IN_A_YEAR - timedelta(days=300))}, None),
    ],
)
def test_a_token_shortens_its_own_life_and_never_prolongs_it(
    world: World, attempt: Attempt, kind: str, scopes: list[str], given: dict[str, Any], expected: str | None
) -> None:
    if kind == "API token":
        token: Token = make_api_token(world.acme, *scopes, expires_at=IN_A_YEAR)
    else:
        token = make_personal_token(world.owner, *scopes, expires_at=IN_A_YEAR)

    assert change(attempt, token, token, **given).code == expected


@pytest.mark.parametrize("document", [CREATE_API, CREATE_PERSONAL])
@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        (None, "VALIDATION_ERROR"),
        (IN_A_YEAR + timedelta(microseconds=1), "VALIDATION_ERROR"),
        (IN_A_YEAR, None),
        (IN_A_YEAR - timedelta(days=1), None),
    ],
)
def test_a_child_does_not_outlive_its_parent(
    world: World, attempt: Attempt, document: str, expires_at: datetime | None, expected: str | None
) -> None:
    parents: list[Token] = [make_personal_token(world.owner, expires_at=IN_A_YEAR)]
    if document is CREATE_API:
        parents.append(make_api_token(world.acme, "admin", expires_at=IN_A_YEAR))
    given = {"name": "x"} if expires_at is None else {"name": "x", "expiresAt": wire(expires_at)}

    for parent in parents:
        answer = attempt(document, {"input": given}, token=parent.token)

        assert answer.code == expected
        if expected:
            assert list(answer.error["extensions"]["fields"]) == ["expiresAt"]
            assert "It cannot outlive the token that asks" in answer.error["message"]


def test_a_token_gives_no_other_a_life_beyond_its_own(world: World, attempt: Attempt) -> None:
    asking = make_personal_token(world.owner, expires_at=IN_A_YEAR)
    target = make_personal_token(world.owner, expires_at=IN_A_YEAR - timedelta(days=1))

    assert change(attempt, asking, target, clearExpiresAt=True).code == "VALIDATION_ERROR"
    later = wire(IN_A_YEAR + timedelta(days=1))
    assert change(attempt, asking, target, expiresAt=later).code == "VALIDATION_ERROR"
    assert change(attempt, asking, target, expiresAt=wire(IN_A_YEAR)).code is None


# --- scopes that are none (cases 8, 9, 11) -----------------------------------------------------------

NO_SCOPES = {
    "unknown": ["execute"],
    "a near miss": ["raed"],
    "wrong case": ["READ"],
    "wrong case of the other spelling": ["Control:read"],
    "a wildcard": ["*"],
    "a wildcard of objects": ["read:*"],
    "trailing space": ["read "],
    "leading space": [" read"],
    "a line break": ["read\n"],
    "an empty string": [""],
    "a list in one string": ["read,write"],
    "one good, one bad": ["read", "admin:everything"],
    "the same twice": ["read", "read"],
    "the same in both spellings": ["read:controls", "control:read"],
    "a hundred and one": ["read"] * 101,
    "ten thousand": [f"read:{number}" for number in range(10_000)],
    "a very long one": ["read" * 1_000],
}


@pytest.mark.parametrize("case", NO_SCOPES)
def test_what_is_no_scope_is_refused_and_not_repaired(world: World, attempt: Attempt, case: str) -> None:
    asking, machine = make_personal_token(world.owner), make_api_token(world.acme, "read:tasks")
    personal = make_personal_token(world.owner, "read:tasks")
    given = {"scopes": NO_SCOPES[case]}
    answers = [
        attempt(CREATE_API, {"input": {"name": "x", **given}}, token=asking.token),
        attempt(CREATE_PERSONAL, {"input": {"name": "x", **given}}, token=asking.token),
        change(attempt, asking, machine, **given),
        change(attempt, asking, personal, **given),
        change(attempt, asking, personal, appendScopes=NO_SCOPES[case]),
    ]

    told = [(answer.code, answer.error["extensions"].get("fields", {}).keys()) for answer in answers]
    if case == "the same twice":
        told[-1:] = []  # appending is a union
    assert told == [("VALIDATION_ERROR", {"scopes"})] * len(told)
    assert all(len(answer.error["message"]) < 300 for answer in answers if answer.code)


@pytest.mark.parametrize("given", [{}, {"scopes": []}, {"scopes": None}])
def test_no_scopes_never_mean_every_scope_for_an_api_token(
    world: World, query: Query, given: dict[str, Any]
) -> None:
    answer = query(
        CREATE_API, {"input": {"name": "x", **given}}, token=make_personal_token(world.owner).token
    )

    value = answer.data["createAPIToken"]["apiToken"]["token"]
    assert query("{ viewer { abilities } }", token=value).data["viewer"]["abilities"] == []
    assert query("{ apiTokens { totalCount } }", token=value).code == "INSUFFICIENT_SCOPES"


@pytest.mark.parametrize("given", [{"clearScopes": True}, {"scopes": []}])
def test_an_api_token_whose_scopes_are_taken_away_has_none(
    world: World, attempt: Attempt, given: dict[str, Any]
) -> None:
    token = make_api_token(world.acme, "admin")

    answer = change(attempt, make_personal_token(world.owner, "admin:tokens"), token, **given)

    assert answer.data["updateAPIToken"]["apiToken"]["abilities"] == []
    assert identify(token.token, timezone.now()).abilities == []


@pytest.mark.parametrize(
    "given",
    [
        {"scopes": ["read"], "appendScopes": ["write"]},
        {"scopes": ["read"], "clearScopes": True},
        {"appendScopes": ["read"], "clearScopes": True},
        {"scopes": ["read"], "appendScopes": ["write"], "clearScopes": True},
    ],
)
def test_orders_that_contradict_each_other_are_refused(
    world: World, attempt: Attempt, given: dict[str, Any]
) -> None:
    asking = make_personal_token(world.owner)

    for target in (make_api_token(world.acme), make_personal_token(world.owner, "read")):
        answer = change(attempt, asking, target, **given)
        assert answer.code == "VALIDATION_ERROR"
        assert answer.error["extensions"]["fields"].keys() <= given.keys()


# --- reading beyond one's scopes (cases 10, 14) ------------------------------------------------------


def probes() -> dict[str, tuple[str, str]]:
    """Root field -> (the scope it declares, a document that asks for it and can change nothing)."""
    found = {}
    for root in (RootQuery, Mutation):
        kind = "query" if root is RootQuery else "mutation"
        for field in root.__strawberry_definition__.fields:
            (scope,) = [one.scope for one in field.directives if isinstance(one, RequiresScope)] or [""]
            name = schema.config.name_converter.from_field(field)
            if scope and not name.startswith("create"):
                found[name] = scope, f"{kind} {{ {_call(name)} }}"
    return found


EMPTY = {"ID": f'"{uuid4()}"', "String": '"x"', "[ID!]": "[]", "Upload": '""'} | {
    f"[{name}!]": "[]" for name in schema._schema.type_map if name.startswith("Create")
}
"""The least that can be sent for an argument of a type; `{}` for any other input."""


def _call(name: str) -> str:
    by_name = schema._schema.query_type.fields | schema._schema.mutation_type.fields
    field = by_name[name]
    arguments = ", ".join(
        f"{one}: {EMPTY[str(argument.type).rstrip('!')]}"
        if str(argument.type).rstrip("!") in EMPTY
        else f"{one}: {{}}"
        for one, argument in field.args.items()
        if one in ("id", "ids", "input", "query")
    )
    return f"{name}{f'({arguments})' if arguments else ''} {{ __typename }}"


PROBES = probes()


def test_the_probes_ask_every_root_field_that_needs_a_scope() -> None:
    assert {"apiTokens", "apiToken", "personalAccessTokens", "deleteAPIToken", "events", "users"} <= set(
        PROBES
    )


@pytest.mark.parametrize(
    ("who", "scopes"),
    [
        ("owner", []),
        ("owner", ["read:tasks"]),
        ("owner", ["control:read", "write:evidence", "admin:integrations"]),
        ("owner", ["read:tokens"]),
        ("owner", ["read"]),
        ("owner", ["write:groups", "event:read"]),
        ("owner", ["admin:tokens"]),
        ("auditor", []),
        ("member", []),
        ("member", ["admin"]),
        ("api token", []),
        ("api token", ["read:members", "write:organization"]),
        ("api token", ["read"]),
        ("api token", ["admin"]),
    ],
)
def test_abilities_are_exactly_what_a_probe_of_every_operation_shows(
    world: World, query: Query, who: str, scopes: list[str]
) -> None:
    if who == "api token":
        token: Token = make_api_token(world.acme, *scopes)
    else:
        token = make_personal_token(getattr(world, who), *scopes)
    abilities = query("{ viewer { abilities } }", token=token.token).data["viewer"]["abilities"]

    for name, (scope, document) in PROBES.items():
        is_open = query(document, token=token.token).code not in DENIALS
        assert is_open is (scope in abilities), name


# --- what the server owns (case 12) ------------------------------------------------------------------

PAST = "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("document", "given"),
    [
        (CREATE_API, {"lastUsedAt": PAST}),
        (CREATE_API, {"revokedBy": "me"}),
        (CREATE_API, {"revokedAt": PAST}),
        (CREATE_API, {"revokedReason": "none"}),
        (CREATE_PERSONAL, {"lastUsedAt": PAST}),
        (UPDATE_API, {"lastUsedAt": PAST}),
        (UPDATE_API, {"revokedBy": "me"}),
        (UPDATE_API, {"revokedAt": PAST}),
        (UPDATE_API, {"ownerID": "globex"}),
        (UPDATE_PERSONAL, {"lastUsedAt": PAST}),
    ],
)
def test_what_the_server_owns_is_refused_by_name(
    world: World, attempt: Attempt, document: str, given: dict[str, Any]
) -> None:
    target: Token = make_api_token(world.acme) if document == UPDATE_API else make_personal_token(world.owner)
    variables: dict[str, Any] = {"input": {"name": "new", **given}}
    if document in (UPDATE_API, UPDATE_PERSONAL):
        variables["id"] = str(target.pk)

    answer = attempt(document, variables, token=make_personal_token(world.owner).token)

    (name,) = given
    assert answer.code == "VALIDATION_ERROR"
    assert list(answer.error["extensions"]["fields"]) == [name]
    assert "Leave it out." in answer.error["message"]


@pytest.mark.parametrize(
    "name",
    [
        *("id", "token", "digest", "hint", "pepperID", "createdBy", "createdAt", "updatedBy", "usageCount"),
        *("abilities", "ssoAuthorizations", "deletedAt", "recentIPAddresses", "coversAllOrganizations"),
    ],
)
def test_what_is_no_input_at_all_is_refused_before_anything_happens(
    world: World, attempt: Attempt, name: str
) -> None:
    asking = make_personal_token(world.owner)
    given = {"input": {"name": "new", name: "x"}}

    for document in (CREATE_API, CREATE_PERSONAL, UPDATE_API, UPDATE_PERSONAL):
        target = make_api_token(world.acme) if document == UPDATE_API else make_personal_token(world.owner)
        variables = given | ({"id": str(target.pk)} if document in (UPDATE_API, UPDATE_PERSONAL) else {})
        answer = attempt(document, variables, token=asking.token)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert name in answer.error["message"]


def test_who_made_a_token_is_not_for_the_client_to_say(world: World, query: Query) -> None:
    asking = make_personal_token(world.admin)
    query(CREATE_API, {"input": {"name": "x"}}, token=asking.token)

    made = APIToken.objects.get(name="x")
    assert (made.created_by, made.updated_by, made.usage_count, made.revoked_by) == (
        *(str(world.admin.pk), str(world.admin.pk)),
        *(0, None),
    )


# --- many in one document (cases 15, 16) -------------------------------------------------------------


def test_thirty_aliases_are_thirty_attempts_each_refused_and_each_in_the_trail(
    world: World, query: Query
) -> None:
    token = make_personal_token(world.owner, "read")
    calls = " ".join(
        f'a{n}: createAPIToken(input: {{name: "n{n}"}}) {{ apiToken {{ id }} }}' for n in range(30)
    )
    before, events = everything(), Event.objects.count()

    answer = query(f"mutation {{ {calls} }}", token=token.token)

    codes = [error["extensions"]["code"] for error in answer.body["errors"]]
    assert codes == ["INSUFFICIENT_SCOPES"] * len(codes)
    assert everything() == before
    # A field that must not be null ends the document at its first refusal; the others are not even tried.
    assert new_events(events) == [Action.ACCESS_DENIED] * len(codes)


def test_in_a_document_of_two_the_first_stays_when_the_second_is_refused(world: World, query: Query) -> None:
    """Each root field is a transaction of its own; the GraphQL specification runs mutations in series."""
    token = make_personal_token(world.owner, "admin:tokens", "read:tasks")
    events = Event.objects.count()

    answer = query(
        """mutation {
            first: createAPIToken(input: {name: "allowed", scopes: ["read:tasks"]}) { apiToken { id } }
            second: createAPIToken(input: {name: "refused", scopes: ["admin"]}) { apiToken { id } }
        }""",
        token=token.token,
    )

    assert [error["path"] for error in answer.body["errors"]] == [["second"]]
    assert answer.code == "INSUFFICIENT_SCOPES"
    assert list(APIToken.objects.values_list("name", flat=True)) == ["allowed"]
    assert new_events(events) == [Action.API_TOKEN_CREATED, Action.ACCESS_DENIED]


# --- what a rename leaves (case 17) ------------------------------------------------------------------


def test_a_rename_leaves_scopes_and_organizations_untouched(world: World, attempt: Attempt) -> None:
    asking = make_personal_token(world.both, "admin:tokens")
    bound = make_personal_token(world.both, "read", "task:write", organizations=[world.globex.pk])
    free = make_personal_token(world.both)

    for token in (bound, free):
        before = PersonalAccessToken.objects.filter(pk=token.pk).values().get()
        assert change(attempt, asking, token, name="renamed", scopes=None, expiresAt=None).code is None
        after = PersonalAccessToken.objects.filter(pk=token.pk).values().get()
        assert {name for name in after if after[name] != before[name]} <= {"name", "updated_at", "updated_by"}

    assert list(bound.organizations.all()) == [world.globex]
    assert not free.organizations.exists()


def test_null_and_absent_change_nothing(world: World, query: Query) -> None:
    token = make_personal_token(world.owner, "read", description="kept", expires_at=IN_A_YEAR)
    events = Event.objects.count()
    names = ("name", "description", "scopes", "expiresAt", "isActive", "tags", "appendScopes", "clearScopes")

    answer = query(
        UPDATE_PERSONAL,
        {"id": str(token.pk), "input": dict.fromkeys(names)},
        token=make_personal_token(world.owner).token,
    )

    assert answer.code is None
    row = PersonalAccessToken.objects.get(pk=token.pk)
    assert (row.name, row.description, row.scopes, row.expires_at, row.is_active) == (
        *("script", "kept", ["read"]),
        *(IN_A_YEAR, True),
    )
    assert new_events(events)[1:] == []


# --- time that is none (case 34) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "expires_at",
    [
        "2031-01-01T00:00:00",
        "2031-01-01",
        "tomorrow",
        "",
        1_900_000_000,
        wire(datetime(2020, 1, 1, tzinfo=UTC)),
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "2400-01-01T00:00:00Z",
    ],
)
def test_an_expiry_that_is_naive_past_or_absurd_is_refused(
    world: World, attempt: Attempt, expires_at: Any
) -> None:
    asking, machine = make_personal_token(world.owner), make_api_token(world.acme)

    for answer in (
        attempt(CREATE_API, {"input": {"name": "x", "expiresAt": expires_at}}, token=asking.token),
        attempt(CREATE_PERSONAL, {"input": {"name": "x", "expiresAt": expires_at}}, token=asking.token),
        change(attempt, asking, machine, expiresAt=expires_at),
    ):
        assert answer.code == "VALIDATION_ERROR"


def test_the_personal_tokens_of_others_are_listed_to_nobody(world: World, query: Query) -> None:
    for user in (world.member, world.both):
        make_personal_token(user)

    for asking in (make_personal_token(world.owner).token, make_api_token(world.acme, "admin").token):
        answer = query(LIST_PERSONAL, token=asking)
        names = [edge["node"]["owner"]["email"] for edge in answer.data["personalAccessTokens"]["edges"]]
        assert set(names) <= {"owner@example.org"}
        assert "member@example.org" not in json.dumps(answer.body)


def test_an_organization_that_is_made_later_is_no_ones_before_they_join(world: World, query: Query) -> None:
    later: Organization = make_organization("initech")
    token = make_personal_token(world.owner, "admin").token

    answer = query(CREATE_API, {"input": {"name": "x", "ownerID": str(later.pk)}}, token=token)

    assert answer.code == "NOT_FOUND"
