"""Many tokens at once: created all or not at all, changed and deleted as far as can be."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.actions import Action
from audit.models import Event
from organizations.models import Role
from tests.conftest import Answer, Query, World
from tests.factories import SETUP, join, make_api_token, make_personal_token
from tokens import services
from tokens.models import APIToken

CREATE = """mutation($input: [CreateAPITokenInput!]) {
    createBulkAPIToken(input: $input) { apiTokens { id name token scopes createdBy owner { name } } }
}"""
UPDATE = """mutation($ids: [ID!]!, $input: UpdateAPITokenInput!) {
    updateBulkAPIToken(ids: $ids, input: $input) {
        apiTokens { id name token isActive revokedReason tags } updatedIDs notUpdatedIDs error
    }
}"""
DELETE = "mutation($ids: [ID!]!) { deleteBulkAPIToken(ids: $ids) { deletedIDs notDeletedIDs error } }"

INCOMPLETE = "BULK_ACTION_INCOMPLETELY_APPLIED"
MASK = "*" * 29

Ask = Callable[..., Any]


def actions(count: int) -> list[str]:
    """What has happened since there were `count` events."""
    return list(Event.objects.values_list("action", flat=True)[count:])


@pytest.fixture
def owner(world: World) -> str:
    """The value of a personal token of acme's owner."""
    return make_personal_token(world.owner).token


@pytest.fixture
def create(query: Query, owner: str) -> Callable[..., Answer]:
    return lambda given, token=owner: query(CREATE, {"input": given}, token=token)


# --- creating ----------------------------------------------------------------------------------------


def test_many_are_created_in_the_order_sent_and_each_value_is_shown_once(
    world: World, query: Query, create: Callable[..., Answer]
) -> None:
    names = [f"machine {number}" for number in (3, 1, 2)]

    made = create([{"name": name, "scopes": ["read:tasks"]} for name in names]).data["createBulkAPIToken"]

    shown = made["apiTokens"]
    assert [one["name"] for one in shown] == names
    assert all(one["owner"] == {"name": "acme"} for one in shown)
    for one in shown:
        assert query("{ viewer { id abilities } }", token=one["token"]).data["viewer"] == {
            "id": one["id"],
            "abilities": ["read:tasks"],
        }
    listed = query("{ apiTokens { edges { node { id token } } } }", token=shown[0]["token"])
    assert listed.code == "INSUFFICIENT_SCOPES"
    tokens = set(APIToken.objects.values_list("pk", flat=True))
    assert tokens == {APIToken.objects.get(pk=one["id"]).pk for one in shown}


def test_values_are_masked_in_every_later_answer(query: Query, owner: str, create: Any) -> None:
    create([{"name": "a"}, {"name": "b"}])

    edges = query("{ apiTokens { edges { node { token } } } }", token=owner).data["apiTokens"]["edges"]

    assert [edge["node"]["token"] for edge in edges] == [MASK, MASK]


def test_a_hundred_are_created_in_at_most_12_queries(create: Callable[..., Answer]) -> None:
    with CaptureQueriesContext(connection) as captured:
        made = create([{"name": f"machine {number}", "scopes": ["read"]} for number in range(100)]).data

    assert len(made["createBulkAPIToken"]["apiTokens"]) == 100
    # SELECT the token that asks
    # SELECT the policy of the organization
    # SAVEPOINT, which is BEGIN outside a test
    # SELECT the token that asks, held: is it still good?
    # INSERT the tokens: one statement; three on SQLite, where Django sends at most 999 values at once
    # INSERT their events: one, or two
    # RELEASE SAVEPOINT
    # SELECT the tokens as a query shows them, with their owner
    told = [one["sql"].split()[0] for one in captured]
    assert list(dict.fromkeys(told)) == ["SELECT", "SAVEPOINT", "INSERT", "RELEASE"]
    assert told.count("SELECT") == 4
    assert len(told) <= 12


