"""What happened, for good: one event per operation, who may read it, and that nobody changes it."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit import context
from audit.actions import Action
from audit.models import Event
from config.schema import schema
from organizations import services as organizations
from organizations.access import Unauthorized
from tests.conftest import Query, World
from tests.factories import SETUP, join, make_api_token, make_organization, make_personal_token
from tests.organizations.test_access import make_group
from tests.tokens.test_escalation import DELETE_API, DELETE_PERSONAL, UPDATE_API, UPDATE_PERSONAL
from tests.tokens.test_seed_documents import CREATE_API, CREATE_PERSONAL
from tests.tokens.test_usage import failing
from tokens import secret, services
from tokens.authentication import identify, person
from tokens.models import APIToken, PersonalAccessToken, Token

AGENT = "curl/8.0 (tests)"
REQUEST = "request-0123456789"
FROM = {"user-agent": AGENT, "x-request-id": REQUEST}
EXPIRY = "2040-01-01T00:00:00Z"
READ = """query($first: Int) { events(first: $first, orderBy: [{field: created_at}]) { edges { node {
    action actorKind actorID actorLabel targetID targetLabel organizationID subjectID changes
} } } }"""
PASSWORD = "correct horse battery staple"


def latest(count: int = 1) -> list[Event]:
    return list(Event.objects.order_by("-id")[:count])[::-1]


# --- one event per operation -------------------------------------------------------------------------


def operations(world: World, owner: User) -> dict[str, tuple[str, Any, str, dict[str, Any]]]:
    """Name -> (document, variables, action, changes) of every way to write a token."""
    machine = make_api_token(world.acme, "read", name="ci")
    own = make_personal_token(owner, "read", name="cli")
    bound = make_personal_token(owner, organizations=[world.acme.pk])
    acme = str(world.acme.pk)
    described = {"name": "new", "scopes": ["read"], "expires_at": "2040-01-01T00:00:00+00:00"}
    made = {"name": "new", "scopes": ["read"], "expiresAt": EXPIRY}

    def about(token: Token, **given: Any) -> dict[str, Any]:
        return {"id": str(token.pk), **({"input": given} if given else {})}

    return {
        "createAPIToken": (CREATE_API, {"input": made}, Action.API_TOKEN_CREATED, described),
        "updateAPIToken": (
            UPDATE_API,
            about(machine, name="cd", scopes=["read:tasks"]),
            Action.API_TOKEN_UPDATED,
            {"name": ["ci", "cd"], "scopes": [["read"], ["read:tasks"]]},
        ),
        "updateAPIToken: revoke": (
            UPDATE_API,
            about(machine, isActive=False, revokedReason="leaked"),
            Action.API_TOKEN_REVOKED,
            {"reason": "leaked"},
        ),
        "deleteAPIToken": (DELETE_API, about(machine), Action.API_TOKEN_DELETED, {}),
        "createPersonalAccessToken": (
            CREATE_PERSONAL,
            {"input": made | {"organizationIDs": [acme]}},
            Action.PERSONAL_ACCESS_TOKEN_CREATED,
            described | {"organizations": [acme]},
        ),
        "updatePersonalAccessToken": (
            UPDATE_PERSONAL,
            about(own, description="for the cli", expiresAt=EXPIRY, tags=["a"]),
            Action.PERSONAL_ACCESS_TOKEN_UPDATED,
            {
                "description": [None, "for the cli"],
                "expires_at": [None, "2040-01-01T00:00:00+00:00"],
                "tags": [[], ["a"]],
            },
        ),
        "updatePersonalAccessToken: reach": (
            UPDATE_PERSONAL,
            about(bound, clearOrganizations=True),
            Action.PERSONAL_ACCESS_TOKEN_UPDATED,
            {"organizations": [[acme], "all"]},
        ),
        "updatePersonalAccessToken: revoke": (
            UPDATE_PERSONAL,
            about(own, isActive=False),
            Action.PERSONAL_ACCESS_TOKEN_REVOKED,
            {"reason": None},
        ),
        "deletePersonalAccessToken": (
            DELETE_PERSONAL,
            about(own),
            Action.PERSONAL_ACCESS_TOKEN_DELETED,
            {},
        ),
    }


def actors(world: World) -> dict[str, tuple[User | Token, str]]:
    """Name -> (whose session or which token asks, how the trail labels it)."""
    return {
        "session": (world.owner, "owner@example.org"),
        "personal_access_token": (make_personal_token(world.owner, name="script"), "owner@example.org"),
        "api_token": (make_api_token(world.acme, "admin", name="the machine"), "the machine"),
    }


def actor_of(event: Event) -> tuple[str, str, str, str]:
    return event.actor_kind, event.actor_id, event.actor_label, event.token_hint


@pytest.mark.parametrize("kind", ["session", "personal_access_token", "api_token"])
def test_every_operation_on_a_token_leaves_one_event_who_what_where_and_what_changed(
    world: World, query: Query, kind: str
) -> None:
    asking, label = actors(world)[kind]
    credential = asking if isinstance(asking, Token) else None
    who = {"token": credential.token} if credential else {"user": asking}
    actor_id = str(asking.pk if kind == "api_token" else world.owner.pk)
    everything_but_sessions = Event.objects.exclude(action=Action.USER_LOGGED_IN)
    for name, (document, variables, action, changes) in operations(world, world.owner).items():
        if kind == "api_token" and "Personal" in name:
            continue
        before = everything_but_sessions.count()

        answer = query(document, variables, **who, **FROM)

        assert answer.code is None, name
        (event,) = everything_but_sessions.all()[before:]
        model: type[Token] = PersonalAccessToken if "Personal" in name else APIToken
        token = model.objects.get(pk=variables["id"]) if "id" in variables else model.objects.latest("id")
        assert event.action == action, name
        assert (event.target_kind, event.target_id) == (model.__name__, str(token.pk)), name
        assert event.target_label == f"{token.name} ({token.hint}…)"
        assert event.changes == (changes | {"hint": token.hint} if "created" in action else changes), name
        assert event.organization_id == world.acme.pk, name
        assert event.subject_id == (world.owner.pk if "Personal" in name else None), name
        assert actor_of(event) == (kind, actor_id, label, credential.hint if credential else ""), name
        assert event.token_id == (credential.pk if credential else None)
        assert (event.address, event.user_agent, event.request_id) == ("127.0.0.1", AGENT, REQUEST)


def test_the_operations_of_this_file_are_all_there_are(world: World) -> None:
    written = {name.partition(":")[0] for name in operations(world, world.owner)}
    fields = schema._schema.mutation_type.fields

    others = ("Bulk", "rotate", "Policy")  # test_bulk.py, test_rotation.py and test_policy.py have them
    tokens = {name for name in fields if "Token" in name}
    assert {name for name in tokens if not any(word in name for word in others)} == written


def test_the_trail_keeps_people_and_things_by_value(world: World, query: Query) -> None:
    token = make_api_token(world.acme, name="ci")
    services.revoke(person(world.admin), token, reason=None)
    User.objects.filter(pk=world.admin.pk).update(email="renamed@example.org")
    APIToken.objects.filter(pk=token.pk).delete()

    (event,) = latest()
    assert (event.actor_label, event.target_label) == ("admin@example.org", f"ci ({token.hint}…)")


def test_a_command_is_an_actor_from_nowhere(world: World) -> None:
    services.revoke(SETUP, make_api_token(world.acme), reason="x")

    (event,) = latest()
    assert actor_of(event) == ("command", "test set-up", "manage.py test set-up", "")
    assert (event.address, event.user_agent, event.request_id) == ("", "", "")


def test_the_facts_of_a_request_end_with_it(world: World, query: Query) -> None:
    query("{ viewer { id } }", user=world.owner, **FROM)

    assert context.current() == context.NOWHERE


def test_a_token_of_several_organizations_is_in_nobody_elses_trail(world: World) -> None:
    token = make_personal_token(world.both)
    (event,) = latest()
    assert (event.organization_id, event.subject_id) == (None, world.both.pk)

    organizations.delete_organization(SETUP, world.globex)
    services.revoke(person(world.both), token, reason=None)
    assert latest()[0].organization_id == world.acme.pk


# --- refused attempts --------------------------------------------------------------------------------


def test_a_refused_attempt_leaves_one_event_that_says_what_was_tried_and_why_not(
    world: World, query: Query
) -> None:
    target, token = make_api_token(world.acme), make_personal_token(world.owner, "read")
    before = Event.objects.count()

    query(DELETE_API, {"id": str(target.pk)}, token=token.token, **FROM)

    (event,) = Event.objects.all()[before:]
    assert event.action == Action.ACCESS_DENIED
    assert event.changes == {
        "operation": "deleteAPIToken",
        "target": str(target.pk),
        "refused": "InsufficientScopes",
        "why": "This token lacks the scope admin:tokens. Use a token that has it; "
        "viewer { scopes abilities } shows what this one may do.",
    }
    assert actor_of(event) == (
        *("personal_access_token", str(world.owner.pk), "owner@example.org"),
        token.hint,
    )
    assert (event.organization_id, event.subject_id) == (world.acme.pk, world.owner.pk)
    assert (event.address, event.user_agent, event.request_id) == ("127.0.0.1", AGENT, REQUEST)


def test_an_attempt_stands_in_the_trail_of_the_organization_it_was_about_and_in_no_other(
    world: World, query: Query
) -> None:
    for organization in (world.acme, world.globex):
        given = {"input": {"name": "x", "ownerID": str(organization.pk)}}
        assert query(CREATE_API, given, token=make_personal_token(world.both).token).code == "UNAUTHORIZED"

        (event,) = latest()
        assert (event.action, event.organization_id) == (Action.ACCESS_DENIED, organization.pk)


def test_an_attempt_of_somebody_in_several_organizations_that_names_none_is_in_none(
    world: World, query: Query
) -> None:
    token = make_personal_token(world.both, "read:tasks")
    query(CREATE_API, {"input": {"name": "x"}}, token=token.token)
    assert (latest()[0].organization_id, latest()[0].subject_id) == (None, world.both.pk)

    query(
        CREATE_API, {"input": {"name": "x"}}, token=token.token, **{"x-organization-id": str(world.globex.pk)}
    )
    assert latest()[0].organization_id == world.globex.pk


def test_an_attempt_at_a_foreign_organization_is_in_neither_trail(world: World, query: Query) -> None:
    before = Event.objects.count()
    given = {"input": {"name": "x", "ownerID": str(world.acme.pk)}}

    assert query(CREATE_API, given, user=world.outsider).code == "NOT_FOUND"

    assert [event.action for event in Event.objects.all()[before:]] == [Action.USER_LOGGED_IN]


def test_what_is_pasted_as_an_id_is_not_kept_if_it_is_a_token(world: World) -> None:
    value = make_api_token(world.acme).token

    services.record_denial(person(world.owner), "deleteAPIToken", f"id {value}", Unauthorized("No."))

    assert latest()[0].changes["target"] == "id tola_[redacted]"


def test_a_refused_read_leaves_no_event_and_neither_does_bad_input(world: World, query: Query) -> None:
    token = make_personal_token(world.member, "read:tasks", "admin:tokens").token
    before = Event.objects.count()

    query("{ events { totalCount } }", token=token)
    query(CREATE_PERSONAL, {"input": {"name": ""}}, token=token)
    query(DELETE_PERSONAL, {"id": str(uuid4())}, token=token)

    assert Event.objects.count() == before


# --- in the transaction of the change ----------------------------------------------------------------


def test_a_change_that_is_rolled_back_leaves_no_event(world: World) -> None:
    before = Event.objects.count()

    with transaction.atomic():
        services.revoke(SETUP, make_api_token(world.acme), reason="x")
        transaction.set_rollback(True)

    assert Event.objects.count() == before
    assert not APIToken.objects.exists()


def test_a_change_whose_event_cannot_be_written_does_not_happen(world: World, query: Query) -> None:
    token = make_api_token(world.acme, name="ci")
    personal = make_personal_token(world.owner).token
    before = Event.objects.count()

    with failing(OperationalError("gone"), f'INSERT INTO "{Event._meta.db_table}"'):
        for document, variables in (
            (CREATE_API, {"input": {"name": "new"}}),
            (UPDATE_API, {"id": str(token.pk), "input": {"name": "new"}}),
            (UPDATE_API, {"id": str(token.pk), "input": {"isActive": False}}),
            (DELETE_API, {"id": str(token.pk)}),
        ):
            answer = query(document, variables, token=personal)
            assert (answer.status, answer.code) == (503, "UNAVAILABLE")

    (row,) = APIToken.objects.all()
    assert (row.name, row.is_active, row.deleted_at) == ("ci", True, None)
    assert Event.objects.count() == before


# --- people come and go ------------------------------------------------------------------------------


def test_a_log_in_and_a_log_out_are_events_about_the_person(world: World, client: Client) -> None:
    client.post("/login/", {"username": "Member@example.org", "password": PASSWORD}, headers=FROM)
    client.post("/logout/", headers=FROM)

    for event, action in zip(latest(2), (Action.USER_LOGGED_IN, Action.USER_LOGGED_OUT), strict=True):
        assert event.action == action
        assert actor_of(event) == ("session", str(world.member.pk), "member@example.org", "")
        assert (event.subject_id, event.organization_id) == (world.member.pk, None)
        assert (event.target_id, event.target_label) == (str(world.member.pk), "member@example.org")
        assert (event.address, event.user_agent, event.request_id) == ("127.0.0.1", AGENT, REQUEST)


def test_a_failed_log_in_names_somebody_we_know_and_nobody_else(world: World, client: Client) -> None:
    for typed in ("member@example.org", "MEMBER@example.org", "nobody@example.org", "my-secret-password"):
        client.post("/login/", {"username": typed, "password": "wrong"})

    known, upper, unknown, slip = latest(4)
    for event in (known, upper):
        assert event.action == Action.USER_LOGIN_FAILED
        assert event.actor_kind == "anonymous"
        assert (event.subject_id, event.target_label) == (world.member.pk, "member@example.org")
    for event in (unknown, slip):
        assert (event.action, event.subject_id, event.target_id) == (Action.USER_LOGIN_FAILED, None, "")
    assert "secret-password" not in str(list(Event.objects.values()))
    assert "nobody@" not in str(list(Event.objects.values()))
    assert "wrong" not in str(list(Event.objects.values()))


def test_logging_out_without_a_session_is_no_event(world: World, client: Client) -> None:
    before = Event.objects.count()

    client.post("/logout/")

    assert Event.objects.count() == before


# --- append-only -------------------------------------------------------------------------------------

CHANGES = {
    "UPDATE": "UPDATE audit_event SET action = 'x'",
    "UPDATE of one": "UPDATE audit_event SET action = 'x' WHERE action = 'organization.created'",
    "UPDATE that changes nothing": "UPDATE audit_event SET action = action",
    "DELETE": "DELETE FROM audit_event",
    "DELETE of one": "DELETE FROM audit_event WHERE action = 'organization.created'",
    "upsert": "INSERT INTO audit_event SELECT * FROM audit_event WHERE true "
    "ON CONFLICT (id) DO UPDATE SET action = 'x'",
}
ON_SQLITE = {
    "REPLACE": "REPLACE INTO audit_event SELECT * FROM audit_event",
    "INSERT OR REPLACE": "INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event LIMIT 1",
    "UPDATE OR REPLACE": "UPDATE OR REPLACE audit_event SET action = 'x'",
}


@pytest.mark.parametrize("how", [*CHANGES, *ON_SQLITE])
def test_the_database_itself_refuses_to_change_or_lose_an_event(world: World, how: str) -> None:
    if how in ON_SQLITE and connection.vendor != "sqlite":
        pytest.skip("SQLite's own statements")
    before = list(Event.objects.values())

    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute((CHANGES | ON_SQLITE)[how])

    assert list(Event.objects.values()) == before


def test_the_orm_cannot_change_or_lose_an_event_either(world: World) -> None:
    event, before = Event.objects.latest("id"), list(Event.objects.values())

    for write in (
        lambda: Event.objects.update(action="x"),
        lambda: Event.objects.all().delete(),
        event.save,
        event.delete,
        lambda: Event.objects.bulk_create(
            [event], update_conflicts=True, update_fields=["action"], unique_fields=["id"]
        ),
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            write()

    assert list(Event.objects.values()) == before


def test_events_are_in_the_order_in_which_they_were_written(world: World) -> None:
    for _ in range(20):
        make_api_token(world.acme)

    ids = list(Event.objects.order_by("created_at").values_list("id", flat=True))
    assert ids == sorted(ids)


# --- who may read them -------------------------------------------------------------------------------


def seen(query: Query, **who: Any) -> list[dict[str, Any]]:
    return [edge["node"] for edge in query(READ, **who).data["events"]["edges"]]


def happenings(world: World) -> dict[str, str]:
    """What each event is about -> the id of its target."""
    about = {
        "acme": make_api_token(world.acme, name="acme's"),
        "globex": make_api_token(world.globex, name="globex's"),
        "owner": make_personal_token(world.owner),
        "member": make_personal_token(world.member),
        "both": make_personal_token(world.both),
        "outsider": make_personal_token(world.outsider),
    }
    return {str(token.pk): name for name, token in about.items()}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        # The personal token of somebody in one organization alone is of interest there.
        ("owner", {"acme", "owner", "member"}),
        ("admin", {"acme", "owner", "member"}),
        ("auditor", {"acme", "owner", "member"}),
        ("member", {"member"}),
        ("both", {"both"}),
        ("outsider", {"globex", "outsider"}),
    ],
)
@pytest.mark.parametrize("credential", ["session", "personal token"])
def test_who_reads_whose_events(
    world: World, query: Query, who: str, expected: set[str], credential: str
) -> None:
    about = happenings(world)
    user = getattr(world, who)
    asking = {"user": user} if credential == "session" else {"token": make_personal_token(user).token}

    nodes = seen(query, **asking)

    assert {about[node["targetID"]] for node in nodes if node["targetID"] in about} == expected
    own = (
        {str(world.acme.pk), str(world.globex.pk)}
        if who == "both"
        else {str(world.globex.pk if who == "outsider" else world.acme.pk)}
    )
    assert {node["organizationID"] for node in nodes} <= {*own, None}
    foreign = {node["subjectID"] for node in nodes if node["organizationID"] is None} - {str(user.pk)}
    assert foreign == set()


def test_an_api_token_reads_the_events_of_its_organization_if_it_has_the_scope(
    world: World, query: Query
) -> None:
    about = happenings(world)

    nodes = seen(query, token=make_api_token(world.acme, "event:read").token)
    assert {about[node["targetID"]] for node in nodes if node["targetID"] in about} == {
        "acme",
        "owner",
        "member",
    }

    refused = query(READ, token=make_api_token(world.acme, "read:tokens").token)
    assert refused.code == "INSUFFICIENT_SCOPES"


def test_a_token_without_the_scope_reads_not_even_about_its_owner(world: World, query: Query) -> None:
    assert (
        query(READ, token=make_personal_token(world.owner, "read:tokens").token).code == "INSUFFICIENT_SCOPES"
    )


def test_a_group_may_let_a_member_read_the_trail(world: World, query: Query) -> None:
    about = happenings(world)
    make_group(world.acme, "read:events", members=(world.member,))

    nodes = seen(query, user=world.member)

    assert {about[node["targetID"]] for node in nodes if node["targetID"] in about} == {
        "acme",
        "owner",
        "member",
    }


def test_whoever_leaves_an_organization_reads_its_trail_no_longer(world: World, query: Query) -> None:
    auditor = make_personal_token(world.auditor)
    about = happenings(world)
    organizations.remove_member(SETUP, world.acme.members.get(user=world.auditor))

    nodes = seen(query, token=auditor.token)

    assert {node["targetID"] for node in nodes}.isdisjoint(about)


def test_a_bound_token_reads_no_trail_beyond_its_organizations(world: World, query: Query) -> None:
    join(world.owner, world.globex, "AUDITOR")
    make_api_token(world.globex, name="globex's")
    bound = make_personal_token(world.owner, organizations=[world.acme.pk])

    places = {node["organizationID"] for node in seen(query, token=bound.token)}

    assert str(world.acme.pk) in places
    assert str(world.globex.pk) not in places


def test_a_foreign_event_is_not_found(world: World, query: Query) -> None:
    make_api_token(world.globex)
    foreign = Event.objects.latest("id")
    document = "query($id: ID!) { event(id: $id) { id } }"

    for user, code in ((world.outsider, None), (world.owner, "NOT_FOUND"), (world.both, "NOT_FOUND")):
        answer = query(document, {"id": str(foreign.pk)}, user=user)
        assert answer.code == code
        if code:
            assert (
                answer.error["message"] == query(document, {"id": str(uuid4())}, user=user).error["message"]
            )


def test_a_personal_token_has_its_own_events(world: World, query: Query) -> None:
    token, other = make_personal_token(world.member, name="mine"), make_personal_token(world.member)
    services.update_token(person(world.member), token, {"name": "renamed"})
    services.revoke(person(world.member), token, reason="done")
    services.revoke(person(world.member), other, reason="other")

    answer = query(
        """query($id: ID!) { personalAccessToken(id: $id) {
            events(orderBy: [{field: created_at, direction: DESC}]) {
                totalCount edges { node { action changes actorLabel } }
            }
        } }""",
        {"id": str(token.pk)},
        user=world.member,
    )

    events = answer.data["personalAccessToken"]["events"]
    assert events["totalCount"] == 3
    assert [edge["node"]["action"] for edge in events["edges"]] == [
        *("personal_access_token.revoked", "personal_access_token.updated"),
        "personal_access_token.created",
    ]
    assert events["edges"][0]["node"]["changes"] == {"reason": "done"}
    assert {edge["node"]["actorLabel"] for edge in events["edges"]} == {"member@example.org"}


def test_the_trail_says_which_token_was_used(world: World, query: Query) -> None:
    asking = make_personal_token(world.owner, name="asking")
    query(CREATE_API, {"input": {"name": "x"}}, token=asking.token)

    answer = query("{ events { edges { node { action tokenID tokenHint } } } }", user=world.auditor)

    used = [edge["node"] for edge in answer.data["events"]["edges"] if edge["node"]["tokenID"]]
    assert used == [
        {"action": "api_token.created", "tokenID": str(asking.pk), "tokenHint": secret.hint(asking.token)}
    ]


def test_an_organization_that_was_closed_has_its_last_event(world: World) -> None:
    organizations.delete_organization(person(world.owner), world.acme)

    (event,) = latest()
    assert (event.action, event.organization_id, event.target_label) == (
        *(Action.ORGANIZATION_DELETED, world.acme.pk),
        "acme",
    )


def test_what_happens_to_organizations_and_members_is_there_too(world: World) -> None:
    organization = make_organization("initech", world.admin)
    join(world.member, organization)
    membership = organization.members.get(user=world.member)
    organizations.change_role(person(world.admin), membership, "ADMIN")
    organizations.remove_member(person(world.admin), membership)

    assert [(event.action, event.changes) for event in latest(4)] == [
        (Action.ORGANIZATION_CREATED, {"members": {"admin@example.org": "OWNER"}}),
        (Action.MEMBER_ADDED, {"role": "MEMBER"}),
        (Action.MEMBER_UPDATED, {"role": ["MEMBER", "ADMIN"]}),
        (Action.MEMBER_REMOVED, {"role": "ADMIN"}),
    ]
    assert {event.organization_id for event in latest(4)} == {organization.pk}


# --- the facts of a request --------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a1b2c3d4", "0.1-2_3.4-5_6", "x" * 48])
def test_a_request_id_of_the_clients_is_echoed_and_kept(world: World, query: Query, value: str) -> None:
    token = make_personal_token(world.owner).token

    answer = query(CREATE_API, {"input": {"name": "x"}}, token=token, **{"x-request-id": value})

    assert answer.headers["X-Request-ID"] == value
    assert latest()[0].request_id == value


@pytest.mark.parametrize(
    "value",
    ["", "short", "x" * 49, "with space", "semi;colon", "new\nline", "<script>alert(1)</script>", "ünïcödé-"],
)
def test_a_request_id_that_could_do_harm_is_replaced_by_one_of_ours(
    world: World, query: Query, value: str
) -> None:
    token = make_personal_token(world.owner).token

    answer = query(CREATE_API, {"input": {"name": "x"}}, token=token, **{"x-request-id": value})

    ours = answer.headers["X-Request-ID"]
    assert len(ours) == 32
    assert ours.isalnum()
    assert latest()[0].request_id == ours


def test_every_answer_has_a_request_id_of_its_own(world: World, client: Client) -> None:
    ids = [
        client.get("/livez")["X-Request-ID"],
        client.post("/query")["X-Request-ID"],
        client.get("/nowhere")["X-Request-ID"],
        client.get("/nowhere", headers={"authorization": "Bearer x"})["X-Request-ID"],
    ]

    assert len(set(ids)) == len(ids)


def test_a_user_agent_is_cut_and_cleaned(world: World, query: Query) -> None:
    token = make_personal_token(world.owner).token
    agent = "curl\x1b[31m\r\nX: \u202e" + "y" * 500

    query(CREATE_API, {"input": {"name": "x"}}, token=token, **{"user-agent": agent})

    kept = latest()[0].user_agent
    assert kept.startswith("curl?[31m")
    assert kept.isprintable()
    assert kept.isascii()
    assert len(kept) == 300


def test_names_are_kept_as_they_are_and_never_longer_than_the_column(world: World) -> None:
    token = make_api_token(world.acme, "admin", name="n" * 255)

    services.revoke(identify(token.token, timezone.now()), token, reason="r" * 500)

    (event,) = latest()
    assert event.actor_label == "n" * 255
    assert event.target_label == f"{'n' * 255} ({token.hint}…)"
