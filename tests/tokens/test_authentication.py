"""From a header to an actor: which value gets in, what it costs, and what every other one is told."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings as configured
from django.contrib.auth import authenticate
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import services as people
from organizations import services as organizations
from organizations.access import PERSONAL_SCOPES, Kind
from organizations.models import Organization, OrgMembership, Role
from tests.conftest import Query, World
from tests.factories import SETUP, join, make_api_token, make_personal_token
from tokens import authentication, secret, services, usage
from tokens.authentication import BadCredential, PrincipalMiddleware, TokenBackend, identify
from tokens.models import APIToken, PersonalAccessToken, Token
from tokens.secret import TokenKind

ME = "{ viewer { id kind abilities } }"
NEVER_MINTED = {kind: secret.mint(kind) for kind in TokenKind}


def make(kind: TokenKind, world: World, *scopes: str, **fields: Any) -> Token:
    """An API token of acme, or a personal one of acme's owner."""
    if kind is TokenKind.API:
        return make_api_token(world.acme, *scopes, **fields)
    return make_personal_token(world.owner, *scopes, **fields)


def ask(authorization: str | None, path: str = "/query", **headers: str) -> HttpResponse:
    """A request with this Authorization header, word for word."""
    sent = headers if authorization is None else headers | {"authorization": authorization}
    return Client().post(path, json.dumps({"query": ME}), "application/json", headers=sent)


def refused(response: HttpResponse) -> tuple[int, str, str]:
    """(status, code, message) of a refusal, whose body must have the one shape there is."""
    body = response.json()
    (error,) = body["errors"]
    assert body == {"success": False, "error": error["message"], "errors": [error]}
    assert "no-store" in response.get("Cache-Control", "no-store")
    return response.status_code, error["extensions"]["code"], error["message"]


# --- what it costs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TokenKind)
def test_a_request_is_authenticated_by_one_select_and_no_write(world: World, kind: TokenKind) -> None:
    token = make(kind, world)
    identify(token.token, timezone.now())  # compiles the statement

    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = ask(f"Bearer {token.token}")

    assert response.json()["data"]["viewer"]["kind"] == token._meta.model_name.replace("api", "api_").replace(
        "personalaccess", "personal_access_"
    )
    # The only one:
    #   SELECT token, owner[, memberships, groups' scopes] FROM ... WHERE digest IN (one per pepper)
    (select,) = [query["sql"] for query in queries]
    assert select.startswith("SELECT ")
    assert select.count("digest") >= 1
    assert 'FROM "tokens_' in select


