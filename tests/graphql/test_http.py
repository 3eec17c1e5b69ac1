"""GraphQL over HTTP: what is a request, who may send it from where, and that nothing sent makes a 5xx."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import World
from tests.factories import make_api_token, make_personal_token

ME = '{"query": "{ me { id } }"}'
JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
FORM = "application/x-www-form-urlencoded"

Send = Callable[..., HttpResponse]


@pytest.fixture
def token(world: World) -> str:
    return make_personal_token(world.owner).token


@pytest.fixture
def send(client: Client, token: str) -> Send:
    """send(body, content_type=..., **headers) with the owner's token."""

    def post(body: str | bytes = ME, content_type: str = JSON, **headers: str) -> HttpResponse:
        headers.setdefault("authorization", f"Bearer {token}")
        raw = body.encode() if isinstance(body, str) else body
        return client.generic("POST", "/query", raw, content_type=content_type, headers=headers)

    return post


def code(response: HttpResponse) -> str:
    return json.loads(response.content)["errors"][0]["extensions"]["code"]


def query(document: str, **more: Any) -> str:
    return json.dumps({"query": document, **more})


# --- what is no request ------------------------------------------------------------------------------

TWO = "query A { me { id } } query B { me { id } }"
FIRST = "query($first: Int) { apiTokens(first: $first) { totalCount } }"

