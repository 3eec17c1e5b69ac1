"""A token gets a successor: what that has, how long the old value works on, and who may ask for it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.utils import timezone

from audit.models import Event
from organizations import services as organizations
from organizations.access import Barred, InsufficientScopes
from organizations.models import Organization, OrgMembership
from tests.conftest import Answer, Query, World
from tests.factories import SETUP, join, make_api_token, make_personal_token
from tests.organizations.people import fields_of, holder_of, outcome
from tokens import policies, secret, services, usage
from tokens.authentication import BadCredential, identify, person
from tokens.models import APIToken, PersonalAccessToken, Token
from tokens.rotation import LONGEST_OVERLAP, rotate
from tokens.secret import TokenKind

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
MOMENT, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)

SHOWN = """
    id token hint name description scopes tags allowedAddresses expiresAt isActive createdBy overlapEndsAt
    rotatedFrom { id token overlapEndsAt } rotatedTo { id }
    rotatedFromAddresses { address count } status { state endsAt endsBy }
"""
ROTATE = {
    TokenKind.API: f"""mutation($id: ID!, $input: RotateAPITokenInput!) {{
        rotateAPIToken(id: $id, input: $input) {{ apiToken {{ {SHOWN} ownerID }} }}
    }}""",
    TokenKind.PERSONAL: f"""mutation($id: ID!, $input: RotatePersonalAccessTokenInput!) {{
        rotatePersonalAccessToken(id: $id, input: $input) {{
            personalAccessToken {{ {SHOWN} owner {{ id }} organizations {{ edges {{ node {{ name }} }} }} }}
        }}
    }}""",
}
GET = {
    TokenKind.API: f"query($id: ID!) {{ apiToken(id: $id) {{ {SHOWN} }} }}",
    TokenKind.PERSONAL: f"query($id: ID!) {{ personalAccessToken(id: $id) {{ {SHOWN} }} }}",
}
TOLD = {TokenKind.API: "api_token.rotated", TokenKind.PERSONAL: "personal_access_token.rotated"}


@pytest.fixture(params=TokenKind)
def kind(request: pytest.FixtureRequest) -> TokenKind:
    found: TokenKind = request.param
    return found


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def make(kind: TokenKind, world: World, *scopes: str, **fields: Any) -> Any:
    """An API token of acme, or a personal one of acme's owner."""
    if kind is TokenKind.API:
        return make_api_token(world.acme, *scopes, **fields)
    return make_personal_token(world.owner, *scopes, **fields)


def ask(query: Query, old: Token, sent: dict[str, Any] | None = None, **who: Any) -> Answer:
    return query(ROTATE[old.kind], {"id": str(old.pk), "input": sent or {}}, **who)


def shown(answer: Answer) -> dict[str, Any]:
    ((token,),) = (payload.values() for payload in answer.data.values())
    found: dict[str, Any] = token
    return found


def is_accepted(value: str) -> bool:
    try:
        return identify(value, timezone.now()).is_authenticated
    except BadCredential:
        return False


def works(token: Any) -> bool:
    return is_accepted(token.token)


def reread(token: Any) -> Any:
    return type(token).objects.get(pk=token.pk)


def demand(organization: Organization, **columns: Any) -> None:
    policies.update_policy(SETUP, organization.pk, columns)


def rotations() -> list[str]:
    return [action for action in Event.objects.values_list("action", flat=True) if "rotated" in action]


# --- the successor -----------------------------------------------------------------------------------


def test_the_new_value_is_shown_once_and_works(world: World, query: Query, kind: TokenKind) -> None:
    old = make(kind, world, "read")

    made = shown(ask(query, old, user=world.owner))

    assert secret.parse(made["token"]) is kind
    assert made["token"] != old.token
    assert made["hint"] == made["token"][: len(made["hint"])]
    assert is_accepted(made["token"])
    assert made["rotatedFrom"]["token"] == secret.MASK
    again = query(GET[kind], {"id": made["id"]}, user=world.owner)
    assert next(iter(again.data.values()))["token"] == secret.MASK