def test_each_created_token_has_its_event(world: World, create: Callable[..., Answer]) -> None:
    count = Event.objects.count()

    made = create([{"name": name, "scopes": ["read:tasks"]} for name in "abc"]).data["createBulkAPIToken"]

    events = list(Event.objects.all()[count:])
    assert [event.action for event in events] == [Action.API_TOKEN_CREATED] * 3
    assert [event.target_id for event in events] == [one["id"] for one in made["apiTokens"]]
    assert [event.changes["name"] for event in events] == ["a", "b", "c"]
    assert {(event.organization_id, event.actor_id) for event in events} == {
        (world.acme.pk, str(world.owner.pk))
    }


@pytest.mark.parametrize("given", [None, []], ids=str)
def test_none_are_created_of_nothing(create: Callable[..., Answer], given: Any) -> None:
    count = Event.objects.count()

    assert create(given).data == {"createBulkAPIToken": {"apiTokens": []}}
    assert (APIToken.objects.count(), actions(count)) == (0, [])


def test_the_input_can_be_left_out(query: Query, owner: str) -> None:
    answer = query("mutation { createBulkAPIToken { apiTokens { id } } }", token=owner)

    assert answer.data == {"createBulkAPIToken": {"apiTokens": []}}


def test_a_thousand_are_created_and_one_more_is_refused(create: Callable[..., Answer]) -> None:
    refused = create([{"name": "x"}] * 1_001)
    assert refused.code == "VALIDATION_ERROR"
    assert refused.error["extensions"]["fields"] == {
        "input": ["At most 1000 at once; these are 1001. Send them in parts."]
    }
    assert APIToken.objects.count() == 0

    assert len(create([{"name": "x"}] * 1_000).data["createBulkAPIToken"]["apiTokens"]) == 1_000


def test_what_is_wrong_is_told_by_row_and_nothing_is_written(create: Callable[..., Answer]) -> None:
    count = Event.objects.count()
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()

    answer = create(
        [
            {"name": "sound"},
            {"name": "x", "scopes": ["raed"]},
            {"name": "x" * 256},
            {"name": "sound, too", "expiresAt": "2030-01-01T00:00:00Z"},
            {"name": "two\nlines", "expiresAt": yesterday},
            {"name": "x", "revokedBy": "somebody"},
            {"name": "x", "isActive": False},
        ]
    )

    assert (answer.status, answer.code, answer.body["data"]) == (200, "VALIDATION_ERROR", None)
    assert answer.error["path"] == ["createBulkAPIToken"]
    assert "rows 2, 3, 5, 6, 7" in answer.error["message"]
    rows = {one["row"]: one["fields"] for one in answer.error["extensions"]["rows"]}
    assert {row: sorted(fields) for row, fields in rows.items()} == {
        2: ["scopes"],
        3: ["name"],
        5: ["name"],  # what is asked of the row alone comes before what is asked of the moment
        6: ["revokedBy"],
        7: ["isActive"],
    }
    assert 'Did you mean "read"' in rows[2]["scopes"][0]
    assert (APIToken.objects.count(), actions(count)) == (0, [])


def test_a_past_expiry_in_one_row_stops_them_all(create: Callable[..., Answer]) -> None:
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()

    answer = create([{"name": "a"}, {"name": "b", "expiresAt": yesterday}])

    assert answer.error["extensions"]["rows"] == [
        {"row": 2, "fields": {"expiresAt": ["Give a time in the future, at most 100 years from now."]}}
    ]
    assert APIToken.objects.count() == 0


def test_a_caller_in_two_organizations_names_one_in_each_row(world: World, create: Any) -> None:
    join(world.owner, world.globex, Role.ADMIN)
    token = make_personal_token(world.owner).token

    unclear = create([{"name": "a", "ownerID": str(world.acme.pk)}, {"name": "b"}], token)
    clear = create(
        [{"name": "a", "ownerID": str(world.acme.pk)}, {"name": "b", "ownerID": str(world.globex.pk)}], token
    )

    assert [one["row"] for one in unclear.error["extensions"]["rows"]] == [2]
    assert [one["owner"]["name"] for one in clear.data["createBulkAPIToken"]["apiTokens"]] == [
        "acme",
        "globex",
    ]