BAD_BODIES: dict[str, str | bytes] = {
    "nothing": b"",
    "half an object": b"{",
    "an object and more": ME + "x",
    "a byte order mark": b"\xef\xbb\xbf" + ME.encode(),
    "null": b"null",
    "a number": b"1",
    "a string": b'"{ me { id } }"',
    "a list": f"[{ME}]",
    "a form": b"query={me{id}}",
    "NaN": b'{"query": "{ me { id } }", "variables": {"x": NaN}}',
    "Infinity": b'{"query": "{ me { id } }", "variables": {"x": -Infinity}}',
    "invalid UTF-8": b'{"query": "{ me { id } } # \xff"}',
    "UTF-16": ME.encode("utf-16"),
    "a raw NUL": b'{"query": "{ me { id } } # \0"}',
    "an escaped NUL": rb'{"query": "{ me { id } } # \u0000"}',
    "NUL in a variable": rb'{"query": "{ me { id } }", "variables": {"x": "a\u0000b"}}',
    "NUL after a backslash": rb'{"query": "{ me { id } }", "variables": {"x": "\\\u0000"}}',
    "NUL as GraphQL escapes it": query('{ apiTokens(where: {name: "\\u0000"}) { totalCount } }'),
    "NUL as GraphQL escapes it, too": query('{ apiTokens(where: {name: "\\u{00}"}) { totalCount } }'),
    "a lone surrogate": rb'{"query": "{ me { id } }", "variables": {"x": "\ud800"}}',
    "surrogates the wrong way round": rb'{"query": "{ me { id } }", "variables": {"x": "\udc00\ud800"}}',
    "a lone surrogate as a key": rb'{"query": "{ me { id } }", "variables": {"\ud800": 1}}',
    "a lone surrogate as GraphQL escapes it": query('{ apiTokens(where: {name: "\\uD800"}) { totalCount } }'),
    "a number of 4,000 digits": f'{{"query": {json.dumps(FIRST)}, "variables": {{"first": {"9" * 4_000}}}}}',
    "a number of 5,000 digits": f'{{"query": {json.dumps(FIRST)}, "variables": {{"first": {"9" * 5_000}}}}}',
    "a number beyond all": f'{{"query": {json.dumps(FIRST)}, "variables": {{"first": 1e999}}}}',
    "a literal of 4,000 digits": query("{ apiTokens(first: %s) { totalCount } }" % ("9" * 4_000)),
    "a literal of 5,000 digits": query("{ apiTokens(first: %s) { totalCount } }" % ("9" * 5_000)),
    "60,000 lists": "[" * 60_000,
    "60,000 lists, closed": '{"query": "{ me { id } }", "variables": {"x": %s}}'
    % ("[" * 60_000 + "]" * 60_000),
    "60,000 objects": '{"a":' * 40_000,
    "1,000 objects in each other": '{"query": "{ me { id } }", "variables": %s}'
    % ('{"a":' * 999 + "1" + "}" * 999),
    "60,000 selections": query("{" * 60_000),
    "20,000 fields in each other": query("{a" * 20_000 + "}" * 20_000),
    "400 fields in each other": query("{ me " + "{ me " * 400 + "}" * 401),
    "400 lists in a literal": query("{ apiTokens(first: %s) { totalCount } }" % ("[" * 400 + "]" * 400)),
    "400 objects in a literal": query(
        "{ apiTokens(where: %s) { totalCount } }" % ("{not: " * 400 + "{}" + "}" * 400)
    ),
    "no query": b"{}",
    "a null query": b'{"query": null}',
    "a number as query": b'{"query": 1}',
    "an empty query": b'{"query": ""}',
    "a comment as query": b'{"query": "# nothing"}',
    "no GraphQL": b'{"query": "SELECT 1"}',
    "half a query": b'{"query": "{ me { id }"}',
    "an unknown field": query("{ me { nope } }"),
    "a definition of a type": query("type X { a: Int }"),
    "a subscription": query("subscription { me { id } }"),
    "a fragment alone": query("fragment F on User { id }"),
    "two operations and no name": query(TWO),
    "two operations and null as name": query(TWO, operationName=None),
    "two operations and an empty name": query(TWO, operationName=""),
    "a name that no operation has": query(TWO, operationName="C"),
    "a name where the operation has none": query("{ me { id } }", operationName="A"),
    "two operations without names": query("{ me { id } } { me { id } }"),
    "two operations of one name": query("query A { me { id } } query A { me { email } }", operationName="A"),
    "a number as name": query("{ me { id } }", operationName=1),
    "a list as variables": query("{ me { id } }", variables=[]),
    "a string as variables": query("{ me { id } }", variables="{}"),
    "a string as extensions": query("{ me { id } }", extensions="x"),
    "a list as extensions": query("{ me { id } }", extensions=[]),
    "a variable of the wrong type": query(FIRST, variables={"first": "1"}),
    "a variable that is missing": query("query($id: ID!) { apiToken(id: $id) { id } }"),
    "2,000 objects": query("{ me { id } }", variables={"x": [{}] * 2_000}),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_what_is_no_request_is_told_so(send: Send, body: str | bytes) -> None:
    response = send(body)

    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    assert len(response.content) < 20_000


@pytest.mark.parametrize(
    "body",
    [
        ME,
        query("{ me { id } }", variables=None, operationName=None, extensions=None),
        query("{ me { id } }", variables={}, extensions={"persisted": True}, more="ignored"),
        query(
            "{ me { id } }",
            variables={"unused": ["\\u0000", "C:\\users", 'a "quoted" \\ text', "😀", "日本"]},
        ),
        query(TWO, operationName="B"),
        "\n" + ME + "\n",
        ME.replace("{ me", "\\u007b me"),
        rb'{"query": "{ me { id } }", "variables": {"x": "\ud83d\ude00"}}',
    ],
    ids=lambda body: str(body)[:60],
)
def test_what_is_a_request_is_answered(world: World, send: Send, body: str | bytes) -> None:
    response = send(body)

    assert response.status_code == 200
    assert response.json() == {"data": {"me": {"id": str(world.owner.pk)}}}
    assert response["Cache-Control"] == "no-store"


# --- HTTP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_post_is_allowed(client: Client, token: str, method: str) -> None:
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        response = client.generic(method, "/query?query={me{id}}", headers=headers)

        assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON;charset=UTF-8", 200),
        (FORM, 200),  # what curl -d says
        ("", 200),
        ("text/plain", 415),
        ("application/graphql", 415),
        ("application/xml", 415),
        ("nonsense", 415),
    ],
)
def test_a_bearer_may_leave_the_content_type_to_curl(send: Send, content_type: str, status: int) -> None:
    response = send(content_type=content_type)

    assert response.status_code == status
    assert status == 200 or code(response) == "BAD_REQUEST"


def test_a_body_that_is_too_long_is_refused_before_it_is_read(send: Send) -> None:
    most = django_settings.GRAPHQL_BODY_BYTES
    fits = ME + " " * (most - len(ME))

    assert send(fits).status_code == 200
    for response in (send(fits + " "), send("x" * 2_000_000)):
        assert (response.status_code, code(response)) == (413, "BAD_REQUEST")
        assert str(most) in response.json()["error"]


