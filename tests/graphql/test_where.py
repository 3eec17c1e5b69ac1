"""What is searched: every predicate of every kind of column, against what Python finds in the same rows."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from organizations import services as organizations
from organizations.models import Group
from tests.conftest import Answer, Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import services
from tokens.models import APIToken

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
LIST = "query($where: APITokenWhereInput) { apiTokens(where: $where) { totalCount edges { node { id } } } }"
NOBODY = "01936f2e-7d2c-7cc3-98c4-dc0c0c07398f"

Where = dict[str, Any]
Search = Callable[[Where], list[str]]

ROWS: list[tuple[str, str | None, int | None, list[str]]] = [
    # name, reason of revocation, days to expiry, tags
    ("alpha", None, None, []),
    ("Alpha", "leaked", 1, ["ci"]),
    ("ALPHA beta", "rotated", 1, ["ci", "CI"]),
    ("al%pha", "lost", 2, ["a%b"]),
    ("al_pha", None, 3, ["a_b"]),
    ("al'pha", None, None, ["it's"]),
    ('al"pha', "leaked", None, ['say "hi"']),
    ("al\\pha", None, 2, ["back\\slash"]),
    ("al*pha?", None, None, ["*", "[ci]"]),
    ("al[p]ha", None, 1, ["ü", "日本"]),
]


@pytest.fixture
def rows(world: World) -> list[APIToken]:
    made = []
    for number, (name, reason, days, tags) in enumerate(ROWS):
        expires_at = None if days is None else NEW_YEAR + timedelta(days=days, microseconds=days)
        token = make_api_token(world.acme, name=name, expires_at=expires_at, tags=tags)
        if reason is not None:
            services.revoke(SETUP, token, reason=reason)
        APIToken.objects.filter(pk=token.pk).update(usage_count=number % 3)
        made.append(token.pk)
    make_api_token(world.globex, name="alpha", tags=["ci"])
    return list(APIToken.objects.filter(pk__in=made).order_by("pk"))


@pytest.fixture
def ask(world: World, query: Query) -> Callable[[Where], Answer]:
    token = make_personal_token(world.owner).token
    return lambda where: query(LIST, {"where": where}, token=token)


@pytest.fixture
def search(ask: Callable[[Where], Answer]) -> Search:
    def found(where: Where) -> list[str]:
        page = ask(where).data["apiTokens"]
        ids = [edge["node"]["id"] for edge in page["edges"]]
        assert page["totalCount"] == len(ids)
        return ids

    return found


# --- the reference -----------------------------------------------------------------------------------

PREDICATES: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda have, asked: have == asked,
    "NEQ": lambda have, asked: have != asked,
    "In": lambda have, asked: have in asked,
    "NotIn": lambda have, asked: have not in asked,
    "GT": lambda have, asked: have > asked,
    "GTE": lambda have, asked: have >= asked,
    "LT": lambda have, asked: have < asked,
    "LTE": lambda have, asked: have <= asked,
    "Contains": lambda have, asked: asked in have,
    "HasPrefix": lambda have, asked: have.startswith(asked),
    "HasSuffix": lambda have, asked: have.endswith(asked),
    "EqualFold": lambda have, asked: have.lower() == asked.lower(),
    "ContainsFold": lambda have, asked: asked.lower() in have.lower(),
    "Has": lambda have, asked: asked in have,
}
EQUAL, LISTS, ORDER = ["", "NEQ"], ["In", "NotIn"], ["GT", "GTE", "LT", "LTE"]
TEXT, FOLD = ["Contains", "HasPrefix", "HasSuffix"], ["EqualFold", "ContainsFold"]


def fits(have: Any, suffix: str, asked: Any) -> bool:
    """A null fits nothing but IsNil; false there asks nothing."""
    if suffix in ("IsNil", "NotNil"):
        return not asked or (have is None) is (suffix == "IsNil")
    return have is not None and PREDICATES[suffix](have, asked)


def in_python(rows: Iterable[APIToken], attribute: str, suffix: str, asked: Any) -> list[str]:
    def have(row: APIToken) -> Any:
        value = getattr(row, attribute)
        return str(value) if attribute in ("id", "owner_id") else value

    return [str(row.pk) for row in rows if fits(have(row), suffix, asked)]


def on_the_wire(asked: Any) -> Any:
    if isinstance(asked, list):
        return [on_the_wire(one) for one in asked]
    return asked.isoformat() if isinstance(asked, datetime) else asked


MARKS = ["", "al", "AL", "ha", "HA", "%", "_", "*", "?", "[", "[p]", "'", '"', "\\", " ", "l%p", "l_p", "l*p"]
COLUMNS: list[tuple[str, str, list[str], Callable[[list[APIToken]], list[Any]]]] = [
    # key, attribute, suffixes, what is asked
    ("name", "name", EQUAL + LISTS + TEXT + FOLD, lambda rows: [*(row.name for row in rows), *MARKS]),
    (
        "revokedReason",
        "revoked_reason",
        EQUAL + LISTS + ORDER + TEXT + FOLD,
        lambda rows: ["", "leaked", "lo", "ed", "rotated", "zzz"],
    ),
    ("createdAt", "created_at", EQUAL + LISTS + ORDER, lambda rows: [rows[0].created_at, rows[5].created_at]),
    (
        "expiresAt",
        "expires_at",
        EQUAL + LISTS + ORDER,
        lambda rows: [*{row.expires_at for row in rows} - {None}, NEW_YEAR, datetime(1, 1, 1, tzinfo=UTC)],
    ),
    ("usageCount", "usage_count", EQUAL + LISTS + ORDER, lambda rows: [0, 1, 2, 3, -1, 2**31 - 1]),
    ("isActive", "is_active", EQUAL, lambda rows: [True, False]),
    ("id", "id", EQUAL + LISTS + ORDER, lambda rows: [str(rows[0].pk), str(rows[4].pk), NOBODY]),
    (
        "id",
        "id",
        FOLD,
        lambda rows: [str(rows[0].pk), str(rows[4].pk).upper(), str(rows[4].pk)[-6:], "", "x"],
    ),
    ("ownerID", "owner_id", EQUAL + LISTS + ORDER, lambda rows: [str(rows[0].owner_id), NOBODY]),
    (
        "ownerID",
        "owner_id",
        TEXT + FOLD,
        lambda rows: [str(rows[0].owner_id), str(rows[0].owner_id)[:13], str(rows[0].owner_id)[-5:], "", "x"],
    ),
    (
        "tags",
        "tags",
        ["Has"],
        lambda rows: [*(tag for row in rows for tag in row.tags), "", "C", "%", "missing"],
    ),
]


@pytest.mark.parametrize(
    ("key", "attribute", "suffixes", "asked"), COLUMNS, ids=lambda value: str(value)[:20]
)
def test_each_predicate_finds_what_python_finds(
    rows: list[APIToken],
    search: Search,
    key: str,
    attribute: str,
    suffixes: list[str],
    asked: Callable[[list[APIToken]], list[Any]],
) -> None:
    values = asked(rows)
    for suffix in suffixes:
        for value in [[], values[:1], values[:2], values] if suffix in LISTS else values:
            expected = in_python(rows, attribute, suffix, value)
            assert search({f"{key}{suffix}": on_the_wire(value)}) == expected, (key, suffix, value)


@pytest.mark.parametrize(
    ("key", "attribute"),
    [
        ("revokedReason", "revoked_reason"),
        ("expiresAt", "expires_at"),
        ("lastUsedAt", "last_used_at"),
        ("createdBy", "created_by"),
        ("isActive", "is_active"),
        ("ownerID", "owner_id"),
    ],
)
@pytest.mark.parametrize("suffix", ["IsNil", "NotNil"])
@pytest.mark.parametrize("asked", [True, False])
def test_what_is_null_can_be_asked_for(
    rows: list[APIToken], search: Search, key: str, attribute: str, suffix: str, asked: bool
) -> None:
    assert search({f"{key}{suffix}": asked}) == in_python(rows, attribute, suffix, asked)


@pytest.mark.parametrize(
    "malformed", ["", "x", "0", "tola_x", f"{NOBODY}0", "' OR 1=1 --", "é" * 32, "１" * 32]
)
def test_a_malformed_id_is_simply_not_found(rows: list[APIToken], search: Search, malformed: str) -> None:
    everything = [str(row.pk) for row in rows]
    first = everything[:1]
    for key in ("id", "ownerID"):
        assert search({key: malformed}) == []
        assert search({f"{key}In": [malformed]}) == []
        assert search({f"{key}NEQ": malformed}) == everything
        assert search({f"{key}NotIn": [malformed]}) == everything
    assert search({"idIn": [malformed, *first]}) == first
    assert search({"idNotIn": [malformed, *everything[1:]]}) == first


def test_an_enum_is_searched_by_its_names(world: World, query: Query) -> None:
    token = make_personal_token(world.owner).token
    document = """
    query($where: OrgMembershipWhereInput) {
      orgMemberships(where: $where) { edges { node { role user { firstName } } } }
    }
    """

    def names(where: Where) -> list[str]:
        found = query(document, {"where": where}, token=token).data["orgMemberships"]["edges"]
        return [edge["node"]["user"]["firstName"] for edge in found]

    assert names({"role": "OWNER"}) == ["Owner"]
    assert names({"roleNEQ": "MEMBER"}) == ["Owner", "Admin", "Auditor"]
    assert names({"roleIn": ["ADMIN", "AUDITOR"]}) == ["Admin", "Auditor"]
    assert names({"roleNotIn": ["ADMIN", "AUDITOR"]}) == ["Owner", "Member", "Both"]
    assert query(document, {"where": {"role": "KING"}}, token=token).status == 400


# --- together ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({}, [name for name, *_ in ROWS]),
        ({"name": None, "or": None, "not": None, "hasOwnerWith": None}, [name for name, *_ in ROWS]),
        ({"name": None, "isActive": False, "revokedReason": "lost"}, ["al%pha"]),
        ({"nameHasPrefix": "al", "isActive": False}, ["al%pha", 'al"pha']),
        ({"and": [{"nameHasPrefix": "al"}, {"isActive": False}]}, ["al%pha", 'al"pha']),
        ({"or": [{"name": "alpha"}, {"name": "Alpha"}]}, ["alpha", "Alpha"]),
        ({"or": [{"name": "alpha"}, {"revokedReason": "lost"}], "isActive": True}, ["alpha"]),
        ({"not": {"nameHasPrefix": "al"}}, ["Alpha", "ALPHA beta"]),
        ({"not": {"not": {"name": "alpha"}}}, ["alpha"]),
        ({"not": {"or": [{"isActive": True}, {"tagsHas": "ci"}]}}, ["al%pha", 'al"pha']),
        ({"and": []}, [name for name, *_ in ROWS]),
        ({"or": []}, [name for name, *_ in ROWS]),
        ({"or": [{}, {"name": "alpha"}]}, [name for name, *_ in ROWS]),
        ({"or": [{"name": "alpha"}, {"name": None}]}, [name for name, *_ in ROWS]),
        ({"not": {}}, []),
        ({"and": [{}, {"name": "alpha"}]}, ["alpha"]),
        ({"nameIn": []}, []),
        ({"nameNotIn": []}, [name for name, *_ in ROWS]),
        ({"not": {"nameIn": []}}, [name for name, *_ in ROWS]),
        ({"revokedReasonNotIn": []}, ["Alpha", "ALPHA beta", "al%pha", 'al"pha']),
    ],
    ids=str,
)
def test_keys_are_anded_null_is_absent_and_nothing_asked_is_everything(
    rows: list[APIToken], search: Search, where: Where, names: list[str]
) -> None:
    by_name = {row.name: str(row.pk) for row in rows}
    assert search(where) == [by_name[name] for name in names]


LEAVES: st.SearchStrategy[Where] = st.one_of(
    st.sampled_from(["alpha", "Alpha", "al", ""]).map(lambda text: {"nameContains": text}),
    st.sampled_from(["leaked", "lost", "none"]).flatmap(
        lambda text: st.sampled_from(["", "NEQ", "GT", "LTE", "HasPrefix"]).map(
            lambda suffix: {f"revokedReason{suffix}": text}
        )
    ),
    st.booleans().map(lambda asked: {"expiresAtIsNil": asked}),
    st.integers(0, 3).map(lambda days: {"expiresAtGT": (NEW_YEAR + timedelta(days=days)).isoformat()}),
    st.sampled_from(["ci", "*"]).map(lambda tag: {"tagsHas": tag}),
    st.booleans().map(lambda asked: {"isActive": asked, "usageCountNEQ": 1}),
    st.just({}),
    st.just({"name": None, "nameIn": None}),
)
WHERES = st.recursive(
    LEAVES,
    lambda deeper: st.one_of(
        deeper.map(lambda one: {"not": one}),
        st.lists(deeper, max_size=3).map(lambda several: {"and": several}),
        st.lists(deeper, max_size=3).map(lambda several: {"or": several}),
        st.tuples(LEAVES, deeper).map(lambda both: {**both[0], "not": both[1]}),
    ),
    max_leaves=8,
)
ATTRIBUTES = {
    "name": "name",
    "revokedReason": "revoked_reason",
    "expiresAt": "expires_at",
    "tags": "tags",
    "isActive": "is_active",
    "usageCount": "usage_count",
}


def matches(row: APIToken, where: Where) -> bool:
    """The same question, asked in Python."""
    for key, asked in where.items():
        if asked is None:
            continue
        if key == "not":
            fitting = not matches(row, asked)
        elif key == "and":
            fitting = all(matches(row, one) for one in asked)
        elif key == "or":
            fitting = not asked or any(matches(row, one) for one in asked)
        else:
            column = next(name for name in ATTRIBUTES if key.startswith(name))
            value = datetime.fromisoformat(asked) if key == "expiresAtGT" else asked
            fitting = fits(getattr(row, ATTRIBUTES[column]), key.removeprefix(column), value)
        if not fitting:
            return False
    return True


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(where=WHERES)
def test_whatever_is_asked_the_rows_are_those_python_finds(
    rows: list[APIToken], search: Search, where: Where
) -> None:
    assert search(where) == [str(row.pk) for row in rows if matches(row, where)]


# --- edges -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "is_found"),
    [
        ({"hasOwner": True}, True),
        ({"hasOwner": False}, False),
        ({"hasOwnerWith": []}, True),
        ({"hasOwnerWith": [{}]}, True),
        ({"hasOwnerWith": [{"name": "acme"}]}, True),
        ({"hasOwnerWith": [{"name": "globex"}]}, False),
        ({"hasOwnerWith": [{"name": "acme"}, {"nameHasPrefix": "ac"}]}, True),
        ({"hasOwnerWith": [{"name": "acme"}, {"name": "globex"}]}, False),
        ({"hasOwnerWith": [{"or": [{"name": "acme"}, {"name": "globex"}]}]}, True),
        ({"not": {"hasOwnerWith": [{"name": "acme"}]}}, False),
        ({"or": [{"hasOwnerWith": [{"name": "globex"}]}, {"name": "alpha"}]}, True),
    ],
    ids=str,
)
def test_a_token_is_found_by_its_owner(world: World, search: Search, where: Where, is_found: bool) -> None:
    token = make_api_token(world.acme, name="alpha")

    assert search(where) == ([str(token.pk)] if is_found else [])


PERSONAL = """
query($where: PersonalAccessTokenWhereInput) {
  personalAccessTokens(where: $where) { totalCount edges { node { name organizations { totalCount } } } }
}
"""


def test_a_personal_token_is_found_by_the_organizations_it_reaches(world: World, query: Query) -> None:
    """Those it was given, or all of its owner's: what the connection shows. Each token once."""
    acme, globex = world.acme.pk, world.globex.pk
    asking = make_personal_token(world.both, name="everywhere")
    make_personal_token(world.both, name="acme", organizations=[acme])
    make_personal_token(world.both, name="both", organizations=[acme, globex])

    def names(where: Where, token: str = asking.token) -> list[str]:
        page = query(PERSONAL, {"where": where}, token=token).data["personalAccessTokens"]
        found = [edge["node"]["name"] for edge in page["edges"]]
        assert page["totalCount"] == len(found)
        return found

    assert names({"hasOrganizations": True}) == ["everywhere", "acme", "both"]
    assert names({"hasOrganizations": False}) == []
    assert names({"hasOrganizationsWith": [{"name": "acme"}]}) == ["everywhere", "acme", "both"]
    assert names({"hasOrganizationsWith": [{"name": "globex"}]}) == ["everywhere", "both"]
    assert names({"not": {"hasOrganizationsWith": [{"name": "globex"}]}}) == ["acme"]
    assert names({"hasOwnerWith": [{"email": "both@example.org"}]}) == ["everywhere", "acme", "both"]
    organizations.remove_member(SETUP, world.both.org_memberships.get(organization=globex))
    assert names({"hasOrganizationsWith": [{"name": "globex"}]}) == []


