"""From where and from when a token is good: told before GraphQL, and never loosened by itself."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.conftest import Answer, Query, World
from tests.factories import make_api_token, make_personal_token
from tests.tokens.test_authentication import make
from tests.tokens.test_escalation import CREATE_API, CREATE_PERSONAL, changing
from tokens import networks, usage
from tokens.authentication import identify
from tokens.models import Token, TokenUsage
from tokens.secret import TokenKind

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
MOMENT, DAY = timedelta(microseconds=1), timedelta(days=1)
VIEWER = "{ viewer { id } }"
CREATE = {TokenKind.API: CREATE_API, TokenKind.PERSONAL: CREATE_PERSONAL}
ALLOWED, REFUSED = (200, None), (403, "ADDRESS_NOT_ALLOWED")


@pytest.fixture(params=TokenKind)
def kind(request: pytest.FixtureRequest) -> TokenKind:
    found: TokenKind = request.param
    return found


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def ask(token: Token, peer: str, document: str = VIEWER, **headers: str) -> tuple[int, str | None]:
    """Status and code of what `peer` gets with this token."""
    response = Client().post(
        "/query",
        json.dumps({"query": document}),
        "application/json",
        headers={"authorization": f"Bearer {token.token}", **headers},
        REMOTE_ADDR=peer,
    )
    errors = response.json().get("errors")
    return response.status_code, errors[0]["extensions"]["code"] if errors else None


def change(query: Query, target: Token, given: dict[str, Any], **who: Any) -> Answer:
    return query(changing(target), {"id": str(target.pk), "input": given}, **who)


def reread(token: Any) -> Any:
    return type(token).objects.get(pk=token.pk)


# --- from where --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "peer", "expected"),
    [
        ([], "203.0.113.9", ALLOWED),
        (["192.0.2.7"], "192.0.2.7", ALLOWED),
        (["192.0.2.7"], "192.0.2.8", REFUSED),
        (["192.0.2.7/32"], "::ffff:192.0.2.7", ALLOWED),
        (["192.0.2.0/24"], "192.0.2.255", ALLOWED),
        (["192.0.2.0/24"], "192.0.3.0", REFUSED),
        (["192.0.2.0/24"], "::ffff:192.0.3.0", REFUSED),
        (["192.0.2.0/24", "2001:db8::/32"], "2001:db8:ffff::1", ALLOWED),
        (["2001:db8::/32"], "2001:db9::1", REFUSED),
        (["2001:db8::1"], "2001:0db8:0:0:0:0:0:1", ALLOWED),
        (["0.0.0.0/0"], "203.0.113.9", ALLOWED),
        (["0.0.0.0/0"], "2001:db8::1", REFUSED),
        (["::/0"], "2001:db8::1", ALLOWED),
        (["::/0"], "203.0.113.9", REFUSED),
        (["::/0"], "::ffff:203.0.113.9", REFUSED),
        (["0.0.0.0/0", "::/0"], "", REFUSED),
        (["0.0.0.0/0", "::/0"], "unix:", REFUSED),
    ],
)
def test_a_token_is_accepted_from_the_addresses_it_names(
    world: World, kind: TokenKind, allowed: list[str], peer: str, expected: tuple[int, str | None]
) -> None:
    assert ask(make(kind, world, allowed_addresses=allowed), peer) == expected


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "expected"),
    [
        (0, "192.0.2.7", "203.0.113.9", ALLOWED),
        (0, "203.0.113.9", "192.0.2.7", REFUSED),
        (1, "203.0.113.9", "192.0.2.7", ALLOWED),
        (1, "203.0.113.9", "192.0.2.7, 203.0.113.8", REFUSED),
        (1, "203.0.113.9", "::ffff:192.0.2.7", ALLOWED),
        (1, "203.0.113.9", "192.0.2.7, junk", REFUSED),
        (2, "203.0.113.9", "192.0.2.7", REFUSED),
    ],
)
def test_it_is_the_address_that_is_believed_that_counts(
    world: World,
    settings: Any,
    kind: TokenKind,
    proxies: int,
    peer: str,
    forwarded: str,
    expected: tuple[int, str | None],
) -> None:
    settings.TRUSTED_PROXIES = proxies
    token = make(kind, world, allowed_addresses=["192.0.2.7"])

    assert ask(token, peer, **{"x-forwarded-for": forwarded}) == expected


@pytest.mark.parametrize("document", [VIEWER, "{ not GraphQL", "mutation { nothing }"])
def test_a_refusal_of_the_address_comes_before_graphql_and_once(
    world: World, kind: TokenKind, document: str
) -> None:
    token = make(kind, world, "admin", allowed_addresses=["192.0.2.7"])
    identify_compiled(token)

    with CaptureQueriesContext(connection) as queries:
        assert ask(token, "203.0.113.9", document) == REFUSED

    assert [query["sql"][:7] for query in queries] == ["SELECT "]
    usage.flush()
    row = TokenUsage.objects.get(token_id=token.pk)
    assert (row.outcome, row.address, row.count) == ("ADDRESS_NOT_ALLOWED", "203.0.113.9", 1)
    assert (reread(token).usage_count, reread(token).last_used_at) == (0, None)


def identify_compiled(token: Token) -> None:
    """The statement of its kind is compiled once in a process."""
    identify(make_like(token), timezone.now())


def make_like(token: Any) -> str:
    value: str = (
        make_api_token(token.owner).token
        if token.kind is TokenKind.API
        else make_personal_token(token.owner).token
    )
    return value


def test_a_restricted_token_is_authenticated_by_one_select_and_no_write(
    world: World, kind: TokenKind
) -> None:
    token = make(kind, world, allowed_addresses=["192.0.2.0/24"] * 100, not_before=timezone.now() - DAY)
    identify_compiled(token)

    with CaptureQueriesContext(connection) as queries:
        assert ask(token, "192.0.2.7") == ALLOWED

    assert [query["sql"][:7] for query in queries] == ["SELECT "]


NO_NETWORKS = {
    "a host in its network": (["192.0.2.7/24"], "Did you mean 192.0.2.0/24?"),
    "a host in its network of IPv6": (["2001:db8::1/32"], "Did you mean 2001:db8::/32?"),
    "IPv4 in the dress of IPv6": (["::ffff:192.0.2.0/120"], "Did you mean 192.0.2.0/24?"),
    "an address in that dress": (["::ffff:192.0.2.7"], "Did you mean 192.0.2.7/32?"),
    "a hundred and one": ([f"192.0.2.{n}" for n in range(101)], "At most 100 networks; these are 101."),
    "a name": (["example.org"], "'example.org' is no network."),
    "a prefix that is too long": (["192.0.2.0/33"], "is no network."),
    "leading noughts": (["192.0.02.7"], "is no network."),
    "a number": (["3221225985"], "is no network."),
    "nothing": ([""], "is no network."),
    "a space": (["192.0.2.7 "], "is no network."),
    "two in one": (["192.0.2.7,192.0.2.8"], "is no network."),
    "a star": (["*"], "is no network."),
    "one good, one bad": (["192.0.2.7", "x" * 4_000], "is no network."),
}


@pytest.mark.parametrize("case", NO_NETWORKS)
def test_what_is_no_network_is_refused_with_a_remedy(
    world: World, query: Query, kind: TokenKind, case: str
) -> None:
    sent, told = NO_NETWORKS[case]
    token = make(kind, world)
    answers = [
        query(CREATE[kind], {"input": {"name": "x", "allowedAddresses": sent}}, user=world.owner),
        change(query, token, {"allowedAddresses": sent}, user=world.owner),
        change(query, token, {"appendAllowedAddresses": sent}, user=world.owner),
    ]

    for answer in answers:
        assert (answer.code, list(answer.error["extensions"]["fields"])) == (
            "VALIDATION_ERROR",
            ["allowedAddresses"],
        )
        assert told in answer.error["message"]
        assert len(answer.error["message"]) < 300
    assert reread(token).allowed_addresses == []


OWN = ["192.0.2.0/24", "127.0.0.0/8"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"allowedAddresses": ["127.0.0.1"]}, None),
        ({"allowedAddresses": ["192.0.2.0/25", "127.0.0.1", "192.0.2.128/25"]}, None),
        ({"allowedAddresses": [*reversed(OWN)]}, None),
        ({"appendAllowedAddresses": ["192.0.2.7"]}, None),
        ({"allowedAddresses": ["192.0.2.7"]}, None),  # which shuts out itself, from here on
        ({"clearAllowedAddresses": True}, "UNAUTHORIZED"),
        ({"allowedAddresses": []}, "UNAUTHORIZED"),
        ({"allowedAddresses": ["0.0.0.0/0"]}, "UNAUTHORIZED"),
        ({"allowedAddresses": ["127.0.0.1", "192.0.2.0/23"]}, "UNAUTHORIZED"),
        ({"allowedAddresses": ["127.0.0.1", "::/0"]}, "UNAUTHORIZED"),
        ({"appendAllowedAddresses": ["203.0.113.9"]}, "UNAUTHORIZED"),
        ({"appendAllowedAddresses": ["2001:db8::/32"]}, "UNAUTHORIZED"),
    ],
)
def test_a_token_narrows_its_own_addresses_and_never_widens_them(
    world: World, query: Query, kind: TokenKind, given: dict[str, Any], expected: str | None
) -> None:
    token = make(kind, world, "admin", allowed_addresses=OWN)

    answer = change(query, token, given, token=token.token)

    assert answer.code == expected
    assert (reread(token).allowed_addresses == OWN) == (expected is not None)


def test_another_token_gives_addresses_only_with_all_the_scopes_they_open(
    world: World, query: Query, kind: TokenKind
) -> None:
    token = make(kind, world, "read", allowed_addresses=OWN)
    narrow = make_personal_token(world.owner, "admin:tokens")
    given = {"appendAllowedAddresses": ["203.0.113.9"]}

    assert change(query, token, given, token=narrow.token).code == "INSUFFICIENT_SCOPES"
    assert change(query, token, given, token=make_personal_token(world.owner, "admin").token).code is None
    assert reread(token).allowed_addresses == [*OWN, "203.0.113.9"]


def test_addresses_can_be_cleared_by_a_person(world: World, query: Query, kind: TokenKind) -> None:
    token = make(kind, world, allowed_addresses=["192.0.2.7"])
    assert change(query, token, {"clearAllowedAddresses": True}, user=world.owner).code is None

    assert ask(token, "203.0.113.9") == ALLOWED


def test_a_list_of_networks_covers_another_network_by_network() -> None:
    assert networks.cover(["192.0.2.0/24", "::/0"], ["192.0.2.7", "2001:db8::/32"])
    assert networks.cover(["0.0.0.0/0"], ["0.0.0.0/0"])
    assert not networks.cover(
        ["192.0.2.0/25", "192.0.2.128/25"], ["192.0.2.0/24"]
    )  # refused rather than added up
    assert not networks.cover(["0.0.0.0/0"], ["::/0"])


# --- from when ---------------------------------------------------------------------------------------


def test_a_token_is_good_from_its_very_first_moment(world: World, clock: Any, kind: TokenKind) -> None:
    token = make(kind, world, not_before=NOON + DAY)

    clock.move_to(NOON + DAY - MOMENT)
    assert ask(token, "127.0.0.1") == (401, "TOKEN_NOT_YET_VALID")
    clock.move_to(NOON + DAY)
    assert ask(token, "127.0.0.1") == ALLOWED


def test_a_token_that_is_not_valid_yet_does_nothing_and_is_seen_trying(
    world: World, clock: Any, kind: TokenKind
) -> None:
    token = make(kind, world, "admin", not_before=NOON + DAY)
    assert ask(token, "192.0.2.7", "mutation { nothing }") == (401, "TOKEN_NOT_YET_VALID")

    usage.flush()
    row = TokenUsage.objects.get(token_id=token.pk)
    assert (row.outcome, row.address, row.count) == ("TOKEN_NOT_YET_VALID", "192.0.2.7", 1)


@pytest.mark.parametrize("not_before", [NOON + DAY, NOON + DAY + MOMENT])
def test_a_token_does_not_end_before_it_begins(
    world: World, query: Query, clock: Any, kind: TokenKind, not_before: datetime
) -> None:
    begins, ends = not_before.isoformat(), (NOON + DAY).isoformat()
    token = make(kind, world, not_before=not_before)
    answers = [
        query(
            CREATE[kind], {"input": {"name": "x", "notBefore": begins, "expiresAt": ends}}, user=world.owner
        ),
        change(query, token, {"expiresAt": ends}, user=world.owner),
        change(query, make(kind, world, expires_at=NOON + DAY), {"notBefore": begins}, user=world.owner),
    ]

    for answer in answers:
        assert (answer.code, list(answer.error["extensions"]["fields"])) == (
            "VALIDATION_ERROR",
            ["notBefore"],
        )


def test_a_beginning_can_be_cleared_by_a_person(
    world: World, query: Query, clock: Any, kind: TokenKind
) -> None:
    token = make(kind, world, not_before=NOON + DAY)
    assert change(query, token, {"clearNotBefore": True}, user=world.owner).code is None

    assert ask(token, "127.0.0.1") == ALLOWED


@pytest.mark.parametrize("not_before", ["2031-01-01T00:00:00", "soon", ""])
def test_a_beginning_that_is_naive_or_no_time_is_refused(
    world: World, query: Query, kind: TokenKind, not_before: str
) -> None:
    given = {"name": "x", "notBefore": not_before}

    assert query(CREATE[kind], {"input": given}, user=world.owner).code == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"notBefore": (NOON - 2 * DAY).isoformat()}, "UNAUTHORIZED"),
        ({"notBefore": (NOON - DAY - MOMENT).isoformat()}, "UNAUTHORIZED"),
        ({"clearNotBefore": True}, "UNAUTHORIZED"),
        ({"notBefore": (NOON - DAY).isoformat()}, None),
        ({"notBefore": (NOON + DAY).isoformat()}, None),
    ],
)
def test_a_token_moves_its_own_beginning_later_and_never_earlier(
    world: World, query: Query, clock: Any, kind: TokenKind, given: dict[str, Any], expected: str | None
) -> None:
    token = make(kind, world, "admin", not_before=NOON - DAY)

    assert change(query, token, given, token=token.token).code == expected


def test_a_token_that_put_itself_to_sleep_is_asleep_within_its_document(
    world: World, query: Query, clock: Any, kind: TokenKind
) -> None:
    token, other = make(kind, world, "admin"), make(kind, world, "read")
    name = changing(token).split("{")[1].split("(")[0].strip()
    document = f"""mutation($own: ID!, $other: ID!) {{
        a: {name}(id: $own, input: {{notBefore: "{(NOON + DAY).isoformat()}"}}) {{ __typename }}
        b: {name}(id: $other, input: {{name: "changed"}}) {{ __typename }}
    }}"""

    answer = query(document, {"own": str(token.pk), "other": str(other.pk)}, token=token.token)

    assert [(one["path"], one["extensions"]["code"]) for one in answer.body["errors"]] == [
        (["b"], "TOKEN_NOT_YET_VALID")
    ]
    assert reread(other).name != "changed"
