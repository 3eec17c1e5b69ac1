"""Pages: how long they are, that walking them meets every row once, and what is no cursor.

Rows are sorted by Python and compared with what a walk over pages meets, in every order there is.
"""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Answer, Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import services
from tokens.models import APIToken

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
ORDERS = ("created_at", "updated_at", "name", "expires_at", "last_used_at", "is_active")
PAGE = """
query Page(
  $first: Int, $last: Int, $after: Cursor, $before: Cursor,
  $orderBy: [APITokenOrder!], $where: APITokenWhereInput
) {
  apiTokens(first: $first, last: $last, after: $after, before: $before, orderBy: $orderBy, where: $where) {
    edges { cursor node { id name } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}
"""

Page = Callable[..., Answer]
Order = list[tuple[str, str]]


@pytest.fixture
def page(world: World, query: Query) -> Page:
    """page(first=2, after=...) as the owner of acme."""
    token = make_personal_token(world.owner).token
    return lambda **variables: query(PAGE, variables, token=token)


@pytest.fixture
def tokens(world: World) -> list[APIToken]:
    """Eleven tokens, full of ties and nulls, in the order of their creation."""
    made = [make_api_token(world.acme, name=name) for name in "bacabddabce"]
    make_api_token(world.globex, name="theirs")
    for number, token in enumerate(made):
        APIToken.objects.filter(pk=token.pk).update(
            created_at=NEW_YEAR + timedelta(days=number // 4),
            updated_at=NEW_YEAR - timedelta(days=number // 3),
            expires_at=None if number % 2 else NEW_YEAR + timedelta(microseconds=number // 5),
            last_used_at=NEW_YEAR if number in (2, 7) else None,
        )
    for token in made[3:6]:
        services.revoke(SETUP, token, reason=None)
    return list(APIToken.objects.filter(pk__in=[token.pk for token in made]).order_by("pk"))


def in_order(rows: list[APIToken], order: Order) -> list[str]:
    """The ids as they should come: nulls last either way, ties by the id in the direction of the last key."""
    found = sorted(rows, key=lambda row: row.pk, reverse=bool(order) and order[-1][1] == "DESC")
    for name, direction in reversed(order):
        there = [row for row in found if getattr(row, name) is not None]
        there.sort(key=lambda row: getattr(row, name), reverse=direction == "DESC")
        found = there + [row for row in found if getattr(row, name) is None]
    return [str(row.pk) for row in found]


def walked(page: Page, order: Order, size: int, *, backwards: bool = False) -> list[str]:
    """The ids as a walk meets them, page by page to the end; backwards they are turned round again."""
    ids: list[str] = []
    wanted = {"orderBy": [{"field": name, "direction": direction} for name, direction in order]}
    ahead, behind = ("hasPreviousPage", "hasNextPage") if backwards else ("hasNextPage", "hasPreviousPage")
    cursor = None
    while True:
        where_from = {"last": size, "before": cursor} if backwards else {"first": size, "after": cursor}
        found = page(**wanted, **where_from).data["apiTokens"]
        info, met = found["pageInfo"], [edge["node"]["id"] for edge in found["edges"]]
        ids = met + ids if backwards else ids + met
        assert info[behind] is (cursor is not None)
        assert info["startCursor"] == found["edges"][0]["cursor"]
        assert info["endCursor"] == found["edges"][-1]["cursor"]
        assert info[ahead] is (len(ids) < found["totalCount"])
        if not info[ahead]:
            return ids
        assert len(met) == size
        cursor = info["startCursor" if backwards else "endCursor"]


def test_a_page_has_100_rows_unless_told_otherwise(world: World, page: Page) -> None:
    for _ in range(101):
        make_api_token(world.acme)

    found = page().data["apiTokens"]

    assert (len(found["edges"]), found["totalCount"], found["pageInfo"]["hasNextPage"]) == (100, 101, True)
    assert len(page(first=100).data["apiTokens"]["edges"]) == 100
    assert len(page(after=found["pageInfo"]["endCursor"]).data["apiTokens"]["edges"]) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {"first": 101},
        {"last": 101},
        {"first": 1_000_000},
        {"first": -1},
        {"last": -1},
        {"first": 1, "last": 1},
        {"first": 0, "last": 0},
    ],
    ids=str,
)
def test_what_no_page_can_be_is_refused(page: Page, asked: dict[str, int]) -> None:
    answer = page(**asked)

    assert (answer.status, answer.code, answer.body["data"]) == (200, "INVALID_PAGINATION", None)


@pytest.mark.parametrize("none", [{"first": 0}, {"last": 0}], ids=str)
def test_a_page_of_no_rows_still_counts_and_knows_that_there_are_more(
    page: Page, tokens: list[APIToken], none: dict[str, int]
) -> None:
    found = page(**none).data["apiTokens"]

    info = found["pageInfo"]
    assert (found["edges"], found["totalCount"]) == ([], 11)
    assert (info["startCursor"], info["endCursor"]) == (None, None)
    assert (info["hasNextPage"], info["hasPreviousPage"]) == ("first" in none, "last" in none)


def test_an_empty_connection_has_no_pages_around_it(page: Page) -> None:
    found = page().data["apiTokens"]

    assert found == {
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
        "totalCount": 0,
    }


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize(
    "order",
    [
        [],
        *([(name, direction)] for name in ORDERS for direction in ("ASC", "DESC")),
        [("name", "ASC"), ("expires_at", "DESC")],
        [("last_used_at", "DESC"), ("name", "ASC")],
        [("expires_at", "ASC"), ("last_used_at", "DESC")],
        [("is_active", "DESC"), ("last_used_at", "ASC"), ("created_at", "DESC")],
        [("name", "DESC"), ("name", "ASC")],
    ],
    ids=str,
)
def test_a_walk_meets_every_row_once_in_order(
    page: Page, tokens: list[APIToken], order: Order, backwards: bool
) -> None:
    assert walked(page, order, 3, backwards=backwards) == in_order(tokens, order)


MOMENTS = st.none() | st.integers(0, 2).map(lambda days: NEW_YEAR + timedelta(days=days, microseconds=days))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    values=st.lists(st.tuples(st.sampled_from("aBc"), MOMENTS, MOMENTS), min_size=11, max_size=11),
    order=st.lists(
        st.tuples(st.sampled_from(["name", "expires_at", "last_used_at"]), st.sampled_from(["ASC", "DESC"])),
        max_size=3,
        unique_by=lambda key: key[0],
    ),
    size=st.integers(1, 6),
)
def test_whatever_the_rows_hold_a_walk_equals_the_sorted_list(
    page: Page, tokens: list[APIToken], values: list[tuple[str, Any, Any]], order: Order, size: int
) -> None:
    for token, (name, expires_at, last_used_at) in zip(tokens, values, strict=True):
        token.name, token.expires_at, token.last_used_at = name.lower(), expires_at, last_used_at
    APIToken.objects.bulk_update(tokens, ["name", "expires_at", "last_used_at"])

    assert walked(page, order, size) == in_order(tokens, order)
    assert walked(page, order, size, backwards=True) == in_order(tokens, order)