@pytest.mark.parametrize("memberships", [0, 1, 5])
def test_one_select_for_any_number_of_memberships_and_groups(world: World, memberships: int) -> None:
    for number in range(memberships):
        organization = organizations.create_organization(SETUP, name=f"n{number}", owner_id=world.admin.pk)
        for scope in ("read:tasks", "read:tokens"):
            group = organizations.create_group(
                SETUP, organization_id=organization.pk, name=scope, scopes=[scope]
            )
            organizations.add_to_group(SETUP, group, world.admin.pk)
    token = make_personal_token(world.admin)

    with CaptureQueriesContext(connection) as queries:
        principal = identify(token.token, timezone.now())

    assert len(queries) == 1
    assert len(principal.organization_ids) == memberships + 1


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        "tola_",
        "tola_" + "A" * 46,
        "tolp_" + "A" * 45,
        NEVER_MINTED[TokenKind.API][:-1],
        NEVER_MINTED[TokenKind.API] + "0",
        NEVER_MINTED[TokenKind.API].swapcase(),
        "tola_" + "é" * 46,
        "a" * 8_000,
    ],
    ids=["empty", "x", "prefix", "checksum", "short", "cut", "long", "case", "unicode", "endless"],
)
def test_a_malformed_value_costs_no_query(world: World, value: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = ask(f"Bearer {value}")

    assert refused(response)[:2] == (401, "TOKEN_MALFORMED")
    assert len(queries) == 0


# --- what a refusal says ---------------------------------------------------------------------------


def dead(case: str, kind: TokenKind, world: World) -> str:
    """The value of a token that is `case`."""
    now = timezone.now()
    if case == "unknown":
        return NEVER_MINTED[kind]
    if case == "expired":
        with time_machine.travel(now - timedelta(days=2)):
            return make(kind, world, expires_at=timezone.now() + timedelta(days=1)).token
    token = make(kind, world)
    if case == "revoked":
        services.revoke(SETUP, token, reason="test")
    elif case == "deleted":
        services.delete_token(SETUP, token)
    elif kind is TokenKind.API:
        organizations.delete_organization(SETUP, world.acme)
    else:
        people.deactivate(SETUP, world.owner)
    value: str = token.token
    return value


REFUSALS = {
    "unknown": ("TOKEN_UNKNOWN", "No such token exists here. "),
    "expired": ("TOKEN_EXPIRED", "The token has expired. "),
    "revoked": ("TOKEN_REVOKED", "The token has been revoked. "),
    "deleted": ("TOKEN_REVOKED", "The token has been revoked. "),
    "of nobody": ("OWNER_INACTIVE", "The owner of this token is deactivated or deleted. "),
}


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize("case", REFUSALS)
def test_the_holder_of_the_whole_value_is_told_what_is_wrong_with_it(
    world: World, kind: TokenKind, case: str
) -> None:
    value = dead(case, kind, world)
    code, told = REFUSALS[case]

    with CaptureQueriesContext(connection) as queries:
        response = ask(f"Bearer {value}")

    status, answered, message = refused(response)
    assert (status, answered) == (401, code)
    assert message.startswith(told)
    assert response["WWW-Authenticate"] == (
        f'Bearer realm="tollgate", error="invalid_token", error_description="{message}"'
    )
    assert len(queries) == 1
    assert value not in response.text
    with pytest.raises(BadCredential):
        identify(value, timezone.now())


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("Basic dXNlcjpwYXNz", "Send the token as: Authorization: Bearer"),
        ("Token {value}", "Send the token as: Authorization: Bearer"),
        ("{value}", "Send the token as: Authorization: Bearer"),
        ("", "Send the token as: Authorization: Bearer"),
        ("Bearer", "Tokens start with tola_"),
        ("Bearer ", "Tokens start with tola_"),
        ("Bearer {cut}", "The token is cut short: 50 characters instead of 51."),
        ("Bearer {value}x", "The token is too long: 52 characters instead of 51."),
        ("Bearer {value}, Bearer {value}", "The token is too long"),
        ('Bearer "{value}"', "Tokens start with tola_"),
        ("Bearer {typo}", "The token has a typo: its checksum does not match."),
    ],
)
def test_a_header_that_cannot_be_meant_is_told_why(world: World, header: str, told: str) -> None:
    value = make_api_token(world.acme).token
    typo = value[:20] + ("a" if value[20] != "a" else "b") + value[21:]

    response = ask(header.format(value=value, cut=value[:-1], typo=typo))

    status, code, message = refused(response)
    assert (status, code) == (401, "TOKEN_MALFORMED")
    assert message.startswith(told)
    assert f'error="invalid_token", error_description="{message}"' in response["WWW-Authenticate"]
    assert value[9:] not in response.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_is_case_insensitive(world: World, scheme: str) -> None:
    assert ask(f"{scheme}  {make_api_token(world.acme).token} ").status_code == 200


def test_without_a_credential_there_is_a_challenge_and_no_error_code(client: Client, db: None) -> None:
    response = ask(None)

    assert refused(response)[:2] == (401, "UNAUTHENTICATED")
    assert response["WWW-Authenticate"] == 'Bearer realm="tollgate"'