@pytest.mark.parametrize("length", ["-1", "abc", "1e9", "", " ", "9" * 5_000, "²"])
def test_a_content_length_that_is_none_makes_no_5xx(client: Client, token: str, length: str) -> None:
    response = client.post(
        "/query",
        ME,
        content_type=JSON,
        headers={"authorization": f"Bearer {token}"},
        CONTENT_LENGTH=length,
    )

    assert 400 <= response.status_code < 500


@pytest.mark.parametrize(
    ("accept", "kind", "status"),
    [
        (None, JSON, 400),
        ("*/*", JSON, 400),
        ("application/*", JSON, 400),
        (JSON, JSON, 200),
        (f"{JSON}; charset=utf-8", JSON, 200),
        (GRAPHQL, GRAPHQL, 400),
        (f"{GRAPHQL}; charset=utf-8, {JSON}; charset=utf-8", GRAPHQL, 400),
        (f"{GRAPHQL},{JSON};q=0.9", GRAPHQL, 400),
        ("text/html", JSON, 400),
        ("nonsense", JSON, 400),
    ],
)
def test_the_answer_comes_as_it_is_asked_for(send: Send, accept: str | None, kind: str, status: int) -> None:
    """Who asks for application/json gets 200 for a faulty document too, as the draft has it."""
    headers = {} if accept is None else {"accept": accept}

    right, wrong = send(ME, **headers), send(query("{ nope }"), **headers)

    assert (right.status_code, wrong.status_code) == (200, status)
    assert right["Content-Type"].partition(";")[0] == wrong["Content-Type"].partition(";")[0] == kind


@pytest.mark.parametrize("accept", ["*/*", JSON, GRAPHQL])
def test_an_error_of_a_field_is_200_and_data(send: Send, accept: str) -> None:
    response = send(query('{ me { id } apiToken(id: "x") { id } }'), accept=accept)

    assert response.status_code == 200
    assert response.json()["data"] is None
    assert response.json()["errors"] == [
        {
            "message": "apitoken not found",
            "locations": [{"line": 1, "column": 13}],
            "path": ["apiToken"],
            "extensions": {"code": "NOT_FOUND"},
        }
    ]


# --- who, and from where -----------------------------------------------------------------------------


def test_whoever_has_no_credential_learns_nothing(db: None, client: Client) -> None:
    for body in (ME, "{", query("{ __schema { types { name } } }"), query("{ nope }")):
        response = client.post("/query", body, content_type=JSON)

        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Bearer realm="tollgate"'
        message = response.json()["error"]
        assert response.json() == {
            "success": False,
            "error": message,
            "errors": [{"message": message, "extensions": {"code": "UNAUTHENTICATED"}}],
        }


def test_the_seeds_curl_without_a_credential_is_401_and_not_415(db: None, client: Client) -> None:
    assert client.post("/query", ME, content_type=FORM).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic {token}",
        "Token {token}",
        "{token}",
        "Bearer {token} {token}",
        "Bearer {token}, Bearer {token}",
        "Bearer Bearer {token}",
        "Bearer\t{token}",
    ],
)
def test_any_other_header_is_no_credential(send: Send, token: str, header: str) -> None:
    response = send(authorization=header.format(token=token))

    assert (response.status_code, code(response)) == (401, "TOKEN_MALFORMED")
    assert 'error="invalid_token"' in response["WWW-Authenticate"]
    assert token not in response.content.decode()


@pytest.mark.parametrize("name", ["authorization", "AUTHORIZATION", "Authorization"])
def test_the_name_of_the_header_has_no_case(client: Client, token: str, name: str) -> None:
    headers = {name: f"Bearer {token}"}

    assert client.post("/query", ME, content_type=JSON, headers=headers).status_code == 200


@pytest.mark.parametrize("where", ["url", "body", "variables", "escaped", "name"])
def test_a_token_anywhere_but_in_the_header_is_refused(
    client: Client, send: Send, token: str, where: str
) -> None:
    """Whether it is the caller's own or another; and it is not repeated."""
    escaped = "".join(f"\\u{ord(character):04x}" for character in token)
    body = {
        "body": query(f'{{ apiTokens(where: {{name: "{token}"}}) {{ totalCount }} }}'),
        "variables": query("{ me { id } }", variables={"x": [f"my token is {token}!"]}),
        "escaped": f'{{"query": "{{ me {{ id }} }}", "variables": {{"x": "{escaped}"}}}}',
        "name": query("{ me { id } }", operationName=token),
    }
    if where == "url":
        headers = {"authorization": f"Bearer {token}"}
        response = client.post(f"/query?token={token}", ME, content_type=JSON, headers=headers)
    else:
        response = send(body[where])

    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    assert token not in response.content.decode()