def test_the_successor_is_what_the_old_one_was(world: World, query: Query, kind: TokenKind) -> None:
    old = make(
        kind,
        world,
        *("read", "task:write"),
        name="nightly",
        description="d" * 2_000,
        tags=["ci", "eu"],
        allowed_addresses=["127.0.0.0/8", "2001:db8::/32"],
    )

    made = shown(ask(query, old, user=world.owner))

    names = ("name", "description", "scopes", "tags", "allowed_addresses", "owner_id")
    successor = reread(old).rotated_to
    assert {name: getattr(successor, name) for name in names} == {name: getattr(old, name) for name in names}
    assert (made["rotatedFrom"]["id"], made["id"]) == (str(old.pk), str(successor.pk))
    before = next(iter(query(GET[kind], {"id": str(old.pk)}, user=world.owner).data.values()))
    assert (before["rotatedTo"], before["rotatedFrom"]) == ({"id": made["id"]}, None)
    assert bytes(successor.digest) != bytes(old.digest)
    assert (successor.usage_count, successor.last_used_at, successor.sso_authorizations) == (0, None, {})


def test_a_bound_token_has_a_successor_that_is_bound_to_the_same(world: World, query: Query) -> None:
    old = make_personal_token(world.both, "read", organizations=[world.globex.pk])

    made = shown(ask(query, old, user=world.both))

    assert [edge["node"]["name"] for edge in made["organizations"]["edges"]] == ["globex"]
    assert identify(made["token"], timezone.now()).organization_ids == (world.globex.pk,)


def test_an_organization_that_a_token_has_lost_is_not_won_back_by_rotating_it(world: World) -> None:
    old = make_personal_token(world.both)
    organizations.remove_member(SETUP, OrgMembership.objects.get(user=world.both, organization=world.acme))
    join(world.both, world.acme)

    successor = rotate(person(world.both), old)

    assert holder_of(successor).organization_ids == (world.globex.pk,)


def test_an_authorization_for_single_sign_on_is_not_handed_on(world: World, kind: TokenKind) -> None:
    old = make(kind, world)
    type(old).objects.filter(pk=old.pk).update(
        sso_authorizations={str(world.acme.pk): "2026-01-01T00:00:00Z"}
    )

    assert rotate(person(world.owner), old).sso_authorizations == {}


def test_a_successor_can_be_rotated_on(world: World, kind: TokenKind) -> None:
    first = make(kind, world, "read")
    second = rotate(person(world.owner), first)
    third = rotate(person(world.owner), second)

    assert (reread(third).rotated_from, reread(second).rotated_from) == (second, first)
    assert [works(one) for one in (first, second, third)] == [True, True, True]


def test_there_is_one_event_and_it_names_both_and_shows_no_value(
    world: World, query: Query, kind: TokenKind
) -> None:
    old = make(kind, world, "read")
    events = Event.objects.count()

    made = shown(ask(query, old, {"reason": "ROUTINE", "overlapSeconds": 60}, user=world.owner))

    (event,) = Event.objects.order_by("id").exclude(action="user.logged_in")[events:]
    assert event.action == TOLD[kind]
    assert (event.target_id, event.changes["successor"]) == (str(old.pk), made["id"])
    assert event.changes["reason"] == "ROUTINE"
    assert datetime.fromisoformat(event.changes["overlap_ends_at"]) == reread(old).overlap_ends_at
    assert secret.PATTERN.search(str(event.changes)) is None


# --- how long the old value works --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "overlap"),
    [
        ({}, HOUR),
        ({"overlapSeconds": 60}, timedelta(minutes=1)),
        ({"overlapSeconds": int(LONGEST_OVERLAP.total_seconds())}, LONGEST_OVERLAP),
        ({"reason": "ROUTINE", "overlapSeconds": 1}, timedelta(seconds=1)),
    ],
)
def test_the_old_value_works_until_the_very_moment_the_overlap_ends(
    world: World, query: Query, clock: Any, kind: TokenKind, sent: dict[str, Any], overlap: timedelta
) -> None:
    old = make(kind, world)
    assert ask(query, old, sent, user=world.owner).code is None

    clock.move_to(NOON + overlap - MOMENT)
    assert works(old)
    clock.move_to(NOON + overlap)
    with pytest.raises(BadCredential, match="Use its successor") as refused:
        identify(old.token, timezone.now())
    assert (refused.value.code, refused.value.status) == ("TOKEN_EXPIRED", 401)