def test_who_somebody_is_is_asked_before_what_they_may(world: World) -> None:
    """401 before 403, before 404: without a credential no organization can be probed either."""
    for place in (world.acme.pk, uuid4(), "no id"):
        assert refused(ask(None, **{"x-organization-id": str(place)}))[0] == 401
        assert refused(ask("Bearer x", **{"x-organization-id": str(place)}))[0] == 401


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_forgotten_with_its_request(world: World, case: str) -> None:
    """One exception raised again and again would keep every frame it passed, and the value in each."""
    value = dead(case, TokenKind.API, world)
    faults = []
    for _ in range(2):
        with pytest.raises(BadCredential) as fault:
            identify(value, timezone.now())
        faults.append(fault.value)

    assert faults[0] is not faults[1]
    assert not any(isinstance(one, BadCredential) for one in vars(authentication).values())


# --- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize(
    ("early", "status"),
    [(timedelta(microseconds=1), 200), (timedelta(0), 401), (timedelta(microseconds=-1), 401)],
)
def test_a_token_holds_until_the_very_moment_it_expires(
    world: World, kind: TokenKind, early: timedelta, status: int
) -> None:
    expires_at = timezone.now() + timedelta(days=1)
    token = make(kind, world, expires_at=expires_at)

    with time_machine.travel(expires_at - early, tick=False):
        response = ask(f"Bearer {token.token}")

    assert response.status_code == status
    if status == 401:
        assert refused(response)[1] == "TOKEN_EXPIRED"


# --- peppers ---------------------------------------------------------------------------------------

OLD, NEW = configured.TOKEN_PEPPERS, {"new": b"a newer pepper, also only for tests"}


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_of_an_older_pepper_works_and_is_digested_anew_at_the_next_flush(
    world: World, settings: Any, kind: TokenKind
) -> None:
    token = make(kind, world)
    before = bytes(type(token).objects.get(pk=token.pk).digest)
    settings.TOKEN_PEPPERS = NEW | OLD

    with CaptureQueriesContext(connection) as queries:
        assert ask(f"Bearer {token.token}").status_code == 200
    assert len(queries) == 1
    assert type(token).objects.get(pk=token.pk).pepper_id == "test"

    usage.flush()

    row = type(token).objects.get(pk=token.pk)
    assert row.pepper_id == "new"
    assert bytes(row.digest) == secret.digest(token.token, NEW["new"]) != before
    settings.TOKEN_PEPPERS = NEW  # the old pepper can go now
    assert ask(f"Bearer {token.token}").status_code == 200


def test_a_token_that_is_refused_is_not_digested_anew(world: World, settings: Any) -> None:
    token = make_api_token(world.acme)
    services.revoke(SETUP, token, reason="test")
    settings.TOKEN_PEPPERS = NEW | OLD

    ask(f"Bearer {token.token}")
    usage.flush()

    assert APIToken.objects.get(pk=token.pk).pepper_id == "test"


def test_under_the_current_pepper_nothing_is_digested_anew(world: World) -> None:
    ask(f"Bearer {make_api_token(world.acme).token}")

    assert usage._gathered.redigests == {}


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_whose_pepper_is_gone_is_unknown(world: World, settings: Any, kind: TokenKind) -> None:
    token = make(kind, world)
    settings.TOKEN_PEPPERS = NEW

    assert refused(ask(f"Bearer {token.token}"))[:2] == (401, "TOKEN_UNKNOWN")


def test_new_tokens_are_signed_by_the_first_pepper(world: World, settings: Any) -> None:
    settings.TOKEN_PEPPERS = NEW | OLD

    assert make_api_token(world.acme).pepper_id == "new"


# --- the life of the owner -------------------------------------------------------------------------


def abilities(token: Token, query: Query) -> set[str]:
    return set(query(ME, token=token.token).data["viewer"]["abilities"])


def test_a_deactivated_owner_is_out_at_the_next_request_and_in_again_when_reactivated(
    world: World, query: Query
) -> None:
    token = make_personal_token(world.member)
    assert query(ME, token=token.token).status == 200

    people.deactivate(SETUP, world.member)
    assert query(ME, token=token.token).code == "OWNER_INACTIVE"

    people.reactivate(SETUP, world.member)
    assert query(ME, token=token.token).status == 200


