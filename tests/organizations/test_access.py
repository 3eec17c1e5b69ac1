"""Who may do what where: roles, groups, tokens, and how the one principal answers for all of them."""

from typing import Any
from uuid import uuid4

import pytest

from organizations import services
from organizations.access import (
    ANONYMOUS,
    PERSONAL_SCOPES,
    InsufficientScopes,
    Kind,
    OrganizationUnclear,
    Principal,
    Unauthorized,
    command,
    operator,
    require,
    require_somewhere,
)
from organizations.models import Group, GroupMembership, Organization, OrgMembership, Role
from organizations.scopes import CATALOGUE
from tests.conftest import Query, World
from tests.factories import SETUP, UserFactory, join, make_api_token, make_organization, make_personal_token
from tokens.authentication import identify, person
from tokens.models import Token


def holder_of(token: Token) -> Principal:
    """The principal that this token's value authenticates, now."""
    return identify(token.token, token.created_at)


def make_group(organization: Organization, *scopes: str, members: tuple[Any, ...] = ()) -> Group:
    group = services.create_group(
        SETUP, organization_id=organization.pk, name=f"group {uuid4()}", scopes=scopes
    )
    for user in members:
        services.add_to_group(SETUP, group, user.pk)
    return group


def held(principal: Principal, organization: Organization) -> set[str]:
    return {scope for scope in CATALOGUE if principal.can(scope, organization.pk)}


# --- roles -----------------------------------------------------------------------------------------