@pytest.mark.parametrize(
    "sent", [{"overlapSeconds": 0}, {"reason": "LEAK"}, {"reason": "LEAK", "overlapSeconds": 0}]
)
def test_after_a_leak_or_without_an_overlap_the_old_value_ends_at_once(
    world: World, query: Query, kind: TokenKind, sent: dict[str, Any]
) -> None:
    old = make(kind, world)

    made = shown(ask(query, old, sent, user=world.owner))

    assert (works(old), is_accepted(made["token"])) == (False, True)
    assert query("{ viewer { id } }", token=old.token).status == 401


@pytest.mark.parametrize(
    "sent",
    [
        {"overlapSeconds": -1},
        {"overlapSeconds": -(2**31)},
        {"overlapSeconds": int(LONGEST_OVERLAP.total_seconds()) + 1},
        {"overlapSeconds": 2**31 - 1},
        {"overlapSeconds": 60, "reason": "LEAK"},
    ],
)
def test_an_overlap_that_is_negative_too_long_or_after_a_leak_is_refused(
    world: World, query: Query, kind: TokenKind, sent: dict[str, Any]
) -> None:
    old = make(kind, world)

    answer = ask(query, old, sent, user=world.owner)

    assert answer.code == "VALIDATION_ERROR"
    assert list(answer.error["extensions"]["fields"]) == ["overlapSeconds"]
    assert (type(old).objects.count(), rotations(), reread(old).overlap_ends_at) == (1, [], None)


def test_an_overlap_does_not_prolong_the_old_one_and_says_so(
    world: World, query: Query, clock: Any, kind: TokenKind
) -> None:
    old = make(kind, world, expires_at=NOON + HOUR)

    made = shown(ask(query, old, {"overlapSeconds": 7200}, user=world.owner))

    assert datetime.fromisoformat(made["rotatedFrom"]["overlapEndsAt"]) == NOON + HOUR
    clock.move_to(NOON + HOUR - MOMENT)
    assert works(old)
    clock.move_to(NOON + HOUR)
    assert not works(old)


def test_a_maximum_lifetime_ends_the_old_one_within_its_overlap(world: World, clock: Any) -> None:
    demand(world.acme, maximum_lifetime_mode="ENFORCE", maximum_lifetime_days=10)
    old = make_api_token(world.acme, "read")
    clock.move_to(NOON + 9 * DAY)
    rotate(person(world.owner), old, overlap_seconds=int((5 * DAY).total_seconds()))

    clock.move_to(NOON + 10 * DAY - MOMENT)
    assert works(old)
    clock.move_to(NOON + 10 * DAY)
    assert not works(old)


def test_no_change_of_the_old_one_prolongs_its_overlap(world: World, query: Query, clock: Any) -> None:
    old = make_personal_token(world.owner, "read", expires_at=NOON + HOUR)
    rotate(person(world.owner), old, overlap_seconds=60)
    document = """mutation($id: ID!) {
        updatePersonalAccessToken(id: $id, input: {clearExpiresAt: true}) { personalAccessToken { id } }
    }"""

    assert query(document, {"id": str(old.pk)}, user=world.owner).code is None

    clock.move_to(NOON + timedelta(minutes=1))
    assert not works(old)


def test_revoking_the_old_one_ends_it_at_once_and_leaves_the_successor(world: World, kind: TokenKind) -> None:
    old = make(kind, world)
    successor = rotate(person(world.owner), old)

    services.revoke(person(world.owner), reread(old), reason="seen in a log")

    assert (works(old), works(successor)) == (False, True)


def test_revoking_the_successor_leaves_the_old_one_its_overlap_and_no_more(
    world: World, clock: Any, kind: TokenKind
) -> None:
    old = make(kind, world)
    services.revoke(person(world.owner), rotate(person(world.owner), old), reason="wrong one")

    assert works(old)
    clock.move_to(NOON + HOUR)
    assert not works(old)