def test_a_removed_member_loses_that_organization_at_once_and_no_other(world: World, query: Query) -> None:
    token = make_personal_token(world.both)
    names = "{ organizations { edges { node { name } } } }"

    organizations.remove_member(SETUP, OrgMembership.objects.get(user=world.both, organization=world.acme))

    edges = query(names, token=token.token).data["organizations"]["edges"]
    assert [edge["node"]["name"] for edge in edges] == ["globex"]
    refusal = query(names, token=token.token, **{"x-organization-id": str(world.acme.pk)})
    assert (refusal.status, refusal.code) == (404, "NOT_FOUND")


def test_a_lowered_role_takes_its_scopes_and_a_raised_one_gives_them_back(world: World, query: Query) -> None:
    token = make_personal_token(world.admin, "admin:tokens", "admin:groups", "read:tasks")
    membership = OrgMembership.objects.get(user=world.admin, organization=world.acme)
    create = 'mutation { createAPIToken(input: {name: "x"}) { apiToken { id } } }'
    assert "admin:groups" in abilities(token, query)

    organizations.change_role(SETUP, membership, Role.MEMBER)
    assert abilities(token, query) == {
        "read:tasks",
        "read:groups",
        "admin:tokens",
        "read:tokens",
        "write:tokens",
    }
    assert query(create, token=token.token).code == "UNAUTHORIZED"
    assert PersonalAccessToken.objects.get(pk=token.pk).scopes == [
        "admin:tokens",
        "admin:groups",
        "read:tasks",
    ]

    organizations.change_role(SETUP, membership, Role.ADMIN)
    assert "admin:groups" in abilities(token, query)
    assert query(create, token=token.token).code is None


def test_a_deleted_organization_ends_its_api_tokens_and_its_part_of_personal_ones(
    world: World, query: Query
) -> None:
    machine, personal = make_api_token(world.acme, "read"), make_personal_token(world.both)

    organizations.delete_organization(SETUP, world.acme)

    assert (query(ME, token=machine.token).status, query(ME, token=machine.token).code) == (
        401,
        "OWNER_INACTIVE",
    )
    organizations_left = query("{ viewer { organizations { name } } }", token=personal.token).data["viewer"]
    assert organizations_left == {"organizations": [{"name": "globex"}]}


def test_an_api_token_outlives_the_membership_of_whoever_made_it(world: World, query: Query) -> None:
    made = query(
        'mutation { createAPIToken(input: {name: "ci", scopes: ["read"]}) { apiToken { token createdBy } } }',
        token=make_personal_token(world.admin).token,
    ).data["createAPIToken"]["apiToken"]
    assert made["createdBy"] == str(world.admin.pk)

    organizations.remove_member(SETUP, OrgMembership.objects.get(user=world.admin))
    people.deactivate(SETUP, world.admin)

    assert query("{ apiTokens { totalCount } }", token=made["token"]).data["apiTokens"]["totalCount"] == 1


# --- where a token reaches -------------------------------------------------------------------------

REACHED = "{ viewer { organizations { name } } organizations { totalCount } }"


def reached(answer: Any) -> set[str]:
    names = {one["name"] for one in answer.data["viewer"]["organizations"]}
    assert answer.data["organizations"]["totalCount"] == len(names)
    return names


def test_a_personal_token_reaches_every_organization_of_its_owner_as_they_change(
    world: World, query: Query
) -> None:
    token = make_personal_token(world.member).token
    assert reached(query(REACHED, token=token)) == {"acme"}

    join(world.member, world.globex)

    assert reached(query(REACHED, token=token)) == {"acme", "globex"}


def test_a_personal_token_bound_to_organizations_reaches_those_alone(world: World, query: Query) -> None:
    token = make_personal_token(world.both, organizations=[world.globex.pk]).token

    assert reached(query(REACHED, token=token)) == {"globex"}
    answer = query(REACHED, token=token, **{"x-organization-id": str(world.acme.pk)})
    assert (answer.status, answer.code) == (404, "NOT_FOUND")