# --- creating what one may not -----------------------------------------------------------------------


def denied(create: Any, given: list[dict[str, Any]], token: str, code: str) -> Event:
    """Refused as a whole: nothing written, and one event that says so."""
    count = Event.objects.count()

    answer = create(given, token)

    assert (answer.code, answer.body["data"]) == (code, None)
    assert APIToken.objects.exclude(name__in=["asking", "machine"]).count() == 0
    assert actions(count) == [Action.ACCESS_DENIED]
    return Event.objects.latest("id")


def test_a_scope_one_lacks_in_one_row_refuses_all(world: World, create: Any) -> None:
    asking = make_api_token(world.acme, "admin:tokens", "read:tasks", name="asking")

    event = denied(
        create,
        [{"name": "a", "scopes": ["read:tasks"]}, {"name": "b", "scopes": ["read:tasks", "write:notes"]}],
        asking.token,
        "INSUFFICIENT_SCOPES",
    )

    assert (event.changes["operation"], event.organization_id) == ("createBulkAPIToken", world.acme.pk)
    assert "write:notes" in event.changes["why"]


@pytest.mark.parametrize("role", ["member", "auditor"])
def test_a_role_that_manages_no_tokens_creates_none(world: World, create: Any, role: str) -> None:
    token = make_personal_token(getattr(world, role)).token

    denied(create, [{"name": "a"}, {"name": "b"}], token, "UNAUTHORIZED")


def test_a_token_without_the_scope_creates_none(world: World, create: Any) -> None:
    token = make_personal_token(world.owner, "write").token

    denied(create, [{"name": "a"}], token, "INSUFFICIENT_SCOPES")


def test_permission_is_asked_before_the_rows_are_told_apart(world: World, create: Any) -> None:
    asking = make_api_token(world.acme, "admin:tokens", name="asking")

    denied(
        create,
        [{"name": "a", "scopes": ["raed"]}, {"name": "b", "scopes": ["read"]}],
        asking.token,
        "INSUFFICIENT_SCOPES",
    )


def test_a_foreign_organization_in_one_row_refuses_all_and_is_not_told_from_none(
    world: World, create: Any
) -> None:
    answers = [
        create([{"name": "a"}, {"name": "b", "ownerID": key}])
        for key in (str(world.globex.pk), str(uuid4()), "x")
    ]

    assert {answer.code for answer in answers} == {"NOT_FOUND"}
    assert len({answer.error["message"] for answer in answers}) == 1
    assert APIToken.objects.count() == 0


def test_a_child_of_many_does_not_outlive_the_token_that_asks(world: World, create: Any) -> None:
    soon = timezone.now() + timedelta(days=1)
    asking = make_personal_token(world.owner, expires_at=soon).token

    answer = create([{"name": "a", "expiresAt": soon.isoformat()}, {"name": "b"}], asking)

    assert [one["row"] for one in answer.error["extensions"]["rows"]] == [2]


# --- updating ----------------------------------------------------------------------------------------


@pytest.fixture
def three(world: World) -> list[APIToken]:
    return [make_api_token(world.acme, "read:tasks", name=name) for name in "abc"]


@pytest.fixture
def update(query: Query, owner: str) -> Ask:
    def asked(ids: list[Any], given: dict[str, Any], token: str = owner) -> Any:
        sent = {"ids": [str(getattr(one, "pk", one)) for one in ids], "input": given}
        return query(UPDATE, sent, token=token).data["updateBulkAPIToken"]

    return asked


@pytest.fixture
def delete(query: Query, owner: str) -> Ask:
    def asked(ids: list[Any], token: str = owner) -> Any:
        sent = {"ids": [str(getattr(one, "pk", one)) for one in ids]}
        return query(DELETE, sent, token=token).data["deleteBulkAPIToken"]

    return asked


def ids_of(tokens: list[APIToken]) -> list[str]:
    return [str(token.pk) for token in tokens]