def test_what_a_token_is_said_to_be_is_what_it_is(
    world: World, query: Query, clock: Any, kind: TokenKind
) -> None:
    old = make(kind, world)
    ask(query, old, user=world.owner)

    def status() -> dict[str, Any]:
        answer = query(GET[kind], {"id": str(old.pk)}, user=world.owner)
        found: dict[str, Any] = next(iter(answer.data.values()))["status"]
        return found

    during = status()
    assert (during["state"], during["endsBy"]) == ("ACTIVE", "rotation")
    assert datetime.fromisoformat(during["endsAt"]) == NOON + HOUR
    clock.move_to(NOON + HOUR)
    assert status() == {"state": "ROTATED", "endsAt": None, "endsBy": None}


def test_a_successor_shows_who_still_uses_the_old_value(
    world: World, query: Query, clock: Any, settings: Any, kind: TokenKind
) -> None:
    settings.TRUSTED_PROXIES = 1
    old = make(kind, world, "read")

    def use(value: str, address: str) -> None:
        query("{ viewer { id } }", token=value, **{"x-forwarded-for": address})
        usage.flush()

    use(old.token, "192.0.2.1")
    clock.move_to(NOON + HOUR)
    made = shown(ask(query, old, {"overlapSeconds": 7200}, user=world.owner))
    assert made["rotatedFromAddresses"] == []
    clock.move_to(NOON + HOUR + timedelta(minutes=1))
    use(made["token"], "192.0.2.2")
    use(old.token, "192.0.2.3")

    answer = query(GET[kind], {"id": made["id"]}, user=world.owner)

    used_by = next(iter(answer.data.values()))["rotatedFromAddresses"]
    assert used_by == [{"address": "192.0.2.3", "count": 1}]


# --- how long the successor lives --------------------------------------------------------------------


def test_an_expiring_tokens_successor_lives_as_long_as_that_was_given(
    world: World, clock: Any, kind: TokenKind
) -> None:
    old = make(kind, world, expires_at=NOON + 30 * DAY)
    clock.move_to(NOON + 20 * DAY)

    assert rotate(person(world.owner), old).expires_at == NOON + 50 * DAY


def test_a_token_without_end_has_a_successor_without_end(world: World, kind: TokenKind) -> None:
    assert rotate(person(world.owner), make(kind, world)).expires_at is None


def test_null_is_no_way_to_make_an_expiring_token_permanent(
    world: World, query: Query, clock: Any, kind: TokenKind
) -> None:
    old = make(kind, world, expires_at=NOON + DAY)

    made = shown(ask(query, old, {"expiresAt": None}, user=world.owner))

    assert datetime.fromisoformat(made["expiresAt"]) == NOON + DAY


def test_a_successor_lives_within_a_maximum_lifetime(world: World, clock: Any, kind: TokenKind) -> None:
    old = make(kind, world, expires_at=NOON + 90 * DAY)
    demand(world.acme, maximum_lifetime_mode="ENFORCE", maximum_lifetime_days=30)
    clock.move_to(NOON + DAY)

    with pytest.raises(ValidationError) as refused:
        rotate(person(world.owner), old, expires_at=NOON + 31 * DAY + MOMENT)
    assert fields_of(refused.value) == {"expires_at"}

    assert rotate(person(world.owner), old).expires_at == NOON + 31 * DAY


@pytest.mark.parametrize(
    "expires_at",
    ["2030-06-01T12:00:00Z", "2020-01-01T00:00:00Z", "2031-01-01T00:00:00", "soon", "9999-12-31T23:59:59Z"],
)
def test_an_expiry_that_is_past_naive_or_absurd_is_refused(
    world: World, query: Query, clock: Any, kind: TokenKind, expires_at: str
) -> None:
    old = make(kind, world)

    assert ask(query, old, {"expiresAt": expires_at}, user=world.owner).code == "VALIDATION_ERROR"
    assert (type(old).objects.count(), rotations(), reread(old).overlap_ends_at) == (1, [], None)


def test_a_successor_does_not_outlive_the_token_that_asks(world: World, clock: Any) -> None:
    asking = make_personal_token(world.owner, "admin", expires_at=NOON + DAY)
    old = make_api_token(world.acme, "read", expires_at=NOON + 30 * DAY)

    with pytest.raises(ValidationError, match="outlive the token that asks"):
        rotate(holder_of(asking), old, expires_at=NOON + DAY + MOMENT)

    assert rotate(holder_of(asking), old).expires_at == NOON + DAY