@pytest.fixture
def browser(world: World) -> Client:
    """The member's session, with Django's CSRF checks on and the cookie of a page that was seen."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(world.member, backend="django.contrib.auth.backends.ModelBackend")
    browser.get("/login/")
    return browser


def from_page(browser: Client, **headers: str) -> HttpResponse:
    return browser.post("/query", ME, content_type=JSON, headers=headers)


def test_a_session_asks_from_its_own_pages(world: World, browser: Client) -> None:
    csrf = browser.cookies["csrftoken"].value

    for headers in ({}, {"origin": "http://testserver"}):
        response = from_page(browser, **headers, **{"x-csrftoken": csrf})
        assert response.json() == {"data": {"me": {"id": str(world.member.pk)}}}


@pytest.mark.parametrize(
    ("csrf", "headers"),
    [
        (False, {}),
        (False, {"x-csrftoken": "x" * 32}),
        (False, {"x-csrftoken": ""}),
        (True, {"origin": "https://evil.example"}),
        (True, {"origin": "null"}),
        (True, {"origin": "http://testserver.evil.example"}),
    ],
    ids=str,
)
def test_a_session_is_not_used_from_elsewhere(browser: Client, csrf: bool, headers: dict[str, str]) -> None:
    if csrf:
        headers = {**headers, "x-csrftoken": browser.cookies["csrftoken"].value}

    response = from_page(browser, **headers)

    assert (response.status_code, code(response)) == (403, "BAD_REQUEST")
    assert "X-CSRFToken" in response.json()["error"]


@pytest.mark.parametrize("content_type", [FORM, "text/plain", "", "multipart/form-data; boundary=x"])
def test_a_session_sends_json_and_nothing_a_foreign_form_could_send(
    browser: Client, content_type: str
) -> None:
    headers = {"x-csrftoken": browser.cookies["csrftoken"].value}

    response = browser.generic("POST", "/query", ME.encode(), content_type=content_type, headers=headers)

    assert (response.status_code, code(response)) == (415, "BAD_REQUEST")


def test_a_bearer_header_wins_over_the_session_and_needs_no_csrf_token(
    world: World, browser: Client, token: str
) -> None:
    response = from_page(browser, authorization=f"Bearer {token}", origin="https://app.example")
    refused = from_page(browser, authorization="Bearer tolp_x")

    assert response.json() == {"data": {"me": {"id": str(world.owner.pk)}}}
    assert refused.status_code == 401


@pytest.mark.parametrize("address", ["/query", "/graphql"])
def test_both_addresses_answer_a_bearer_without_a_csrf_token(token: str, address: str) -> None:
    client = Client(enforce_csrf_checks=True)
    headers = {"authorization": f"Bearer {token}"}

    assert client.post(address, ME, content_type=JSON, headers=headers).status_code == 200


# --- anything at all ---------------------------------------------------------------------------------

LIST = """
query L($first: Int, $after: Cursor, $orderBy: [APITokenOrder!], $where: APITokenWhereInput) {
  apiTokens(first: $first, after: $after, orderBy: $orderBy, where: $where) {
    totalCount edges { cursor node { id ...T owner { name members { totalCount } } } } pageInfo { endCursor }
  }
}
fragment T on APIToken { name scopes abilities recentIPAddresses { address } ssoAuthorizations }
"""
CREATE = """
mutation C($input: CreatePersonalAccessTokenInput!) {
  createPersonalAccessToken(input: $input) { personalAccessToken { id token organizations { totalCount } } }
}
"""
UPDATE = """
mutation U($id: ID!, $input: UpdateAPITokenInput!) {
  updateAPIToken(id: $id, input: $input) { apiToken { id } }
}
"""
BY_ID = """
query B($id: ID!) {
  apiToken(id: $id) { id }
  user(id: $id) { id }
  event(id: $id) { id }
  group(id: $id) { id }
}
"""
SOUND: list[tuple[str, dict[str, Any]]] = [
    (LIST, {"first": 2, "orderBy": [{"field": "name"}], "where": {"not": {"nameIn": ["a"]}}}),
    (LIST, {"after": "AZNvLn0sfMOYxNwMDAc5jw", "where": {"hasOwnerWith": [{"name": "acme"}]}}),
    (CREATE, {"input": {"name": "x", "scopes": ["read"], "expiresAt": "2040-01-01T00:00:00Z"}}),
    (UPDATE, {"id": "01936f2e-7d2c-7cc3-98c4-dc0c0c07398f", "input": {"appendTags": ["t"]}}),
]
SPLINTERS = [
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b":",
        b",",
        b"\\",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\\u0000",
    ),
    *(b"null", b"true", b"NaN", b"-0", b"1e999", b"9" * 400, b"...", b"$", b"@skip(if: true)", b"__typename"),
    *("é\u202e😀".encode(), b"#", b'"""', b"first: -1", b"not", b"or", b"{}" * 50, b" on User ", b"fragment"),
]
OURS = ("INTERNAL_SERVER_ERROR", "UNAVAILABLE")