def test_an_order_that_repeats_itself_endlessly_is_the_order_of_its_first_keys(
    page: Page, tokens: list[APIToken]
) -> None:
    order = [("name", "ASC"), ("expires_at", "DESC")] * 400

    assert walked(page, order, 5) == in_order(tokens, order[:2])


def test_after_and_before_together_give_what_lies_between(page: Page, tokens: list[APIToken]) -> None:
    edges = page().data["apiTokens"]["edges"]
    between = {"after": edges[2]["cursor"], "before": edges[7]["cursor"]}

    def ids(**asked: Any) -> list[str]:
        return [edge["node"]["id"] for edge in page(**between, **asked).data["apiTokens"]["edges"]]

    expected = [str(token.pk) for token in tokens[3:7]]
    assert ids() == expected
    assert ids(first=2) == expected[:2]
    assert ids(last=2) == expected[-2:]


def test_a_walk_goes_on_where_it_was_when_rows_come_and_go(
    world: World, page: Page, tokens: list[APIToken]
) -> None:
    first = page(first=4).data["apiTokens"]
    services.delete_token(SETUP, tokens[3])
    make_api_token(world.acme, name="late")

    rest = page(after=first["pageInfo"]["endCursor"]).data["apiTokens"]

    met = [edge["node"] for edge in rest["edges"]]
    assert [node["id"] for node in met[:-1]] == [str(token.pk) for token in tokens[4:]]
    assert met[-1]["name"] == "late"