def test_the_same_change_is_made_to_each(update: Ask, three: list[APIToken]) -> None:
    count = Event.objects.count()

    changed = update(three[::-1], {"description": "rotated monthly", "appendTags": ["ci"]})

    assert changed["updatedIDs"] == [one["id"] for one in changed["apiTokens"]] == ids_of(three[::-1])
    assert (changed["notUpdatedIDs"], changed["error"]) == ([], None)
    assert all(one["tags"] == ["ci"] and one["token"] == MASK for one in changed["apiTokens"])
    assert actions(count) == [Action.API_TOKEN_UPDATED] * 3


def test_many_are_revoked_with_one_reason(update: Ask, query: Query, three: list[APIToken]) -> None:
    changed = update(three, {"isActive": False, "revokedReason": "the laptop was stolen"})

    assert all(
        (one["isActive"], one["revokedReason"]) == (False, "the laptop was stolen")
        for one in changed["apiTokens"]
    )
    assert all(query("{ viewer { id } }", token=token.token).status == 401 for token in three)


def test_what_cannot_be_changed_is_left_and_named(world: World, update: Ask, three: list[APIToken]) -> None:
    foreign, deleted = make_api_token(world.globex), make_api_token(world.acme)
    services.delete_token(SETUP, deleted)
    personal = make_personal_token(world.owner)
    left = [str(foreign.pk), str(deleted.pk), str(personal.pk), str(uuid4()), "nonsense", ""]

    changed = update([three[0], *left, three[1]], {"name": "renamed"})

    assert changed["updatedIDs"] == ids_of(three[:2])
    assert (changed["notUpdatedIDs"], changed["error"]) == (left, INCOMPLETE)
    assert [one["name"] for one in changed["apiTokens"]] == ["renamed", "renamed"]
    foreign.refresh_from_db()
    assert foreign.name == "machine"


def test_a_revoked_token_is_left_where_its_rights_would_change(update: Ask, three: list[APIToken]) -> None:
    services.revoke(SETUP, three[1], reason=None)

    changed = update(three, {"scopes": ["read:notes", "read:tasks"]})

    assert changed == {**changed, "updatedIDs": [], "notUpdatedIDs": ids_of(three), "error": INCOMPLETE}
    changed = update(three, {"scopes": ["write:tasks"]})
    assert changed["updatedIDs"] == ids_of([three[0], three[2]])
    assert changed["notUpdatedIDs"] == ids_of(three[1:2])


def test_an_id_named_twice_is_changed_once(update: Ask, three: list[APIToken]) -> None:
    count = Event.objects.count()
    key = str(three[0].pk)

    changed = update([key, key, key.upper()], {"appendTags": ["ci"]})

    assert (changed["updatedIDs"], changed["notUpdatedIDs"], changed["error"]) == ([key], [], None)
    assert changed["apiTokens"][0]["tags"] == ["ci"]
    assert actions(count) == [Action.API_TOKEN_UPDATED]


def test_no_ids_change_nothing(update: Ask, delete: Ask) -> None:
    assert update([], {"name": "x"}) == {
        "apiTokens": [],
        "updatedIDs": [],
        "notUpdatedIDs": [],
        "error": None,
    }
    assert delete([]) == {"deletedIDs": [], "notDeletedIDs": [], "error": None}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"lastUsedAt": "2020-01-01T00:00:00Z"}, "lastUsedAt"),
        ({"scopes": ["read"], "clearScopes": True}, "clearScopes"),
        ({"ownerID": str(uuid4())}, "ownerID"),
    ],
)
def test_an_input_that_says_nothing_sound_is_refused_for_all(
    query: Query, owner: str, three: list[APIToken], given: dict[str, Any], field: str
) -> None:
    answer = query(UPDATE, {"ids": ids_of(three), "input": given}, token=owner)

    assert (answer.code, answer.body["data"]) == ("VALIDATION_ERROR", None)
    assert field in answer.error["extensions"]["fields"]