def test_a_bound_token_whose_last_organization_is_gone_reaches_nothing_not_everything(
    world: World, query: Query
) -> None:
    token = make_personal_token(world.both, organizations=[world.globex.pk])
    organizations.delete_organization(SETUP, world.globex)
    answer = query("{ viewer { organizations { name } } }", token=token.token)
    assert answer.data["viewer"]["organizations"] == []

    remove = """mutation($id: ID!, $ids: [ID!]) {
        updatePersonalAccessToken(id: $id, input: {removeOrganizationIDs: $ids}) {
            personalAccessToken { id }
        }
    }"""
    ids = {"id": str(token.pk), "ids": [str(world.globex.pk)]}
    assert query(remove, ids, token=make_personal_token(world.both).token).code is None
    answer = query("{ viewer { organizations { name } abilities } }", token=token.token)
    assert answer.data["viewer"]["organizations"] == []
    assert set(answer.data["viewer"]["abilities"]) == {*PERSONAL_SCOPES, "read:tokens", "write:tokens"}


@pytest.mark.parametrize("place", ["foreign", "random", "malformed", "empty", "deleted"])
@pytest.mark.parametrize("kind", TokenKind)
def test_an_organization_that_is_not_ones_own_is_refused_and_not_ignored(
    world: World, kind: TokenKind, place: str
) -> None:
    organizations.delete_organization(SETUP, world.globex)
    foreign = Organization.objects.create(name="initech")
    chosen = {
        "foreign": str(foreign.pk),
        "random": str(uuid4()),
        "malformed": "acme",
        "empty": "",
        "deleted": str(world.globex.pk),
    }[place]

    response = ask(f"Bearer {make(kind, world, 'admin').token}", **{"x-organization-id": chosen})

    assert refused(response) == (404, "NOT_FOUND", "organization not found")


@pytest.mark.parametrize("spelled", [str, lambda pk: str(pk).upper(), lambda pk: pk.hex])
def test_ones_own_organization_may_be_named(world: World, query: Query, spelled: Any) -> None:
    for token in (make_api_token(world.acme, "read"), make_personal_token(world.both)):
        answer = query(REACHED, token=token.token, **{"x-organization-id": spelled(world.acme.pk)})

        assert reached(answer) == {"acme"}


def test_a_session_too_may_name_its_organization(world: World, query: Query) -> None:
    assert reached(query(REACHED, user=world.both)) == {"acme", "globex"}
    assert reached(query(REACHED, user=world.both, **{"x-organization-id": str(world.globex.pk)})) == {
        "globex"
    }


# --- beside a session ------------------------------------------------------------------------------


def test_a_bearer_header_wins_over_a_session(world: World, query: Query) -> None:
    answer = query("{ me { email } }", user=world.owner, token=make_personal_token(world.member).token)
    assert answer.data["me"]["email"] == "member@example.org"

    answer = query("{ me { email } }", user=world.owner, token=NEVER_MINTED[TokenKind.PERSONAL])
    assert (answer.status, answer.code) == (401, "TOKEN_UNKNOWN")


@pytest.mark.parametrize("has_session", [False, True])
def test_a_token_opens_no_admin_page_whoever_it_belongs_to(world: World, has_session: bool) -> None:
    type(world.owner).objects.filter(pk=world.owner.pk).update(is_staff=True, is_superuser=True)
    client = Client()
    if has_session:
        client.force_login(world.owner, backend="django.contrib.auth.backends.ModelBackend")
        assert client.get("/admin/").status_code == 200
    bearer = {"authorization": f"Bearer {make_personal_token(world.owner).token}"}

    response = client.get("/admin/", headers=bearer)

    assert response.status_code == 302
    assert response["Location"].startswith(("/admin/login/", "/login/"))