# --- what cannot be rotated --------------------------------------------------------------------------


def test_a_revoked_token_is_not_revived(world: World, query: Query, kind: TokenKind) -> None:
    old = make(kind, world)
    services.revoke(person(world.owner), old, reason=None)

    assert ask(query, old, user=world.owner).code == "TOKEN_REVOKED"
    assert (type(old).objects.count(), rotations()) == (1, [])


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({"expires_at": NOON + DAY}, "expired"),
        ({"not_before": NOON + 2 * DAY}, "pending"),
    ],
)
def test_a_token_that_does_not_work_yet_or_any_more_is_not_rotated(
    world: World, query: Query, clock: Any, kind: TokenKind, bounds: dict[str, Any], told: str
) -> None:
    old = make(kind, world, **bounds)
    clock.move_to(NOON + DAY)

    answer = ask(query, old, user=world.owner)

    assert (answer.code, told in answer.error["message"]) == ("VALIDATION_ERROR", True)
    assert (type(old).objects.count(), rotations()) == (1, [])


def test_what_is_deleted_malformed_or_somebody_elses_is_not_there(
    world: World, query: Query, kind: TokenKind
) -> None:
    deleted = make(kind, world)
    services.delete_token(person(world.owner), deleted)
    foreign: Token = (
        make_api_token(world.globex) if kind is TokenKind.API else make_personal_token(world.outsider)
    )
    other_kind = make(next(one for one in TokenKind if one is not kind), world)

    for key in (str(deleted.pk), str(foreign.pk), str(other_kind.pk), str(uuid4()), "no id"):
        answer = query(ROTATE[kind], {"id": key, "input": {}}, user=world.owner)
        assert answer.code == "NOT_FOUND"
    assert rotations() == []


def test_a_deleted_predecessor_is_shown_to_nobody(world: World, query: Query, kind: TokenKind) -> None:
    old = make(kind, world)
    successor = rotate(person(world.owner), old)
    services.delete_token(person(world.owner), old)

    answer = query(GET[kind], {"id": str(successor.pk)}, user=world.owner)

    assert next(iter(answer.data.values()))["rotatedFrom"] is None


def test_a_key_that_is_too_long_no_single_line_or_a_token_is_refused(
    world: World, query: Query, kind: TokenKind
) -> None:
    old = make(kind, world)

    for key in ("k" * 129, "two\nlines", "a\u202eb"):
        answer = ask(query, old, {"idempotencyKey": key}, user=world.owner)
        assert answer.code == "VALIDATION_ERROR"
        assert list(answer.error["extensions"]["fields"]) == ["idempotencyKey"]
    with pytest.raises(ValidationError, match="this text is stored"):
        rotate(person(world.owner), old, idempotency_key=f"for {old.token}")
    assert rotations() == []


# --- asking twice ------------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_successor_without_its_value_and_without_an_event(
    world: World, query: Query, kind: TokenKind
) -> None:
    old = make(kind, world)
    first = shown(ask(query, old, {"idempotencyKey": "deploy-1"}, user=world.owner))

    second = shown(ask(query, old, {"idempotencyKey": "deploy-1", "overlapSeconds": 0}, user=world.owner))

    assert (second["id"], second["token"]) == (first["id"], secret.MASK)
    assert works(old)  # the second call changed nothing
    assert len(rotations()) == 1


@pytest.mark.parametrize("sent", [{}, {"idempotencyKey": "deploy-2"}, {"idempotencyKey": ""}])
@pytest.mark.parametrize("key", ["deploy-1", None])
def test_without_that_key_it_is_a_conflict(
    world: World, query: Query, kind: TokenKind, key: str | None, sent: dict[str, Any]
) -> None:
    old = make(kind, world)
    first = shown(ask(query, old, {"idempotencyKey": key}, user=world.owner))

    answer = ask(query, old, sent, user=world.owner)

    assert answer.code == "CONFLICT"
    assert first["id"] in answer.error["message"]
    assert (type(old).objects.count(), len(rotations())) == (2, 1)