@pytest.mark.parametrize("document", [UPDATE, DELETE])
def test_more_than_a_thousand_ids_are_refused(query: Query, owner: str, document: str) -> None:
    answer = query(
        document,
        {"ids": ["x"] * 1_001, "input": {}} if document is UPDATE else {"ids": ["x"] * 1_001},
        token=owner,
    )

    assert answer.code == "VALIDATION_ERROR"
    assert "ids" in answer.error["extensions"]["fields"]


def test_what_one_may_read_and_not_manage_is_left_and_its_refusal_recorded_where_it_was_tried(
    world: World, update: Ask, delete: Ask, three: list[APIToken]
) -> None:
    join(world.owner, world.globex, Role.AUDITOR)
    foreign, token = make_api_token(world.globex), make_personal_token(world.owner).token

    for asked, operation in (
        (lambda: update([three[0], foreign], {"name": "x"}, token), "updateBulkAPIToken"),
        (lambda: delete([three[1], foreign], token), "deleteBulkAPIToken"),
    ):
        count = Event.objects.count()
        answer = asked()
        assert answer["error"] == INCOMPLETE
        assert (answer.get("notUpdatedIDs") or answer["notDeletedIDs"]) == [str(foreign.pk)]
        assert actions(count)[1:] == [Action.ACCESS_DENIED]
        event = Event.objects.latest("id")
        assert event.organization_id == world.globex.pk
        assert (event.changes["operation"], event.changes["target"]) == (operation, str(foreign.pk))


def test_nobody_updates_what_their_role_does_not_manage(
    world: World, update: Ask, three: list[APIToken]
) -> None:
    member, auditor = (make_personal_token(who).token for who in (world.member, world.auditor))
    count = Event.objects.count()

    assert update(three, {"name": "x"}, member)["notUpdatedIDs"] == ids_of(three)  # sees none of them
    assert actions(count) == []
    assert update(three, {"name": "x"}, auditor)["notUpdatedIDs"] == ids_of(three)
    assert actions(count) == [Action.ACCESS_DENIED] * 3
    assert set(APIToken.objects.values_list("name", flat=True)) == {"a", "b", "c"}


def test_a_token_without_the_scope_updates_and_deletes_none(
    world: World, query: Query, three: list[APIToken]
) -> None:
    token = make_personal_token(world.owner, "write", "read:tokens").token
    count = Event.objects.count()

    for answer in (
        query(UPDATE, {"ids": ids_of(three), "input": {"name": "x"}}, token=token),
        query(DELETE, {"ids": ids_of(three)}, token=token),
    ):
        assert (answer.code, answer.body["data"]) == ("INSUFFICIENT_SCOPES", None)
    assert actions(count) == [Action.ACCESS_DENIED] * 2


def test_an_outsider_finds_none_of_them(world: World, update: Ask, three: list[APIToken]) -> None:
    changed = update(three, {"name": "x"}, make_personal_token(world.outsider).token)

    assert (changed["updatedIDs"], changed["notUpdatedIDs"]) == ([], ids_of(three))


# --- deleting ----------------------------------------------------------------------------------------


def test_many_are_deleted_and_what_is_not_there_is_left(
    world: World, delete: Ask, query: Query, owner: str, three: list[APIToken]
) -> None:
    foreign = make_api_token(world.globex)
    count = Event.objects.count()

    gone = delete([*three, foreign, "nonsense"])

    assert gone == {
        "deletedIDs": ids_of(three),
        "notDeletedIDs": [str(foreign.pk), "nonsense"],
        "error": INCOMPLETE,
    }
    assert actions(count) == [Action.API_TOKEN_DELETED] * 3
    assert query("{ apiTokens { totalCount } }", token=owner).data["apiTokens"]["totalCount"] == 0
    assert APIToken.objects.filter(deleted_at__isnull=False).count() == 3
    assert delete(three) == {"deletedIDs": [], "notDeletedIDs": ids_of(three), "error": INCOMPLETE}