# --- a value in the wrong place --------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer {value}"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/query?token={value}", {}),
        ("/query?access_token={value}", {}),
        ("/?q={value}", {}),
        ("/{value}", {}),
        ("/admin/tokens/apitoken/{value}/change/", {}),
        ("/query", {"user-agent": "curl {value}"}),
        ("/query", {"x-request-id": "{value}"}),
        ("/livez?{value}", {}),
    ],
)
def test_a_token_where_a_log_would_keep_it_is_refused(
    world: World, path: str, headers: dict[str, str], header: str | None
) -> None:
    value = make_personal_token(world.owner).token

    response = ask(
        header and header.format(value=value),
        path.format(value=value),
        **{name: text.format(value=value) for name, text in headers.items()},
    )

    status, code, message = refused(response)
    assert (status, code) == (400, "BAD_REQUEST")
    assert "Send it as Authorization: Bearer, and revoke this one." in message


def test_a_token_in_a_form_or_cookie_is_no_credential(world: World, client: Client) -> None:
    value = make_personal_token(world.owner).token
    client.cookies["token"] = value

    assert client.post("/query", {"access_token": value}).status_code == 401
    assert client.post("/query", headers={"x-api-key": value}).status_code == 401


# --- Django's own door -----------------------------------------------------------------------------


def test_djangos_authenticate_answers_the_person_behind_a_personal_token(world: World) -> None:
    token = make_personal_token(world.member)

    assert authenticate(None, token=token.token) == world.member
    assert TokenBackend().get_user(world.member.pk) == world.member


@pytest.mark.parametrize("case", [*REFUSALS, "malformed", "an API token", "nothing"])
def test_djangos_authenticate_answers_nobody_for_anything_else(world: World, case: str) -> None:
    value = {
        "malformed": lambda: "tolp_x",
        "an API token": lambda: make_api_token(world.acme, "admin").token,
        "nothing": lambda: None,
    }.get(case, lambda: dead(case, TokenKind.PERSONAL, world))()

    assert TokenBackend().authenticate(None, token=value) is None
    assert authenticate(None, token=value or "") is None


def test_a_token_is_no_password(world: World) -> None:
    token = make_personal_token(world.member)

    assert authenticate(None, username=world.member.email, password=token.token) is None


def test_a_deactivated_person_is_no_sessions_user(world: World) -> None:
    people.deactivate(SETUP, world.member)

    assert TokenBackend().get_user(world.member.pk) is None


# --- what the principal is -------------------------------------------------------------------------


def principal_of(authorization: str | None, user: Any = None) -> Any:
    seen: list[Any] = []

    def view(request: Any) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    request = RequestFactory().get("/", headers={"authorization": authorization} if authorization else {})
    request.user, request.session = user, {}
    PrincipalMiddleware(view)(request)
    return seen[0]


def test_the_principal_says_who_it_is_by_kind_id_and_label(world: World) -> None:
    machine, personal = make_api_token(world.acme, name="ci"), make_personal_token(world.member)

    known = principal_of(f"Bearer {machine.token}").principal
    assert (known.kind, known.id, known.label, known.user) == (Kind.API_TOKEN, str(machine.pk), "ci", None)

    request = principal_of(f"Bearer {personal.token}", user=world.owner)
    known = request.principal
    assert (known.kind, known.id, known.label) == (
        Kind.PERSONAL_TOKEN,
        str(world.member.pk),
        "member@example.org",
    )
    assert known.user == world.member
    assert not request.user.is_authenticated

    known = principal_of(None, user=world.auditor).principal
    assert (known.kind, known.id, known.label) == (Kind.SESSION, str(world.auditor.pk), "auditor@example.org")


def test_the_principal_shows_no_value_no_digest_and_no_password(world: World) -> None:
    for token in (make_api_token(world.acme), make_personal_token(world.member)):
        principal = identify(token.token, timezone.now())

        assert token.token not in repr(principal)
        assert principal.token.token == secret.MASK
        assert "digest" not in vars(principal.token)
        assert principal.user is None or "password" not in vars(principal.user)


def test_a_tokens_expiry_is_known_to_what_it_creates(world: World) -> None:
    expires_at: datetime = timezone.now() + timedelta(days=1)

    principal = identify(make_personal_token(world.owner, expires_at=expires_at).token, timezone.now())

    assert principal.expires_at == expires_at
