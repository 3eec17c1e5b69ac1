"""What inputs say: absent, null, cleared, appended; contradictions; what the server owns; bad values.

A refusal has a code, names the keys as the client spelled them, and leaves nothing behind.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from tests.conftest import Answer, Query, World
from tests.factories import make_api_token, make_personal_token
from tokens.models import APIToken, PersonalAccessToken

CREATE = {
    "api": """
    mutation($input: CreateAPITokenInput!) { createAPIToken(input: $input) { apiToken { id name } } }
    """,
    "personal": """
    mutation($input: CreatePersonalAccessTokenInput!) {
      createPersonalAccessToken(input: $input) { personalAccessToken { id name } }
    }
    """,
}
UPDATE = {
    "api": """
    mutation($id: ID!, $input: UpdateAPITokenInput!) {
      updateAPIToken(id: $id, input: $input) {
        apiToken { name description scopes tags expiresAt isActive revokedReason }
      }
    }
    """,
    "personal": """
    mutation($id: ID!, $input: UpdatePersonalAccessTokenInput!) {
      updatePersonalAccessToken(id: $id, input: $input) {
        personalAccessToken {
          name description scopes tags expiresAt isActive revokedReason
          organizations { edges { node { name } } }
        }
      }
    }
    """,
}
KINDS = ["api", "personal"]
EXPIRY = (timezone.now() + timedelta(days=30)).replace(microsecond=0)

Input = dict[str, Any]
Send = Callable[..., Answer]


def wire(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.fixture
def owner(world: World) -> str:
    return make_personal_token(world.owner, name="asking").token


@pytest.fixture
def create(query: Query, owner: str) -> Send:
    """create("api", {...}) as the owner of acme."""
    return lambda kind, given: query(CREATE[kind], {"input": given}, token=owner)


@pytest.fixture
def change(world: World, query: Query, owner: str) -> Send:
    """change("api", {...}): the same token of that kind each time, which has something in every column."""
    fields: dict[str, Any] = {
        "name": "before",
        "description": "kept",
        "tags": ["one"],
        "expires_at": EXPIRY,
    }
    tokens = {
        "api": make_api_token(world.acme, "read:tasks", **fields),
        "personal": make_personal_token(world.owner, "read:tasks", **fields),
    }
    return lambda kind, given: query(UPDATE[kind], {"id": str(tokens[kind].pk), "input": given}, token=owner)


def changed(answer: Answer) -> dict[str, Any]:
    (payload,) = answer.data.values()
    (token,) = payload.values()
    return token


def everything() -> list[Any]:
    """Every token and every event there is."""
    return [
        *APIToken.objects.order_by("pk").values(),
        *PersonalAccessToken.objects.order_by("pk").values(),
        Event.objects.count(),
    ]


def assert_refused(send: Callable[[], Answer], code: str, *keys: str) -> Answer:
    """With this code, naming these keys, and without a trace."""
    before = everything()
    answer = send()
    assert answer.code == code, answer.body
    assert answer.body.get("data") is None
    assert sorted(answer.error["extensions"].get("fields", {})) == sorted(keys)
    assert everything() == before
    return answer


# --- absent, null, cleared, appended -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {
            "name": None,
            "description": None,
            "scopes": None,
            "tags": None,
            "expiresAt": None,
            "isActive": None,
        },
        {"clearDescription": False, "clearScopes": False, "clearTags": False, "clearExpiresAt": False},
        {"clearDescription": None, "appendTags": [], "appendScopes": []},
    ],
    ids=["absent", "null", "not cleared", "nothing appended"],
)
def test_what_is_not_said_changes_nothing(change: Send, kind: str, given: Input) -> None:
    before = everything()

    token = changed(change(kind, given))

    assert (token["name"], token["description"], token["scopes"]) == ("before", "kept", ["read:tasks"])
    assert (token["tags"], token["expiresAt"], token["isActive"]) == (["one"], wire(EXPIRY), True)
    assert everything()[-1] == before[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_cleared_is_empty(change: Send, kind: str) -> None:
    given = {"clearDescription": True, "clearTags": True, "clearExpiresAt": True, "clearScopes": True}

    token = changed(change(kind, given))

    assert (token["description"], token["tags"], token["expiresAt"]) == (None, [], None)
    assert token["scopes"] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "scopes"),
    [
        ({"scopes": ["read"]}, ["read"]),
        ({"scopes": []}, []),
        ({"appendScopes": ["read"]}, ["read:tasks", "read"]),
        ({"appendScopes": ["read:tasks", "write:tasks"]}, ["read:tasks", "write:tasks"]),
        ({"scopes": ["control:read", "api_token:read"]}, ["control:read", "api_token:read"]),
    ],
    ids=str,
)
def test_a_list_is_replaced_or_appended_to(change: Send, kind: str, given: Input, scopes: list[str]) -> None:
    assert changed(change(kind, given))["scopes"] == scopes


def test_a_personal_token_reaches_the_organizations_it_is_told(
    world: World, query: Query, create: Send
) -> None:
    acme, globex = str(world.acme.pk), str(world.globex.pk)
    token = make_personal_token(world.both, organizations=[world.acme.pk])
    asking = make_personal_token(world.both).token

    def reached(given: Input) -> list[str]:
        answer = query(UPDATE["personal"], {"id": str(token.pk), "input": given}, token=asking)
        return [edge["node"]["name"] for edge in changed(answer)["organizations"]["edges"]]

    assert reached({"addOrganizationIDs": [globex]}) == ["acme", "globex"]
    assert reached({"addOrganizationIDs": [acme], "removeOrganizationIDs": [globex]}) == ["acme"]
    assert reached({"addOrganizationIDs": [], "removeOrganizationIDs": ["malformed"]}) == ["acme"]
    assert reached({"clearOrganizations": True}) == ["acme", "globex"]
    assert PersonalAccessToken.objects.get(pk=token.pk).covers_all_organizations


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_token_needs_a_name_alone(create: Send, kind: str) -> None:
    assert changed(create(kind, {"name": "x"}))["name"] == "x"
    full = {
        "name": "y",
        "description": None,
        "scopes": None,
        "tags": None,
        "expiresAt": None,
        "isActive": True,
    }
    assert changed(create(kind, full))["name"] == "y"


# --- contradictions, and what is the server's ---------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({"scopes": ["read"], "appendScopes": ["read"]}, ["scopes", "appendScopes"]),
        ({"scopes": ["read"], "clearScopes": True}, ["scopes", "clearScopes"]),
        ({"appendScopes": ["read"], "clearScopes": True}, ["appendScopes", "clearScopes"]),
        (
            {"scopes": ["read"], "appendScopes": ["read"], "clearScopes": True},
            ["scopes", "appendScopes", "clearScopes"],
        ),
        ({"tags": ["x"], "clearTags": True}, ["tags", "clearTags"]),
        ({"description": "x", "clearDescription": True}, ["description", "clearDescription"]),
        ({"expiresAt": wire(EXPIRY), "clearExpiresAt": True}, ["expiresAt", "clearExpiresAt"]),
    ],
    ids=lambda value: ",".join(value),
)
def test_keys_that_contradict_each_other_are_refused_by_name(
    change: Send, kind: str, given: Input, keys: list[str]
) -> None:
    answer = assert_refused(lambda: change(kind, given), "VALIDATION_ERROR", *keys)

    assert all(key in answer.error["message"] for key in keys)


def test_to_clear_the_organizations_is_not_to_choose_them(world: World, change: Send) -> None:
    for key in ("addOrganizationIDs", "removeOrganizationIDs"):
        given = {key: [str(world.acme.pk)], "clearOrganizations": True}
        assert_refused(
            lambda given=given: change("personal", given), "VALIDATION_ERROR", key, "clearOrganizations"
        )


NOW = wire(timezone.now())
OWNED = {
    ("create", "api"): {"lastUsedAt": NOW, "revokedAt": NOW, "revokedBy": "me", "revokedReason": "x"},
    ("create", "personal"): {"lastUsedAt": NOW, "eventIDs": ["x"]},
    ("update", "api"): {
        "lastUsedAt": NOW,
        "clearLastUsedAt": True,
        "revokedAt": NOW,
        "clearRevokedAt": True,
        "revokedBy": "me",
        "clearRevokedBy": True,
        "clearRevokedReason": True,
        "clearIsActive": True,
        "ownerID": "x",
        "clearOwner": True,
    },
    ("update", "personal"): {
        "lastUsedAt": NOW,
        "clearLastUsedAt": False,
        "clearRevokedReason": True,
        "clearIsActive": True,
        "addEventIDs": ["x"],
        "removeEventIDs": [],
        "clearEvents": True,
    },
}


@pytest.mark.parametrize(
    ("verb", "kind", "keys"),
    [
        (verb, kind, keys)
        for (verb, kind), owned in OWNED.items()
        for keys in [*([key] for key in owned), list(owned)]
    ],
    ids=str,
)
def test_what_the_server_owns_is_refused_by_name(
    create: Send, change: Send, verb: str, kind: str, keys: list[str]
) -> None:
    given = {key: OWNED[verb, kind][key] for key in keys}

    def send() -> Answer:
        return (
            create(kind, {"name": "x", **given}) if verb == "create" else change(kind, {"name": "x", **given})
        )

    answer = assert_refused(send, "VALIDATION_ERROR", *keys)
    assert all(f"{key} is the server's to set" in answer.error["message"] for key in keys)


def test_null_where_the_server_owns_is_absent_like_any_null(create: Send) -> None:
    given = {"name": "x", "revokedBy": None, "revokedAt": None, "lastUsedAt": None}

    assert changed(create("api", given))["name"] == "x"


@pytest.mark.parametrize("key", ["createdBy", "usageCount", "token", "digest", "ownerID", "id", "updatedBy"])
def test_what_no_input_has_is_a_bad_request(change: Send, key: str) -> None:
    answer = assert_refused(lambda: change("personal", {key: "x"}), "BAD_REQUEST")

    assert answer.status == 400
    assert key in answer.error["message"]


def test_a_reason_without_a_revocation_is_refused(change: Send) -> None:
    for kind in KINDS:
        assert_refused(
            lambda kind=kind: change(kind, {"revokedReason": "x"}), "VALIDATION_ERROR", "revokedReason"
        )


def test_a_token_that_never_worked_is_refused(create: Send) -> None:
    for kind in KINDS:
        assert_refused(
            lambda kind=kind: create(kind, {"name": "x", "isActive": False}), "VALIDATION_ERROR", "isActive"
        )


# --- bad values --------------------------------------------------------------------------------------

BAD = [
    ("unknown scope", {"scopes": ["read:tokns"]}, 'Did you mean "read:tokens"?'),
    ("unknown scope, other spelling", {"scopes": ["contrl:read"]}, 'Did you mean "control:read"?'),
    ("unknown scope, nothing near", {"scopes": ["qqqqqqqq"]}, 'Unknown scope "qqqqqqqq". See scopes'),
    ("wildcard", {"scopes": ["read:*"]}, 'Unknown scope "read:*"'),
    ("star", {"scopes": ["*"]}, 'Unknown scope "*"'),
    ("wrong case", {"scopes": ["Read"]}, 'Did you mean "read"?'),
    ("trailing space", {"scopes": ["read "]}, 'Unknown scope "read "'),
    ("empty scope", {"scopes": [""]}, 'Unknown scope ""'),
    ("control character in a scope", {"scopes": ["read\n"]}, "Unknown scope"),
    ("same scope twice", {"scopes": ["read", "read"]}, "twice"),
    ("same scope, both spellings", {"scopes": ["read:controls", "control:read"]}, "twice"),
    ("10,000 scopes", {"scopes": ["read"] * 10_000}, "At most 100 scopes; these are 10000."),
    ("past expiry", {"expiresAt": wire(timezone.now() - timedelta(seconds=1))}, "in the future"),
    ("year 1", {"expiresAt": "0001-01-01T00:00:00Z"}, "in the future"),
    ("year 9999", {"expiresAt": "9999-12-31T23:59:59Z"}, "at most 100 years"),
    ("empty name", {"name": ""}, "name"),
    ("300-character name", {"name": "x" * 300}, "at most 255 characters"),
    ("line break in a name", {"name": "a\nb"}, "one line"),
    ("escape in a name", {"name": "\x1b[31mred"}, "U+001B"),
    ("direction override in a name", {"name": "a\u202eb"}, "U+202E"),
    ("control character in a description", {"description": "a\x07b"}, "U+0007"),
    ("3,000-character description", {"description": "x" * 3_000}, "2000"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["create", "update"])
@pytest.mark.parametrize(("given", "says"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_a_bad_value_is_refused_by_name(
    create: Send, change: Send, verb: str, kind: str, given: Input, says: str
) -> None:
    def send() -> Answer:
        return create(kind, {"name": "x", **given}) if verb == "create" else change(kind, given)

    answer = assert_refused(send, "VALIDATION_ERROR", *given)

    assert answer.status == 200
    assert says in answer.error["message"]
    assert len(answer.error["message"]) < 500


def test_everything_that_is_wrong_is_named_at_once(create: Send) -> None:
    given = {"name": "", "description": "\x07", "scopes": ["nope"]}

    assert_refused(lambda: create("api", given), "VALIDATION_ERROR", *given)


@pytest.mark.parametrize(
    "moment",
    ["2030-12-31T23:59:59", "2030-12-31", "soon", "", 1893456000, "0001-01-01T00:00:00+14:00", [], {}],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_an_expiry_without_an_offset_is_refused_by_name(create: Send, kind: str, moment: Any) -> None:
    given = {"name": "x", "expiresAt": moment}

    answer = assert_refused(lambda: create(kind, given), "VALIDATION_ERROR", "expiresAt")

    assert "RFC 3339 with an offset" in answer.error["message"]


def test_an_expiry_without_an_offset_is_refused_by_name_in_the_document_too(query: Query, owner: str) -> None:
    document = """
    mutation { createAPIToken(input: {name: "x", expiresAt: "2030-12-31T23:59:59"}) { apiToken { id } } }
    """
    assert_refused(lambda: query(document, token=owner), "VALIDATION_ERROR", "expiresAt")


@pytest.mark.parametrize(
    "moment", ["2030-12-31T23:59:59Z", "2031-01-01T01:59:59+02:00", "2030-12-31T23:59:59.000000000Z"]
)
def test_an_expiry_is_the_same_moment_however_it_is_written(create: Send, moment: str) -> None:
    (payload,) = create("api", {"name": "x", "expiresAt": moment}).data.values()

    expires_at = APIToken.objects.get(pk=payload["apiToken"]["id"]).expires_at
    assert wire(expires_at) == "2030-12-31T23:59:59Z"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": None},
        {"name": 5},
        {"name": ["x"]},
        {"name": "x", "scopes": [None]},
        {"name": "x", "scopes": [1]},
        {"name": "x", "isActive": "yes"},
        {"name": "x", "scopes": {"read": True}},
        [],
        "x",
        None,
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_a_bad_request(create: Send, given: Any) -> None:
    answer = assert_refused(lambda: create("api", given), "BAD_REQUEST")

    assert answer.status == 400


def test_one_scope_is_as_good_as_a_list_of_one(create: Send) -> None:
    """As GraphQL has it."""
    assert changed(create("api", {"name": "x", "scopes": "read"}))["name"] == "x"