def test_an_id_named_twice_is_deleted_once(delete: Ask, three: list[APIToken]) -> None:
    key = str(three[0].pk)

    assert delete([key, key.upper(), key]) == {"deletedIDs": [key], "notDeletedIDs": [], "error": None}


# --- a token among those it ends ---------------------------------------------------------------------


def test_a_token_that_revokes_itself_among_others_revokes_them_all(
    world: World, update: Ask, query: Query, three: list[APIToken]
) -> None:
    asking = make_api_token(world.acme, "admin", name="asking")

    changed = update([three[0], asking, three[1]], {"isActive": False}, asking.token)

    assert sorted(changed["updatedIDs"]) == ids_of([*three[:2], asking])
    assert (changed["notUpdatedIDs"], changed["error"]) == ([], None)
    assert [one["isActive"] for one in changed["apiTokens"]] == [False] * 3
    assert query("{ viewer { id } }", token=asking.token).status == 401


def test_a_token_that_deletes_itself_among_others_deletes_them_all(
    world: World, delete: Ask, query: Query, three: list[APIToken]
) -> None:
    asking = make_api_token(world.acme, "admin", name="asking")

    gone = delete([asking, *three], asking.token)

    assert gone == {"deletedIDs": ids_of([*three, asking]), "notDeletedIDs": [], "error": None}
    assert query("{ viewer { id } }", token=asking.token).status == 401


def test_a_token_that_dies_meanwhile_changes_nothing_more(
    world: World, update: Ask, three: list[APIToken]
) -> None:
    asking = make_api_token(world.acme, "admin", name="asking")

    def revoked_after_the_first(instance: APIToken, **_: Any) -> None:
        if instance.pk == three[0].pk:
            services.revoke(SETUP, asking, reason="leaked")

    post_save.connect(revoked_after_the_first, APIToken)
    try:
        changed = update(three, {"name": "x"}, asking.token)
    finally:
        post_save.disconnect(revoked_after_the_first, APIToken)

    assert (changed["updatedIDs"], changed["notUpdatedIDs"]) == (ids_of(three[:1]), ids_of(three[1:]))
    assert changed["error"] == INCOMPLETE


def test_a_token_that_would_widen_itself_among_others_is_left(world: World, update: Ask) -> None:
    asking = make_api_token(world.acme, "admin:tokens", "read:tasks", name="asking")
    narrow = make_api_token(world.acme, name="narrow")
    count = Event.objects.count()

    changed = update([asking, narrow], {"scopes": ["read:tasks", "read:tokens"]}, asking.token)
    assert changed["error"] is None  # narrower for one, no wider than the other for the other

    asking = make_api_token(world.acme, "admin:tokens", name="asking")
    changed = update([asking, narrow], {"scopes": ["admin:tokens", "admin"]}, asking.token)

    assert (changed["updatedIDs"], changed["notUpdatedIDs"]) == ([], ids_of([narrow, asking]))
    assert actions(count).count(Action.ACCESS_DENIED) == 2


# --- several in one document -------------------------------------------------------------------------


def test_each_of_several_mutations_in_one_document_stands_for_itself(
    world: World, query: Query, owner: str, three: list[APIToken]
) -> None:
    foreign = make_api_token(world.globex)
    document = """mutation($a: [ID!]!, $b: [ID!]!, $in: [CreateAPITokenInput!]) {
        first: updateBulkAPIToken(ids: $a, input: {name: "x"}) { names: apiTokens { called: name } error }
        second: deleteBulkAPIToken(ids: $b) { deletedIDs error }
        third: createBulkAPIToken(input: $in) { made: apiTokens { name } made: apiTokens { token } }
    }"""

    data = query(
        document,
        {"a": ids_of(three[:1]), "b": [str(foreign.pk), str(three[1].pk)], "in": [{"name": "new"}]},
        token=owner,
    ).data

    assert data["first"] == {"names": [{"called": "x"}], "error": None}
    assert data["second"] == {"deletedIDs": ids_of(three[1:2]), "error": INCOMPLETE}
    assert data["third"]["made"][0]["token"].startswith("tola_")