def test_a_leak_told_under_the_key_of_a_routine_rotation_is_not_passed_over(
    world: World, query: Query, kind: TokenKind
) -> None:
    """Answering with the successor would let its caller believe that the old value had ended."""
    old = make(kind, world)
    ask(query, old, {"idempotencyKey": "k"}, user=world.owner)

    answer = ask(query, old, {"idempotencyKey": "k", "reason": "LEAK"}, user=world.owner)

    assert (answer.code, "revoke this one" in answer.error["message"]) == ("CONFLICT", True)


def test_a_leak_told_twice_under_one_key_is_told_once(world: World, query: Query, kind: TokenKind) -> None:
    old = make(kind, world)
    sent = {"idempotencyKey": "k", "reason": "LEAK"}
    first = shown(ask(query, old, sent, user=world.owner))

    assert shown(ask(query, old, sent, user=world.owner))["id"] == first["id"]
    assert len(rotations()) == 1


def test_a_key_gives_nothing_to_who_may_not_rotate(world: World, query: Query, kind: TokenKind) -> None:
    old = make(kind, world)
    ask(query, old, {"idempotencyKey": "deploy-1"}, user=world.owner)

    for who in (world.member, world.outsider, world.both):
        assert ask(query, old, {"idempotencyKey": "deploy-1"}, user=who).code == "NOT_FOUND"


# --- who may -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["write:tokens", "token:write", "write", "admin:tokens"])
def test_a_token_rotates_itself_with_a_scope_that_is_for_that_alone(
    world: World, query: Query, kind: TokenKind, scope: str
) -> None:
    old = make(kind, world, scope)

    made = shown(ask(query, old, {"overlapSeconds": 0}, token=old.token))

    assert made["scopes"] == [scope]
    assert query("{ viewer { id } }", token=old.token).code == "TOKEN_EXPIRED"
    assert query("{ viewer { id } }", token=made["token"]).code is None


@pytest.mark.parametrize("scope", ["read:tokens", "read", "admin:organization"])
def test_without_that_scope_it_does_not(world: World, query: Query, kind: TokenKind, scope: str) -> None:
    old = make(kind, world, scope)

    assert ask(query, old, token=old.token).code == "INSUFFICIENT_SCOPES"
    with pytest.raises(InsufficientScopes):  # nor past the door of the field
        rotate(holder_of(old), old)


def test_with_that_scope_alone_it_rotates_no_other(world: World, query: Query, kind: TokenKind) -> None:
    asking, other = make(kind, world, "write:tokens"), make(kind, world, "write:tokens")

    assert ask(query, other, token=asking.token).code == "INSUFFICIENT_SCOPES"


def test_a_token_that_rotates_itself_gives_itself_no_more_time(
    world: World, query: Query, clock: Any, kind: TokenKind
) -> None:
    old = make(kind, world, "write:tokens", expires_at=NOON + 10 * DAY)
    clock.move_to(NOON + DAY)

    refused = ask(query, old, {"expiresAt": (NOON + 11 * DAY + MOMENT).isoformat()}, token=old.token)
    made = shown(ask(query, old, {"expiresAt": (NOON + 11 * DAY).isoformat()}, token=old.token))

    assert refused.code == "UNAUTHORIZED"
    assert datetime.fromisoformat(made["expiresAt"]) == NOON + 11 * DAY


def test_a_token_whose_overlap_is_over_does_not_go_on_in_the_same_document(
    world: World, query: Query, kind: TokenKind
) -> None:
    old, other = make(kind, world, "admin"), make(kind, world, "read")
    field = {TokenKind.API: "rotateAPIToken", TokenKind.PERSONAL: "rotatePersonalAccessToken"}[kind]
    calls = f"""mutation($own: ID!, $other: ID!) {{
        a: {field}(id: $own, input: {{reason: LEAK}}) {{ __typename }}
        b: {field}(id: $other, input: {{}}) {{ __typename }}
    }}"""

    answer = query(calls, {"own": str(old.pk), "other": str(other.pk)}, token=old.token)

    assert [(one["path"], one["extensions"]["code"]) for one in answer.body["errors"]] == [
        (["b"], "TOKEN_EXPIRED")
    ]
    assert len(rotations()) == 1