def test_nobody_searches_by_an_organization_they_may_not_see(world: World, query: Query) -> None:
    make_personal_token(world.both, name="both", organizations=[world.acme.pk, world.globex.pk])
    narrow = make_personal_token(world.both, name="acme", organizations=[world.acme.pk]).token

    def count(name: str) -> int:
        answer = query(PERSONAL, {"where": {"hasOrganizationsWith": [{"name": name}]}}, token=narrow)
        return answer.data["personalAccessTokens"]["totalCount"]

    assert (count("acme"), count("globex")) == (2, 0)


@pytest.mark.parametrize(("scopes", "found"), [(["read:groups"], 0), (["read:groups", "read:members"], 1)])
def test_nobody_searches_by_a_person_they_may_not_see(
    world: World, query: Query, scopes: list[str], found: int
) -> None:
    group = organizations.create_group(SETUP, organization_id=world.acme.pk, name="friends")
    organizations.add_to_group(SETUP, Group.objects.get(pk=group.pk), world.member.pk)
    document = """
    { groups { edges { node {
      members(where: {hasUserWith: [{email: "member@example.org"}]}) { totalCount }
    } } } }
    """

    answer = query(document, token=make_api_token(world.acme, *scopes).token)

    assert answer.data["groups"]["edges"][0]["node"]["members"]["totalCount"] == found