def assert_no_fault_of_ours(response: HttpResponse) -> None:
    assert response.status_code < 500
    found = json.loads(response.content)
    assert not [one for one in found.get("errors", []) if one["extensions"]["code"] in OURS], found


FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def mutilated(raw: bytes, chance: random.Random) -> bytes:
    """With something cut out, doubled, or put in, a few times over."""
    for _ in range(chance.randint(1, 6)):
        start = chance.randint(0, len(raw))
        end = min(len(raw), start + chance.choice([0, 0, 1, 2, 40]))
        put = chance.choice([b"", raw[start:end] * 2, chance.randbytes(2), *SPLINTERS])
        raw = raw[:start] + put + raw[end:]
    return raw


@FUZZ
@given(sound=st.sampled_from(SOUND), seed=st.integers(0, 2**32), is_outside=st.booleans())
def test_a_mutilated_request_makes_no_5xx(
    send: Send, sound: tuple[str, dict[str, Any]], seed: int, is_outside: bool
) -> None:
    """Outside, its JSON is hit; inside, its document."""
    chance = random.Random(seed)  # noqa: S311
    document, variables = sound
    if is_outside:
        body = mutilated(query(document, variables=variables).encode(), chance)
    else:
        body = query(
            mutilated(document.encode(), chance).decode(errors="replace"), variables=variables
        ).encode()

    assert_no_fault_of_ours(send(body))


TEXTS = st.text(max_size=6) | st.sampled_from(
    [
        "name",
        "created_at",
        "ASC",
        "2030-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "read",
        "%",
        "\\",
        "x" * 300,
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
KEYS = st.sampled_from(
    [
        *(
            "id",
            "idIn",
            "idGT",
            "name",
            "nameIn",
            "nameContainsFold",
            "nameHasPrefix",
            "ownerIDContains",
            "not",
        ),
        *(
            "expiresAt",
            "expiresAtGT",
            "createdAtIn",
            "usageCount",
            "usageCountIn",
            "isActive",
            "isActiveIsNil",
        ),
        *(
            "and",
            "or",
            "hasOwner",
            "hasOwnerWith",
            "scopesHas",
            "tagsHas",
            "field",
            "direction",
            "description",
        ),
        *("scopes", "appendScopes", "clearScopes", "tags", "clearTags", "revokedReason", "ownerID"),
        "organizationIDs",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(KEYS, deeper, max_size=3),
    max_leaves=10,
)


@FUZZ
@given(
    document=st.sampled_from([LIST, CREATE, UPDATE, BY_ID]),
    known=st.booleans(),
    variables=st.fixed_dictionaries(
        {},
        optional={
            "first": st.integers(-2, 102) | SCALARS,
            "after": SCALARS,
            "orderBy": st.lists(st.dictionaries(KEYS, TEXTS, max_size=2), max_size=3) | VALUES,
            "where": st.dictionaries(KEYS, VALUES, max_size=4) | VALUES,
            "input": st.dictionaries(KEYS, VALUES, max_size=4).map(lambda given: {"name": "x", **given})
            | VALUES,
            "id": TEXTS | VALUES,
        },
    ),
)
def test_whatever_the_variables_are_there_is_no_5xx(
    world: World, send: Send, document: str, known: bool, variables: dict[str, Any]
) -> None:
    if known:
        variables = {**variables, "id": str(make_api_token(world.acme).pk)}

    assert_no_fault_of_ours(send(query(document, variables=variables)))