@pytest.mark.parametrize(
    ("own", "theirs", "expected"),
    [
        (["admin"], ["read"], "ok"),
        (["admin:tokens", "read"], ["read:tasks"], "ok"),
        (["admin:tokens"], ["read"], "scope"),
        (["admin:tokens", "write"], ["admin"], "scope"),
    ],
)
def test_no_token_gets_by_rotation_the_value_of_one_that_has_more(
    world: World, kind: TokenKind, own: list[str], theirs: list[str], expected: str
) -> None:
    asking, other = make(kind, world, *own), make(kind, world, *theirs)

    assert outcome(lambda: rotate(holder_of(asking), other)) == expected
    assert len(rotations()) == (expected == "ok")


def test_no_limited_token_gets_the_value_of_one_without_limit(world: World) -> None:
    asking, other = (
        make_personal_token(world.owner, "admin:tokens", "write"),
        make_personal_token(world.owner),
    )

    assert outcome(lambda: rotate(holder_of(asking), other)) == "scope"


def test_a_bound_token_gets_the_value_of_none_that_reaches_further(world: World) -> None:
    acme, globex = world.acme.pk, world.globex.pk
    asking = make_personal_token(world.both, "admin", organizations=[acme])

    def came(reach: list[Any] | None) -> str:
        other = make_personal_token(world.both, "read", organizations=reach)
        return outcome(lambda: rotate(holder_of(asking), other))

    assert (came([acme]), came(None), came([globex]), came([acme, globex])) == (
        "ok",
        "role",
        "missing",
        "missing",
    )


def test_an_api_token_rotates_no_personal_one_and_a_member_none_of_the_organization(
    world: World, query: Query
) -> None:
    personal, machine = make_personal_token(world.owner), make_api_token(world.acme)

    assert ask(query, personal, token=make_api_token(world.acme, "admin").token).code == "NOT_FOUND"
    assert ask(query, machine, user=world.member).code == "NOT_FOUND"
    assert ask(query, machine, user=world.auditor).code == "UNAUTHORIZED"
    assert ask(query, personal, user=world.admin).code == "NOT_FOUND"
    assert rotations() == []


def test_an_orphan_that_rotates_itself_is_still_one(world: World) -> None:
    made = services.create_api_token(
        person(world.admin), organization_id=world.acme.pk, name="ci", scopes=["write:tokens"]
    )
    organizations.remove_member(SETUP, OrgMembership.objects.get(user=world.admin, organization=world.acme))

    successor = rotate(holder_of(made), made)

    assert set(APIToken.objects.get_queryset().orphaned()) == {made, successor}
    assert successor.updated_by == str(made.pk)


# --- policies are not got round ----------------------------------------------------------------------


def test_a_token_that_a_policy_has_ended_is_not_revived_by_rotating_it(world: World, clock: Any) -> None:
    """It still acts in the other organization, and a successor would be young again in both."""
    old = make_personal_token(world.both, "write:tokens")
    demand(world.acme, maximum_lifetime_mode="ENFORCE", maximum_lifetime_days=10)
    clock.move_to(NOON + 10 * DAY)
    assert holder_of(old).organization_ids == (world.globex.pk,)

    for principal in (holder_of(old), person(world.both)):
        with pytest.raises(ValidationError, match="acme: Tokens live 10 days here"):
            rotate(principal, old)
    assert rotations() == []


def test_a_token_that_a_policy_has_ended_does_not_mint_a_younger_one(world: World, clock: Any) -> None:
    asking = make_personal_token(world.both, "admin")
    demand(world.acme, maximum_lifetime_mode="ENFORCE", maximum_lifetime_days=10)
    clock.move_to(NOON + 10 * DAY)

    def mint(**given: Any) -> Token:
        return services.create_personal_access_token(
            holder_of(asking), name="young", scopes=["read"], **given
        )

    with pytest.raises(Barred, match="acme: Tokens live 10 days here"):
        mint()
    assert outcome(lambda: mint(organizations=[world.acme.pk])) == "missing"
    assert outcome(lambda: mint(organizations=[world.globex.pk])) == "ok"