# --- too much, and nonsense --------------------------------------------------------------------------


def nested(depth: int) -> Where:
    where: Where = {"name": "alpha"}
    for _ in range(depth):
        where = {"not": where}
    return where


@pytest.mark.parametrize(
    "where",
    [
        {"or": [{"name": "x"}] * 100},
        {"and": [{"nameNEQ": "x"}] * 100},
        {"or": [{}] * 501},
        {"nameIn": ["x"] * 501},
        {"nameIn": ["x"] * 50_000},
        {"nameContainsFold": "x" * 1_001},
        {"nameIn": ["x" * 1_001]},
        {"hasOwnerWith": [{"nameIn": ["x"] * 501}]},
        nested(100),
    ],
    ids=lambda where: str(where)[:40],
)
def test_a_question_no_database_could_take_is_refused(ask: Callable[[Where], Answer], where: Where) -> None:
    answer = ask(where)

    assert (answer.status, answer.code) == (200, "BAD_REQUEST")
    assert "too many" in answer.error["message"]


@pytest.mark.parametrize(
    "where",
    [
        {"or": [{"nameNEQ": "x"}] * 49 + [{"name": "y", "tagsHas": "z"}] * 25},
        {"idIn": [NOBODY] * 500},
        {"nameContainsFold": "%" * 1_000},
        {"nameContains": "*" * 1_000},
        nested(99),
        {"hasOwnerWith": [{"nameNotIn": ["x"] * 500}]},
    ],
    ids=lambda where: str(where)[:40],
)
def test_a_large_question_is_answered(ask: Callable[[Where], Answer], where: Where) -> None:
    assert ask(where).data is not None


@pytest.mark.parametrize(
    "where",
    [
        {"nope": 1},
        {"token": "x"},
        {"description": "x"},
        {"name": 1},
        {"nameIn": "x", "isActive": "yes"},
        [],
        "x",
    ],
    ids=str,
)
def test_what_is_no_question_is_a_bad_request(ask: Callable[[Where], Answer], where: Any) -> None:
    answer = ask(where)

    assert answer.code is not None
    assert answer.status == 400


@pytest.mark.parametrize(
    "moment", ["2030-01-01T00:00:00", "2030-01-01", "x", "", 5, "0001-01-01T00:00:00+14:00"]
)
def test_a_time_without_an_offset_or_off_the_calendar_is_refused_by_name(
    ask: Callable[[Where], Answer], moment: Any
) -> None:
    answer = ask({"expiresAtGT": moment})

    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert list(answer.error["extensions"]["fields"]) == ["expiresAtGT"]