READS = {name for name in CATALOGUE if name == "read" or name.startswith("read:")}
ROLES: dict[str, set[str]] = {
    "owner": set(CATALOGUE),
    "admin": set(CATALOGUE),
    "auditor": READS | {"write:notes"},
    "member": {
        *("read:controls", "read:evidence", "read:tasks", "read:reports"),
        *("read:organization", "read:members", "read:groups"),
        *("write:evidence", "write:tasks", "write:notes", "write:files"),
    },
    "outsider": set(),
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_grants_these_scopes_and_no_others(world: World, role: str) -> None:
    assert held(person(getattr(world, role)), world.acme) == ROLES[role]


@pytest.mark.parametrize("role", ROLES)
def test_a_personal_token_without_scopes_inherits_what_its_owner_may(world: World, role: str) -> None:
    principal = holder_of(make_personal_token(getattr(world, role)))

    assert held(principal, world.acme) == ROLES[role]
    assert held(principal, world.globex) == held(person(getattr(world, role)), world.globex)


@pytest.mark.parametrize("role", ROLES)
def test_a_personal_token_with_every_scope_has_no_more_than_its_owner(world: World, role: str) -> None:
    assert held(holder_of(make_personal_token(getattr(world, role), "admin")), world.acme) == ROLES[role]


@pytest.mark.parametrize("role", ROLES)
def test_a_personal_token_with_one_scope_has_what_both_allow(world: World, role: str) -> None:
    token = make_personal_token(getattr(world, role), "task:write")

    assert held(holder_of(token), world.acme) == ROLES[role] & {"write:tasks", "read:tasks"}


def test_a_person_has_each_role_only_where_they_have_it(world: World) -> None:
    join(world.owner, world.globex, Role.AUDITOR)
    principal = person(world.owner)

    assert held(principal, world.acme) == ROLES["owner"]
    assert held(principal, world.globex) == ROLES["auditor"]
    assert principal.organizations_with("admin:tokens") == (world.acme.pk,)
    assert set(principal.organizations_with("read:tokens")) == {world.acme.pk, world.globex.pk}


@pytest.mark.parametrize("role", ["owner", "admin", "auditor", "member", "outsider", "both"])
def test_everybody_manages_their_own_things_and_only_those(world: World, role: str) -> None:
    principal = person(getattr(world, role))

    assert {scope for scope in CATALOGUE if principal.can(scope, None)} == {
        *PERSONAL_SCOPES,
        *("read:tokens", "write:tokens"),
    }


def test_somebody_without_an_organization_still_has_their_own_things(db: None) -> None:
    principal = person(UserFactory())

    assert principal.organization_ids == ()
    assert principal.can("admin:tokens", None)


def test_the_owner_alone_may_close_the_organization(world: World) -> None:
    for name in ("admin", "auditor", "member"):
        with pytest.raises(Unauthorized):
            require(person(getattr(world, name)), "admin:organization", world.acme.pk, owner_only=True)
    with pytest.raises(Unauthorized, match="Only the owner"):
        require(
            holder_of(make_api_token(world.acme, "admin")),
            "admin:organization",
            world.acme.pk,
            owner_only=True,
        )

    require(person(world.owner), "admin:organization", world.acme.pk, owner_only=True)


# --- groups ----------------------------------------------------------------------------------------


def test_a_group_adds_its_scopes_to_its_members_there_and_nowhere_else(world: World) -> None:
    make_group(world.acme, "read:tokens", "admin:groups", members=(world.both,))

    added = {"read:tokens", "admin:groups", "write:groups"}
    assert held(person(world.both), world.acme) == ROLES["member"] | added
    assert held(person(world.both), world.globex) == ROLES["member"]
    assert held(person(world.member), world.acme) == ROLES["member"]


def test_several_groups_add_up(world: World) -> None:
    make_group(world.acme, "read:tokens", members=(world.member,))
    make_group(world.acme, "event:read", members=(world.member,))
    make_group(world.acme, members=(world.member,))

    expected = ROLES["member"] | {"read:tokens", "read:events"}
    assert held(person(world.member), world.acme) == expected
    assert held(holder_of(make_personal_token(world.member)), world.acme) == expected


def test_a_groups_scopes_go_with_the_group_the_place_in_it_and_the_membership(world: World) -> None:
    group = make_group(world.acme, "read:tokens", members=(world.member, world.both))
    token = make_personal_token(world.member)
    assert "read:tokens" in held(holder_of(token), world.acme)

    services.remove_from_group(SETUP, GroupMembership.objects.get(group=group, user=world.member))
    assert held(holder_of(token), world.acme) == ROLES["member"]

    services.remove_member(SETUP, OrgMembership.objects.get(user=world.both, organization=world.acme))
    assert held(person(world.both), world.acme) == set()
    assert not group.members.exists()


def test_a_groups_unknown_scope_grants_nothing(world: World) -> None:
    group = make_group(world.acme, members=(world.member,))
    Group.objects.filter(pk=group.pk).update(scopes=["admin:*", "*", "read:gone"])

    assert held(person(world.member), world.acme) == ROLES["member"]


def test_a_tokens_scopes_limit_what_groups_add_too(world: World) -> None:
    make_group(world.acme, "read:tokens", members=(world.member,))

    assert held(holder_of(make_personal_token(world.member, "read:tasks")), world.acme) == {"read:tasks"}


# --- API tokens ------------------------------------------------------------------------------------


def test_an_api_token_has_its_scopes_in_its_organization_and_nothing_of_its_own(world: World) -> None:
    principal = holder_of(make_api_token(world.acme, "admin"))

    assert principal.kind is Kind.API_TOKEN
    assert held(principal, world.acme) == set(CATALOGUE)
    assert held(principal, world.globex) == set()
    assert not any(principal.can(scope, None) for scope in CATALOGUE)


def test_an_api_token_without_scopes_may_do_nothing_but_ask_who_it_is(world: World, query: Query) -> None:
    token = make_api_token(world.acme)

    assert holder_of(token).abilities == []
    assert query("{ viewer { kind label abilities organizations { name } } }", token=token.token).data == {
        "viewer": {
            "kind": "api_token",
            "label": "machine",
            "abilities": [],
            "organizations": [{"name": "acme"}],
        }
    }
    for document in (
        "{ apiTokens { totalCount } }",
        "{ organizations { totalCount } }",
        "{ events { totalCount } }",
    ):
        assert query(document, token=token.token).code == "INSUFFICIENT_SCOPES"


# --- the principal ---------------------------------------------------------------------------------


def principals(world: World) -> dict[str, Principal]:
    make_group(world.acme, "read:events", members=(world.both,))
    return {
        **{name: person(getattr(world, name)) for name in ("owner", "admin", "auditor", "member", "both")},
        "narrow personal token": holder_of(make_personal_token(world.owner, "read:tasks", "group:write")),
        "bound personal token": holder_of(make_personal_token(world.both, organizations=[world.globex.pk])),
        "api token": holder_of(make_api_token(world.acme, "write", "admin:groups")),
        "api token without scopes": holder_of(make_api_token(world.acme)),
        "anonymous": ANONYMOUS,
    }


def test_abilities_are_what_can_says_over_every_scope_and_place(world: World) -> None:
    for name, principal in principals(world).items():
        places = [None, world.acme.pk, world.globex.pk]
        expected = [scope for scope in CATALOGUE if any(principal.can(scope, place) for place in places)]

        assert principal.abilities == expected, name
        assert [scope for scope in CATALOGUE if principal.can_somewhere(scope)] == expected, name


def test_the_doors_open_exactly_where_can_says_so(world: World) -> None:
    for name, principal in principals(world).items():
        for scope in CATALOGUE:
            for place in (None, world.acme.pk, world.globex.pk):
                assert _opens(principal, scope, place) is principal.can(scope, place), (name, scope, place)


def _opens(principal: Principal, *asked: Any) -> bool:
    try:
        require(principal, *asked)
    except (InsufficientScopes, Unauthorized, Organization.DoesNotExist):
        return False
    return True


def test_anonymous_may_nothing_and_operators_and_commands_may_all(world: World) -> None:
    assert ANONYMOUS.abilities == []
    assert not ANONYMOUS.is_authenticated
    for trusted in (command("revoketokens"), operator(world.outsider)):
        assert trusted.abilities == list(CATALOGUE)
        assert trusted.can("admin", world.acme.pk)


def test_within_an_organization_one_sees_it_and_ones_own_things(world: World) -> None:
    join(world.owner, world.globex, Role.AUDITOR)
    whole = person(world.owner)

    narrowed = whole.within(world.globex.pk)

    assert narrowed.organization_ids == (world.globex.pk,)
    assert held(narrowed, world.acme) == set()
    assert held(narrowed, world.globex) == ROLES["auditor"]
    assert narrowed.can("admin:tokens", None)
    assert set(whole.organization_ids) == {world.acme.pk, world.globex.pk}


def test_nobody_looks_into_an_organization_that_is_not_theirs(world: World) -> None:
    bound = holder_of(make_personal_token(world.both, organizations=[world.globex.pk]))
    for principal, place in (
        (person(world.owner), world.globex.pk),
        (person(world.owner), uuid4()),
        (bound, world.acme.pk),
        (holder_of(make_api_token(world.acme, "admin")), world.globex.pk),
    ):
        with pytest.raises(Organization.DoesNotExist):
            principal.within(place)
        with pytest.raises(Organization.DoesNotExist):
            principal.organization(place)


def test_a_write_is_about_the_organization_named_else_the_only_one(world: World) -> None:
    both = person(world.both)

    assert both.organization(world.globex.pk) == world.globex.pk
    assert person(world.owner).organization(None) == world.acme.pk
    assert both.within(world.acme.pk).organization(None) == world.acme.pk
    assert holder_of(make_api_token(world.globex)).organization(None) == world.globex.pk
    for nowhere in (both, person(UserFactory()), command("issuetoken")):
        with pytest.raises(OrganizationUnclear, match="X-Organization-ID"):
            nowhere.organization(None)


def test_a_deleted_organization_is_nobodys(world: World) -> None:
    services.delete_organization(person(world.owner), world.acme)

    assert person(world.owner).organization_ids == ()
    assert person(world.both).organization_ids == (world.globex.pk,)


def test_a_token_that_is_too_narrow_and_a_role_that_is_too_low_are_told_apart(world: World) -> None:
    with pytest.raises(InsufficientScopes, match="lacks the scope admin:tokens"):
        require(holder_of(make_personal_token(world.owner, "read")), "admin:tokens", world.acme.pk)
    with pytest.raises(Unauthorized, match="Your role does not allow admin:tokens"):
        require(holder_of(make_personal_token(world.member, "admin")), "admin:tokens", world.acme.pk)
    with pytest.raises(InsufficientScopes):
        require(holder_of(make_api_token(world.acme, "read")), "admin:tokens", world.acme.pk)
    with pytest.raises(Unauthorized, match="API tokens own no personal things"):
        require(holder_of(make_api_token(world.acme, "admin")), "admin:tokens", None)
    with pytest.raises(InsufficientScopes):
        require_somewhere(holder_of(make_personal_token(world.owner, "read")), "write:groups")
    with pytest.raises(Unauthorized):
        require_somewhere(person(world.member), "write:groups")


# --- over HTTP -------------------------------------------------------------------------------------

CREATE = (
    'mutation($org: ID) { createAPIToken(input: {name: "x", ownerID: $org}) { apiToken { owner { name } } } }'
)
LIST = "{ apiTokens { totalCount } }"
READ = "query($id: ID!) { apiToken(id: $id) { name } }"
RENAME = 'mutation($id: ID!) { updateAPIToken(id: $id, input: {name: "y"}) { apiToken { name } } }'
EVENTS = "{ events { totalCount } }"

# who, with which scopes (None: an API token of acme), what they ask, what comes of it ("ok" or a code)
ANSWERS = [
    ("owner", [], CREATE, "ok"),
    ("admin", [], CREATE, "ok"),
    ("owner", ["admin"], CREATE, "ok"),
    ("owner", ["admin:tokens"], CREATE, "ok"),
    ("owner", ["token:admin"], CREATE, "ok"),
    ("owner", ["write:tokens"], CREATE, "INSUFFICIENT_SCOPES"),
    ("owner", ["write"], CREATE, "INSUFFICIENT_SCOPES"),
    ("owner", ["read"], CREATE, "INSUFFICIENT_SCOPES"),
    ("owner", ["read:tasks"], LIST, "INSUFFICIENT_SCOPES"),
    ("owner", ["read"], LIST, "ok"),
    ("auditor", [], CREATE, "UNAUTHORIZED"),
    ("auditor", [], LIST, "ok"),
    ("auditor", [], EVENTS, "ok"),
    ("auditor", [], RENAME, "UNAUTHORIZED"),
    ("member", [], CREATE, "UNAUTHORIZED"),
    ("member", ["admin"], CREATE, "UNAUTHORIZED"),
    ("member", [], READ, "NOT_FOUND"),
    ("member", [], RENAME, "NOT_FOUND"),
    ("outsider", [], READ, "NOT_FOUND"),
    ("outsider", [], RENAME, "NOT_FOUND"),
    ("outsider", [], CREATE, "NOT_FOUND"),
    ("outsider", ["read"], CREATE, "INSUFFICIENT_SCOPES"),
    ("api token", ["admin"], CREATE, "ok"),
    ("api token", ["read"], CREATE, "INSUFFICIENT_SCOPES"),
    ("api token", ["read"], READ, "ok"),
    ("api token", ["read"], RENAME, "INSUFFICIENT_SCOPES"),
    ("api token", [], READ, "INSUFFICIENT_SCOPES"),
    ("api token", ["read:tasks"], EVENTS, "INSUFFICIENT_SCOPES"),
]


@pytest.mark.parametrize(("who", "scopes", "document", "expected"), ANSWERS)
def test_the_answer_says_whether_scope_role_or_place_was_lacking(
    world: World, query: Query, who: str, scopes: list[str], document: str, expected: str
) -> None:
    target = make_api_token(world.acme)
    if who == "api token":
        token: Token = make_api_token(world.acme, *scopes)
    else:
        token = make_personal_token(getattr(world, who), *scopes)

    answer = query(
        document,
        {name: str(row.pk) for name, row in (("id", target), ("org", world.acme)) if f"${name}" in document},
        token=token.token,
    )

    assert answer.status == 200
    assert (answer.code or "ok") == expected


def test_insufficient_scopes_names_what_is_required(world: World, query: Query) -> None:
    answer = query(LIST, token=make_personal_token(world.owner, "read:tasks").token)

    assert answer.error["extensions"] == {"code": "INSUFFICIENT_SCOPES", "requiredScopes": ["read:tokens"]}
    assert "viewer { scopes abilities }" in answer.error["message"]


def test_viewer_shows_the_scopes_as_sent_and_the_abilities_as_they_are(world: World, query: Query) -> None:
    token = make_personal_token(world.member, "task:write", "admin:organization")

    answer = query("{ viewer { scopes abilities } }", token=token.token)

    assert answer.data["viewer"] == {
        "scopes": ["task:write", "admin:organization"],
        "abilities": ["read:tasks", "write:tasks", "read:organization"],
    }


def test_an_organization_closed_to_the_last_still_answers_its_members_about_themselves(
    world: World, query: Query
) -> None:
    services.delete_organization(person(world.owner), world.acme)

    answer = query(
        "{ viewer { abilities organizations { name } } }", token=make_personal_token(world.owner).token
    )

    assert answer.data["viewer"]["organizations"] == []
    assert set(answer.data["viewer"]["abilities"]) == {*PERSONAL_SCOPES, "read:tokens", "write:tokens"}


def test_somebody_in_two_organizations_must_say_which(world: World, query: Query) -> None:
    user = UserFactory()
    first, second = make_organization("first", user), make_organization("second", user)
    token = make_personal_token(user).token
    owner = {"createAPIToken": {"apiToken": {"owner": {"name": "second"}}}}

    unclear = query(CREATE, token=token)
    assert (unclear.code, list(unclear.error["extensions"]["fields"])) == ("VALIDATION_ERROR", ["ownerID"])
    assert query(CREATE, {"org": str(second.pk)}, token=token).data == owner
    assert query(CREATE, token=token, **{"x-organization-id": str(second.pk)}).data == owner
    contradicting = query(
        CREATE, {"org": str(first.pk)}, token=token, **{"x-organization-id": str(second.pk)}
    )
    assert contradicting.code == "NOT_FOUND"