def test_what_a_token_has_lost_it_gets_through_no_other(world: World) -> None:
    """Its owner left and came back: only they let it in again."""
    asking = make_personal_token(world.both, "admin")
    organizations.remove_member(SETUP, OrgMembership.objects.get(user=world.both, organization=world.acme))
    join(world.both, world.acme)
    newer, principal = (
        make_personal_token(world.both, "read", expires_at=timezone.now() + DAY),
        holder_of(asking),
    )

    assert outcome(lambda: rotate(principal, newer)) == "role"
    assert (
        outcome(lambda: services.create_personal_access_token(principal, name="x", scopes=["read"])) == "role"
    )
    assert outcome(lambda: services.update_token(principal, newer, {"expires_at": None})) == "role"
    assert PersonalAccessToken.objects.count() == 2


@pytest.mark.parametrize("kinds", [["PERSONAL"], ["API"]])
def test_a_kind_that_is_not_wanted_any_more_is_not_renewed(
    world: World, kind: TokenKind, kinds: list[str]
) -> None:
    old = make(kind, world)
    demand(world.acme, allowed_kinds_mode="ENFORCE", allowed_kinds=kinds)

    assert outcome(lambda: rotate(person(world.owner), old)) == ("ok" if kind.name in kinds else "invalid")


def test_scopes_that_are_not_granted_any_more_are_not_handed_on(world: World) -> None:
    old = make_api_token(world.acme, "read", "write:tasks")
    demand(world.acme, grantable_scopes_mode="ENFORCE", grantable_scopes=["read"])

    with pytest.raises(ValidationError, match="write:tasks"):
        rotate(person(world.owner), old)
    assert (APIToken.objects.count(), reread(old).overlap_ends_at) == (1, None)


def test_a_rotation_that_a_rule_in_trial_would_refuse_is_told_with_that(world: World) -> None:
    old = make_api_token(world.acme, "read")
    demand(world.acme, expiry_required_mode="REPORT_ONLY")

    rotate(person(world.owner), old)

    event = Event.objects.get(action="api_token.rotated")
    assert event.changes["would_refuse"] == [{"organization": str(world.acme.pk), "rule": "expiry_required"}]


def test_an_owner_with_as_many_tokens_as_they_may_have_can_rotate_each(world: World, kind: TokenKind) -> None:
    """The old one works on beside its successor: for a while they are one too many, and count as one."""
    first, second = make(kind, world), make(kind, world)
    demand(world.acme, live_tokens_mode="ENFORCE", live_tokens_limit=2)

    successors = [rotate(person(world.owner), one) for one in (first, second)]

    for token in (first, second, *successors):
        assert world.acme.pk in holder_of(token).organization_ids
    assert outcome(lambda: make_under_policy(kind, world)) == "invalid"


def test_rotating_again_and_again_makes_no_more_tokens_than_an_owner_may_have(
    world: World, kind: TokenKind
) -> None:
    first = make(kind, world)
    demand(world.acme, live_tokens_mode="ENFORCE", live_tokens_limit=1)
    second = rotate(person(world.owner), first)

    with pytest.raises(ValidationError, match="Revoke one of those"):
        rotate(person(world.owner), second)
    assert (reread(second).overlap_ends_at, type(first).objects.count()) == (None, 2)

    services.revoke(person(world.owner), reread(first), reason=None)
    third = rotate(person(world.owner), reread(second))
    assert world.acme.pk in holder_of(third).organization_ids


def test_an_old_token_whose_successor_is_gone_counts_again(world: World, kind: TokenKind) -> None:
    first = make(kind, world)
    demand(world.acme, live_tokens_mode="ENFORCE", live_tokens_limit=1)
    services.revoke(person(world.owner), rotate(person(world.owner), first), reason=None)

    assert outcome(lambda: make_under_policy(kind, world)) == "invalid"


def make_under_policy(kind: TokenKind, world: World) -> Token:
    principal = person(world.owner)
    if kind is TokenKind.API:
        return services.create_api_token(principal, organization_id=world.acme.pk, name="x")
    return services.create_personal_access_token(principal, name="x")