def test_the_count_is_of_what_is_searched_and_queried_only_when_selected(
    world: World, query: Query, tokens: list[APIToken]
) -> None:
    token = make_personal_token(world.owner).token
    asked = '{ apiTokens(first: 1, where: {name: "a"}) { %s } }'

    def statements(selection: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert query(asked % selection, token=token).data
        return [one["sql"] for one in captured.captured_queries]

    assert query(asked % "totalCount edges { node { id } }", token=token).data["apiTokens"]["totalCount"] == 3
    # the credential, the rows, the count
    assert len(statements("edges { node { id } } totalCount")) == 3
    # the credential, the rows
    assert len(statements("edges { node { id } }")) == 2
    assert "COUNT(" not in statements("edges { node { id } }")[1]
    # the credential, the count
    assert len(statements("totalCount")) == 2
    # the credential
    assert len(statements("__typename")) == 1


def cursor_of(values: Any) -> str:
    text = values if isinstance(values, bytes) else json.dumps(values).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


ID = "01936f2e-7d2c-7cc3-98c4-dc0c0c07398f"


BY_ID: Order = []
BY_NAME, BY_EXPIRY, BY_ACTIVITY = [("name", "ASC")], [("expires_at", "ASC")], [("is_active", "ASC")]
FORGED: list[tuple[Order, str]] = [
    *((BY_ID, text) for text in ("", "x", "!!!!", "é", "null", "a" * 100_000, ID)),
    *((BY_ID, cursor_of(values)) for values in ([ID], b"\xff" * 15, b"\xff" * 17)),
    *((BY_NAME, text) for text in ("", "x", "!!!!", "é", "null", "a" * 100_000, ID)),
    *((BY_NAME, cursor_of(values)) for values in (None, 0, {}, [], ["a"], ["a", ID, ID], ["a", None])),
    *((BY_NAME, cursor_of(values)) for values in (["a", "x"], [None, ID], [1.5, ID], [["a"], ID])),
    *((BY_NAME, cursor_of(values)) for values in ([{"a": 1}, ID], ["a\0", ID], ["a\ud800", ID])),
    *((BY_NAME, cursor_of(raw)) for raw in (b"[" * 100_000, b'["a",NaN]', b"\xff\xfe", b"1" * 5_000)),
    *((BY_EXPIRY, cursor_of([moment, ID])) for moment in ("", "x", "2030", 5, True)),
    (BY_EXPIRY, cursor_of(["0001-01-01T00:00:00+14:00", ID])),
    (BY_EXPIRY, cursor_of(["9999-12-31T23:59:59-14:00", ID])),
    *((BY_ACTIVITY, cursor_of([value, ID])) for value in ("perhaps", None, 2)),
]


@pytest.mark.parametrize("side", ["after", "before"])
def test_a_forged_cursor_is_a_bad_request(page: Page, tokens: list[APIToken], side: str) -> None:
    for order, cursor in FORGED:
        answer = page(**{side: cursor}, orderBy=[{"field": name, "direction": way} for name, way in order])

        assert (answer.status, answer.code) == (200, "BAD_REQUEST"), (order, cursor[:50])
        assert "pageInfo" in answer.error["message"]


def test_a_cursor_of_another_order_is_a_bad_request(page: Page, tokens: list[APIToken]) -> None:
    cursor = page(orderBy=[{"field": "name"}]).data["apiTokens"]["pageInfo"]["endCursor"]

    assert page(after=cursor).code == "BAD_REQUEST"
    assert page(after=cursor, orderBy=[{"field": "expires_at"}]).code == "BAD_REQUEST"
    assert page(after=cursor, orderBy=[{"field": "name"}, {"field": "expires_at"}]).code == "BAD_REQUEST"


def test_a_cursor_of_a_foreign_row_shows_nothing_of_it(
    world: World, page: Page, query: Query, tokens: list[APIToken]
) -> None:
    """It is a position like any other; the rows around it are one's own."""
    theirs = query(PAGE, {}, token=make_personal_token(world.outsider).token).data["apiTokens"]

    found = page(before=theirs["pageInfo"]["endCursor"]).data["apiTokens"]

    assert [edge["node"]["id"] for edge in found["edges"]] == [str(token.pk) for token in tokens]


MEMBERS = """
query($first: Int, $last: Int, $after: Cursor) {
  organizations {
    edges {
      node {
        name
        members(first: $first, last: $last, after: $after, orderBy: [{field: ROLE, direction: DESC}]) {
          totalCount
          pageInfo { hasNextPage hasPreviousPage endCursor }
          edges { node { user { firstName } } }
        }
      }
    }
  }
}
"""


def members(answer: Answer) -> dict[str, tuple[list[str], bool, bool, int]]:
    """Organization -> (first names, hasNextPage, hasPreviousPage, totalCount)."""
    found = {}
    for edge in answer.data["organizations"]["edges"]:
        page = edge["node"]["members"]
        names = [one["node"]["user"]["firstName"] for one in page["edges"]]
        info = page["pageInfo"]
        found[edge["node"]["name"]] = (
            names,
            info["hasNextPage"],
            info["hasPreviousPage"],
            page["totalCount"],
        )
    return found


def test_a_nested_connection_pages_below_each_row_of_a_page(world: World, query: Query) -> None:
    token = make_personal_token(world.both).token

    assert members(query(MEMBERS, {"first": 2}, token=token)) == {
        "acme": (["Owner", "Both"], True, False, 5),
        "globex": (["Outsider", "Both"], False, False, 2),
    }
    assert members(query(MEMBERS, {"last": 2}, token=token)) == {
        "acme": (["Auditor", "Admin"], False, True, 5),
        "globex": (["Outsider", "Both"], False, False, 2),
    }
    assert members(query(MEMBERS, {"first": 0}, token=token)) == {
        "acme": ([], True, False, 5),
        "globex": ([], True, False, 2),
    }
    one = query(MEMBERS, {"first": 2}, token=make_personal_token(world.owner).token)
    after = one.data["organizations"]["edges"][0]["node"]["members"]["pageInfo"]["endCursor"]
    assert members(query(MEMBERS, {"first": 2, "after": after}, token=token)) == {
        "acme": (["Member", "Auditor"], True, True, 5),
        "globex": ([], False, True, 2),
    }


def test_a_nested_connection_that_cannot_be_is_refused_where_it_stands(world: World, query: Query) -> None:
    answer = query(MEMBERS, {"first": 101}, token=make_personal_token(world.both).token)

    assert answer.code == "INVALID_PAGINATION"
    assert answer.error["path"] == ["organizations", "edges", 0, "node", "members"]


def test_pages_under_two_aliases_are_two(world: World, query: Query) -> None:
    document = """
    { orgMemberships { edges { node {
      one: organization { members(first: 1) { edges { node { id } } } }
      all: organization { members { totalCount edges { node { id } } } }
    } } } }
    """
    answer = query(document, token=make_personal_token(world.owner).token)

    for edge in answer.data["orgMemberships"]["edges"]:
        assert len(edge["node"]["one"]["members"]["edges"]) == 1
        assert len(edge["node"]["all"]["members"]["edges"]) == 5
