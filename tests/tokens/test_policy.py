"""What an organization demands of tokens: at issue, at each use, in each of three modes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Event
from organizations.access import Unauthorized
from organizations.models import Organization
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import policies, services, usage
from tokens.authentication import person
from tokens.models import APIToken, TokenPolicy, TokenUsage
from tokens.policy import Terms

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
VIEWER = "{ viewer { abilities organizations { name } } }"


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def demand(organization: Organization, **columns: Any) -> None:
    """The organization's policy, by an operator's hand."""
    policies.update_policy(SETUP, organization.pk, columns)


def enforce(organization: Organization, rule: str, **value: Any) -> None:
    demand(organization, **{f"{rule}_mode": "ENFORCE"}, **value)


def ask(token: Any, **headers: str) -> tuple[int, str | None]:
    """Status, and code of the refusal, of a request with this token."""
    response = Client().post(
        "/query",
        {"query": "{ viewer { id } }"},
        content_type="application/json",
        headers={"authorization": f"Bearer {token.token}", **headers},
    )
    errors = response.json().get("errors")
    return response.status_code, errors[0]["extensions"]["code"] if errors else None


# --- at each use -------------------------------------------------------------------------------------


def test_a_maximum_lifetime_ends_tokens_that_are_older_than_the_policy(world: World, clock: Any) -> None:
    token = make_api_token(world.acme, "read")
    clock.move_to(NOON + 30 * DAY)
    enforce(world.acme, "maximum_lifetime", maximum_lifetime_days=30)

    assert ask(token) == (401, "TOKEN_EXPIRED")


def test_the_last_moment_of_a_maximum_lifetime_is_not_within_it(world: World, clock: Any) -> None:
    enforce(world.acme, "maximum_lifetime", maximum_lifetime_days=30)
    token = make_api_token(world.acme, "read")

    clock.move_to(NOON + 30 * DAY - timedelta(microseconds=1))
    assert ask(token) == (200, None)
    clock.move_to(NOON + 30 * DAY)
    assert ask(token) == (401, "TOKEN_EXPIRED")


def test_inactivity_counts_from_the_last_use(world: World, clock: Any) -> None:
    enforce(world.acme, "inactivity_limit", inactivity_limit_days=10)
    token = make_api_token(world.acme, "read")
    clock.move_to(NOON + 9 * DAY)
    assert ask(token) == (200, None)
    usage.flush()

    clock.move_to(NOON + 19 * DAY - timedelta(seconds=1))
    assert ask(token) == (200, None)
    usage.flush()
    clock.move_to(NOON + 29 * DAY)
    assert ask(token) == (401, "TOKEN_EXPIRED")
    usage.flush()
    assert ask(token) == (401, "TOKEN_EXPIRED"), "a refused use must not count as one"


@pytest.mark.parametrize("is_bound", [False, True])
def test_a_use_elsewhere_does_not_revive_what_was_not_used_for_too_long(
    world: World, query: Query, clock: Any, is_bound: bool
) -> None:
    enforce(world.acme, "inactivity_limit", inactivity_limit_days=10)
    chosen = [world.acme.pk, world.globex.pk] if is_bound else None
    token = make_personal_token(world.both, organizations=chosen)
    clock.shift(10 * DAY)

    for _ in range(2):
        reached = query(VIEWER, token=token.token).data["viewer"]["organizations"]
        assert [one["name"] for one in reached] == ["globex"]
        usage.flush()
    services.update_token(person(world.both), token, {"add_organization_ids": [world.acme.pk]})
    assert len(query(VIEWER, token=token.token).data["viewer"]["organizations"]) == 2


def test_the_earliest_of_all_ends_ends_a_token(world: World, query: Query, clock: Any) -> None:
    demand(
        world.acme,
        maximum_lifetime_mode="ENFORCE",
        maximum_lifetime_days=30,
        inactivity_limit_mode="ENFORCE",
        inactivity_limit_days=10,
    )
    token = make_api_token(world.acme, "read", expires_at=NOON + 20 * DAY)
    document = "query($id: ID!) { apiToken(id: $id) { status { state endsAt endsBy policy reason } } }"

    shown = query(document, {"id": str(token.pk)}, user=world.owner).data["apiToken"]["status"]
    assert shown["endsAt"] == "2030-06-11T12:00:00Z"
    assert shown["endsBy"] == "inactivity_limit"

    clock.move_to(NOON + 10 * DAY)
    shown = query(document, {"id": str(token.pk)}, user=world.owner).data["apiToken"]["status"]
    assert (shown["state"], shown["policy"]) == ("EXPIRED", "inactivity_limit")
    assert "10 days" in shown["reason"]


def test_the_header_tells_the_end_that_policy_sets(world: World, query: Query, clock: Any) -> None:
    enforce(world.acme, "maximum_lifetime", maximum_lifetime_days=30)
    token = make_api_token(world.acme, "read")

    assert query(VIEWER, token=token.token).headers["Token-Expires-At"] == "2030-07-01T12:00:00Z"


REFUSALS = [
    ("expiry_required", {}, (403, "POLICY_REFUSED")),
    ("allowed_kinds", {"allowed_kinds": ["PERSONAL"]}, (403, "POLICY_REFUSED")),
    ("allowed_addresses", {"allowed_addresses": ["192.0.2.0/24"]}, (403, "ADDRESS_NOT_ALLOWED")),
]


@pytest.mark.parametrize(("rule", "value", "refusal"), REFUSALS, ids=lambda one: str(one))
def test_an_api_token_that_breaks_a_rule_is_refused(
    world: World, rule: str, value: dict[str, Any], refusal: tuple[int, str]
) -> None:
    token = make_api_token(world.acme, "read")
    assert ask(token) == (200, None)

    enforce(world.acme, rule, **value)
    assert ask(token) == refusal
    demand(world.acme, **{f"{rule}_mode": "OFF"})
    assert ask(token) == (200, None)


@pytest.mark.parametrize(
    ("rule", "value", "code"),
    [
        ("expiry_required", {}, "POLICY_REFUSED"),
        ("scopes_required", {}, "POLICY_REFUSED"),
        ("allowed_kinds", {"allowed_kinds": ["API"]}, "POLICY_REFUSED"),
        ("allowed_addresses", {"allowed_addresses": ["2001:db8::/32"]}, "ADDRESS_NOT_ALLOWED"),
        ("maximum_lifetime", {"maximum_lifetime_days": 1}, "TOKEN_EXPIRED"),
    ],
    ids=str,
)
def test_a_personal_token_loses_only_the_organization_that_refuses_it(
    world: World, query: Query, clock: Any, rule: str, value: dict[str, Any], code: str
) -> None:
    token = make_personal_token(world.both)
    clock.shift(DAY)
    enforce(world.acme, rule, **value)

    reached = query(VIEWER, token=token.token).data["viewer"]["organizations"]
    assert [one["name"] for one in reached] == ["globex"]
    refused = query(VIEWER, token=token.token, **{"x-organization-id": str(world.acme.pk)})
    assert (refused.status, refused.code) == (403, code)
    assert query(VIEWER, token=token.token, **{"x-organization-id": str(world.globex.pk)}).status == 200


def test_a_write_where_one_is_barred_tells_why(world: World, query: Query) -> None:
    token = make_personal_token(world.owner)
    enforce(world.acme, "scopes_required")
    document = (
        "mutation($owner: ID) { createAPIToken(input: {name: %s, ownerID: $owner}) { apiToken { id } } }"
    )

    for owner in (None, str(world.acme.pk)):
        answer = query(document % '"x"', {"owner": owner}, token=token.token)
        assert answer.code == "POLICY_REFUSED"
        assert answer.error["extensions"]["policy"] == "scopes_required"
        assert answer.error["extensions"]["organizationID"] == str(world.acme.pk)
    assert not APIToken.objects.exists()


def test_scopes_that_are_not_granted_are_taken_and_the_rest_is_left(world: World, query: Query) -> None:
    machine = make_api_token(world.acme, "read", "write:tasks")
    mine = make_personal_token(world.owner)
    enforce(world.acme, "grantable_scopes", grantable_scopes=["write:tasks", "read:groups"])

    assert query(VIEWER, token=machine.token).data["viewer"]["abilities"] == [
        "read:tasks",
        "write:tasks",
        "read:groups",
    ]
    answer = query("{ apiTokens { totalCount } }", token=machine.token)
    assert answer.code == "INSUFFICIENT_SCOPES"
    listed = query("{ organizations { totalCount } groups { totalCount } }", token=mine.token)
    assert listed.code == "UNAUTHORIZED"
    assert query("{ groups { totalCount } }", token=mine.token).data["groups"]["totalCount"] == 0


def test_the_oldest_tokens_live_when_an_owner_has_too_many(world: World) -> None:
    tokens = [make_api_token(world.acme, "read", name=str(number)) for number in range(3)]
    enforce(world.acme, "live_tokens", live_tokens_limit=2)

    assert [ask(token) for token in tokens] == [(200, None), (200, None), (403, "POLICY_REFUSED")]
    services.revoke(SETUP, tokens[0], reason="too many")
    assert ask(tokens[2]) == (200, None)


@pytest.mark.parametrize("kind", ["api", "personal"])
def test_policy_costs_authentication_no_query_and_no_write(world: World, kind: str) -> None:
    demand(
        world.acme,
        maximum_lifetime_mode="ENFORCE",
        maximum_lifetime_days=30,
        allowed_addresses_mode="ENFORCE",
        allowed_addresses=["127.0.0.0/8"],
        live_tokens_mode="ENFORCE",
        live_tokens_limit=100,
    )
    token: Any = make_api_token(world.acme, "read") if kind == "api" else make_personal_token(world.owner)

    with CaptureQueriesContext(connection) as queries:
        assert ask(token) == (200, None)
    # 1 the token, its owner, and the policy of wherever it reaches
    assert [one["sql"].split()[0] for one in queries] == ["SELECT"]


# --- report-only -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("expiry_required", {}),
        ("allowed_kinds", {"allowed_kinds": ["PERSONAL"]}),
        ("allowed_addresses", {"allowed_addresses": ["192.0.2.0/24"]}),
        ("grantable_scopes", {"grantable_scopes": ["read:tasks"]}),
        ("live_tokens", {"live_tokens_limit": 1}),
        ("inactivity_limit", {"inactivity_limit_days": 1}),
        ("maximum_lifetime", {"maximum_lifetime_days": 1}),
    ],
    ids=str,
)
def test_a_report_only_rule_refuses_nobody_and_counts_whom_it_would(
    world: World, clock: Any, rule: str, value: dict[str, Any]
) -> None:
    make_api_token(world.acme, name="older")
    token = make_api_token(world.acme, "read")
    clock.shift(2 * DAY)
    demand(world.acme, **{f"{rule}_mode": "REPORT_ONLY"}, **value)

    assert ask(token) == (200, None)
    usage.flush()

    counted = TokenUsage.objects.get(token_id=token.pk, operation="policy")
    assert (counted.scope, counted.outcome, counted.count) == (rule, "WOULD_REFUSE", 1)
    assert APIToken.objects.get(pk=token.pk).usage_count == 1


def test_what_is_issued_against_a_report_only_rule_says_so_in_its_event(world: World) -> None:
    demand(world.acme, expiry_required_mode="REPORT_ONLY")

    token = make_api_token(world.acme, "read")

    told = Event.objects.get(target_id=str(token.pk), action="api_token.created").changes
    assert told["would_refuse"] == [{"organization": str(world.acme.pk), "rule": "expiry_required"}]


# --- at issue ----------------------------------------------------------------------------------------

ISSUE = [
    ("expiry_required", {}, {}, "expires_at"),
    ("maximum_lifetime", {"maximum_lifetime_days": 30}, {"expires_at": NOON + 31 * DAY}, "expires_at"),
    ("grantable_scopes", {"grantable_scopes": ["read:tasks"]}, {"scopes": ["read"]}, "scopes"),
    ("live_tokens", {"live_tokens_limit": 1}, {}, "owner_id"),
]


@pytest.mark.parametrize(("rule", "value", "fields", "told"), ISSUE, ids=lambda one: str(one))
@pytest.mark.parametrize("kind", ["api", "personal"])
def test_no_token_is_issued_that_a_rule_forbids(
    world: World,
    clock: Any,
    kind: str,
    rule: str,
    value: dict[str, Any],
    fields: dict[str, Any],
    told: str,
) -> None:
    principal = person(world.owner)

    def issue() -> Any:
        if kind == "api":
            return services.create_api_token(principal, organization_id=world.acme.pk, name="x", **fields)
        return services.create_personal_access_token(principal, name="x", **fields)

    issue()
    enforce(world.acme, rule, **value)
    events = Event.objects.count()
    with pytest.raises(ValidationError) as refused:
        issue()

    assert list(refused.value.message_dict) == [told]
    assert refused.value.messages[0].startswith("acme: ")
    assert Event.objects.count() == events


def test_a_personal_token_for_elsewhere_is_issued_whatever_acme_demands(world: World) -> None:
    enforce(world.acme, "allowed_kinds", allowed_kinds=["API"])

    with pytest.raises(ValidationError, match="acme: Personal tokens are not accepted"):
        make_personal_token(world.both)
    assert make_personal_token(world.both, organizations=[world.globex.pk])


def test_a_policy_counts_what_one_call_issues(world: World, query: Query) -> None:
    enforce(world.acme, "live_tokens", live_tokens_limit=2)
    document = (
        "mutation($input: [CreateAPITokenInput!]) { createBulkAPIToken(input: $input) { apiTokens { id } } }"
    )

    answer = query(document, {"input": [{"name": str(number)} for number in range(3)]}, user=world.owner)

    assert [row["row"] for row in answer.error["extensions"]["rows"]] == [3]
    assert not APIToken.objects.exists()


def test_a_rename_of_a_token_that_is_older_than_the_policy_is_let_through(world: World) -> None:
    token = make_api_token(world.acme, "read")
    enforce(world.acme, "expiry_required")

    services.update_token(SETUP, token, {"name": "renamed"})
    services.update_token(SETUP, token, {"scopes": ["read:tasks"]})
    other = make_api_token(world.acme, "read", expires_at=NOON + 365 * DAY)
    with pytest.raises(ValidationError, match="Tokens must expire here"):
        services.update_token(SETUP, other, {"expires_at": None})


@pytest.mark.parametrize(
    "changes",
    [{"expires_at": NOON + 40 * DAY}, {"scopes": ["read:tasks", "admin:tokens"]}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_change_that_breaks_a_rule_is_refused(world: World, clock: Any, changes: dict[str, Any]) -> None:
    token = make_api_token(world.acme, "read:tasks", expires_at=NOON + 10 * DAY)
    enforce(world.acme, "maximum_lifetime", maximum_lifetime_days=30)
    enforce(world.acme, "grantable_scopes", grantable_scopes=["write:tasks"])

    with pytest.raises(ValidationError):
        services.update_token(SETUP, token, changes)
    assert services.update_token(SETUP, token, {"scopes": ["task:write"]}).scopes == ["task:write"]


def test_a_personal_token_is_not_bound_to_an_organization_that_refuses_it(world: World) -> None:
    enforce(world.acme, "scopes_required")
    token = make_personal_token(world.both, organizations=[world.globex.pk])

    with pytest.raises(ValidationError, match="acme: Tokens must name their scopes"):
        services.update_token(person(world.both), token, {"add_organization_ids": [world.acme.pk]})


# --- setting it --------------------------------------------------------------------------------------

UPDATE = """mutation($input: UpdateTokenPolicyInput!, $organization: ID) {
  updateTokenPolicy(input: $input, organizationID: $organization) {
    tokenPolicy { expiryRequiredMode allowedAddresses organization { name } } warnings
  }
}"""


@pytest.mark.parametrize("who", ["owner", "admin"])
def test_owners_and_admins_set_the_policy_and_the_trail_has_it_once(
    world: World, query: Query, who: str
) -> None:
    answer = query(UPDATE, {"input": {"expiryRequiredMode": "ENFORCE"}}, user=getattr(world, who))

    made = answer.data["updateTokenPolicy"]
    assert made["tokenPolicy"] == {
        "expiryRequiredMode": "ENFORCE",
        "allowedAddresses": [],
        "organization": {"name": "acme"},
    }
    assert made["warnings"] == []
    event = Event.objects.get(action="token_policy.updated")
    assert event.changes == {"expiry_required_mode": ["OFF", "ENFORCE"]}
    assert (event.organization_id, event.actor_id) == (world.acme.pk, str(getattr(world, who).pk))


@pytest.mark.parametrize("who", ["member", "auditor", "outsider"])
def test_nobody_else_sets_or_previews_it(world: World, query: Query, who: str) -> None:
    user, organization = getattr(world, who), str(world.acme.pk)
    preview = "query($o: ID) { policyPreview(input: {}, organizationID: $o) { total } }"

    for answer in (
        query(UPDATE, {"input": {"expiryRequiredMode": "OFF"}, "organization": organization}, user=user),
        query(preview, {"o": organization}, user=user),
    ):
        assert answer.code == ("NOT_FOUND" if who == "outsider" else "UNAUTHORIZED")
    assert not TokenPolicy.objects.exists()


def test_members_read_what_is_demanded_of_them_and_outsiders_do_not(world: World, query: Query) -> None:
    enforce(world.acme, "expiry_required")
    document = "{ organizations { edges { node { name tokenPolicy { expiryRequiredMode } } } } }"

    def seen(who: str) -> list[Any]:
        edges = query(document, user=getattr(world, who)).data["organizations"]["edges"]
        return [edge["node"]["tokenPolicy"] for edge in edges]

    assert seen("member") == [{"expiryRequiredMode": "ENFORCE"}]
    assert seen("outsider") == [None]
    assert query("{ tokenPolicies { totalCount } }", user=world.outsider).data["tokenPolicies"] == {
        "totalCount": 0
    }


def test_an_address_list_that_shuts_out_its_maker_is_set_with_a_warning(world: World, query: Query) -> None:
    given = {"allowedAddressesMode": "ENFORCE", "allowedAddresses": ["192.0.2.0/24"]}

    made = query(UPDATE, {"input": given}, user=world.owner).data["updateTokenPolicy"]
    assert made["tokenPolicy"]["allowedAddresses"] == ["192.0.2.0/24"]
    (warning,) = made["warnings"]
    assert "127.0.0.1" in warning
    made = query(UPDATE, {"input": {"appendAllowedAddresses": ["127.0.0.1"]}}, user=world.owner).data
    assert made["updateTokenPolicy"]["warnings"] == []


def test_a_rule_that_another_makes_idle_is_told(world: World) -> None:
    both = {"maximum_lifetime_mode": "ENFORCE", "inactivity_limit_mode": "ENFORCE"}

    given = both | {"maximum_lifetime_days": 10, "inactivity_limit_days": 30}
    _, (warning,) = policies.update_policy(SETUP, world.acme.pk, given)
    assert warning == "The inactivity limit never applies: tokens end after 10 days, used or not."
    assert policies.update_policy(SETUP, world.acme.pk, {"maximum_lifetime_days": 31})[1] == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"maximum_lifetime_mode": "ENFORCE"}, "maximum_lifetime_days"),
        ({"maximum_lifetime_mode": "REPORT_ONLY", "maximum_lifetime_days": 0}, "maximum_lifetime_days"),
        ({"inactivity_limit_days": -1}, "inactivity_limit_days"),
        ({"allowed_addresses_mode": "ENFORCE", "allowed_addresses": []}, "allowed_addresses"),
        ({"allowed_addresses": ["300.1.2.3"]}, "allowed_addresses"),
        ({"allowed_addresses": ["192.0.2.1/24"]}, "allowed_addresses"),
        ({"allowed_addresses": ["example.org"]}, "allowed_addresses"),
        ({"allowed_kinds_mode": "ENFORCE", "allowed_kinds": ["tola"]}, "allowed_kinds"),
        ({"allowed_kinds_mode": "ENFORCE"}, "allowed_kinds"),
        ({"grantable_scopes_mode": "ENFORCE", "grantable_scopes": ["raed"]}, "grantable_scopes"),
        ({"live_tokens_mode": "ENFORCE", "live_tokens_limit": 0}, "live_tokens_limit"),
        ({"expiry_required_mode": "SOMETIMES"}, "expiry_required_mode"),
        ({"organization": None}, "organization"),
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_meant_is_refused_and_none_is_made(
    world: World, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        policies.update_policy(SETUP, world.acme.pk, given)

    assert list(refused.value.message_dict) == [field]
    assert not TokenPolicy.objects.exists()
    assert not Event.objects.filter(action="token_policy.updated").exists()


# --- seeing beforehand -------------------------------------------------------------------------------

PREVIEW = """query($input: UpdateTokenPolicyInput!) {
  policyPreview(input: $input) { total tokens owners effects { tokenID kind name owner rule why } }
}"""


def test_a_preview_lists_the_tokens_and_owners_that_would_stop_working(world: World, query: Query) -> None:
    endless = make_api_token(world.acme, "read", name="endless")
    make_api_token(world.acme, "read", expires_at=NOON)
    mine = make_personal_token(world.member, name="a private matter")
    make_api_token(world.globex, "read")
    make_personal_token(world.outsider)
    services.revoke(SETUP, make_api_token(world.acme, "read"), reason=None)

    given = {"expiryRequiredMode": "ENFORCE"}
    shown = query(PREVIEW, {"input": given}, user=world.admin).data["policyPreview"]

    assert (shown["total"], shown["tokens"], shown["owners"]) == (2, 2, 2)
    assert [(one["tokenID"], one["kind"], one["name"], one["owner"]) for one in shown["effects"]] == [
        (str(endless.pk), "API", "endless", "acme"),
        (str(mine.pk), "PERSONAL", None, "member@example.org"),
    ]
    assert not TokenPolicy.objects.exists()


def test_a_preview_knows_from_where_tokens_were_used(world: World, query: Query) -> None:
    token = make_api_token(world.acme, "read")
    ask(token)
    usage.flush()

    given = {"allowedAddressesMode": "ENFORCE", "allowedAddresses": ["192.0.2.0/24"]}
    (effect,) = query(PREVIEW, {"input": given}, user=world.owner).data["policyPreview"]["effects"]

    assert (effect["rule"], effect["why"]) == ("allowed_addresses", "Used from 127.0.0.1.")


def test_what_a_preview_lists_is_what_stops_working(world: World, query: Query, clock: Any) -> None:
    tokens = [
        make_api_token(world.acme, "read"),
        make_api_token(world.acme, "read", expires_at=NOON + 300 * DAY),
        make_personal_token(world.owner, "read"),
        make_personal_token(world.member, expires_at=NOON + 300 * DAY),
        make_personal_token(world.both, organizations=[world.globex.pk]),
    ]
    clock.shift(10 * DAY)
    tokens.append(make_api_token(world.acme, "read", expires_at=NOON + 300 * DAY))
    given = {
        "maximum_lifetime_mode": "ENFORCE",
        "maximum_lifetime_days": 400,
        "expiry_required_mode": "ENFORCE",
        "scopes_required_mode": "ENFORCE",
        "inactivity_limit_mode": "ENFORCE",
        "inactivity_limit_days": 10,
    }
    seen = policies.preview(SETUP, world.acme.pk, given)
    hit = {effect.token_id for effect in seen.effects}

    policies.update_policy(SETUP, world.acme.pk, given)

    def works_in_acme(token: Any) -> bool:
        organization = {"x-organization-id": str(world.acme.pk)}
        return query(VIEWER, token=token.token, **organization).status == 200

    reaching = tokens[:4] + tokens[5:]
    assert {token.pk for token in reaching if not works_in_acme(token)} == hit
    assert tokens[4].pk not in hit


def test_every_rule_has_its_columns() -> None:
    columns = {column.name for column in TokenPolicy._meta.concrete_fields}
    assert set(Terms._fields) <= columns


def test_only_who_may_change_the_organization_is_let_near_its_policy(world: World) -> None:
    with pytest.raises(Unauthorized):
        policies.update_policy(person(world.auditor), world.acme.pk, {"expiry_required_mode": "OFF"})
