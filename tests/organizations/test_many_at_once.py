"""Groups, members, invitations and settings in bulk: from a list of ids, or from a CSV file."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from organizations import services
from organizations.invitations import invite
from organizations.models import Group, GroupMembership, Invite, OrganizationSetting, OrgMembership
from tests.conftest import Answer, Query, World
from tests.factories import SETUP, UserFactory, join, make_personal_token
from tests.organizations.people import trail

INCOMPLETE = "BULK_ACTION_INCOMPLETELY_APPLIED"

Send = Callable[..., Answer]


@pytest.fixture
def send(client: Client) -> Send:
    """send(user, "createBulkCSVGroup", rows, "groups { id }"): a file, with a personal token of theirs."""

    def sent(user: User, name: str, rows: list[str], selection: str) -> Answer:
        document = f"mutation($input: Upload!) {{ {name}(input: $input) {{ {selection} }} }}"
        parts = {
            "operations": json.dumps({"query": document, "variables": {"input": None}}),
            "map": json.dumps({"0": ["variables.input"]}),
            "0": SimpleUploadedFile("rows.csv", "\r\n".join([*rows, ""]).encode(), "text/csv"),
        }
        token = make_personal_token(user).token
        response = client.post("/query", parts, headers={"authorization": f"Bearer {token}"})
        return Answer(response.status_code, response.json(), dict(response.headers))

    return sent


@pytest.fixture
def places(world: World) -> dict[str, str]:
    """What the rows of the files below name: {group}, {member}, ..., {foreign group}."""
    group = services.create_group(SETUP, organization_id=world.acme.pk, name="security")
    foreign = services.create_group(SETUP, organization_id=world.globex.pk, name="theirs")
    inside = services.add_to_group(SETUP, group, world.admin.pk)
    sent = invite(SETUP, organization_id=world.acme.pk, recipient="first@example.net")
    return {
        "acme": str(world.acme.pk),
        "group": str(group.pk),
        "entry": str(inside.pk),
        "membership": str(world.acme.members.get(user=world.member).pk),
        "invite": str(sent.pk),
        "setting": str(world.acme.setting.pk),
        "member": str(world.member.pk),
        "auditor": str(world.auditor.pk),
        "foreign": str(foreign.pk),
        "foreign setting": str(world.globex.setting.pk),
        "foreign membership": str(world.globex.members.get(user=world.outsider).pk),
    }


def counted() -> list[int]:
    tables = (Group, GroupMembership, Invite, OrgMembership)
    return [model._default_manager.count() for model in tables]


CREATED: dict[str, tuple[str, list[str], str, list[str]]] = {
    # what is made: its fields, header and good rows, a bad row, the fields that are told
    "Group": (
        "groups { name scopes }",
        ["name,scopes", "watchers,read:events; read:tasks", "readers,"],
        "worse,raed:tasks",
        ["scopes"],
    ),
    "GroupMembership": (
        "groupMemberships { role }",
        ["groupID,userID,role", "{group},{member},ADMIN", "{group},{auditor},"],
        "{group},{member},",
        ["user"],
    ),
    "Invite": (
        "invites { recipient }",
        ["recipient,role", "one@example.net,AUDITOR", "two@example.net,"],
        "nobody,",
        ["recipient"],
    ),
}


@pytest.mark.parametrize("kind", CREATED)
def test_a_file_makes_a_row_of_each_of_its_rows(
    world: World, places: dict[str, str], send: Send, kind: str
) -> None:
    selection, rows, _, _ = CREATED[kind]
    before, told = counted(), len(trail())

    answer = send(world.owner, f"createBulkCSV{kind}", [row.format(**places) for row in rows], selection)

    made = answer.data[f"createBulkCSV{kind}"][selection.split()[0]]
    assert len(made) == 2
    assert sum(counted()) == sum(before) + 2
    assert len(trail(told)) == 1 + 2  # the token that asked, and one of each


@pytest.mark.parametrize("kind", CREATED)
def test_one_bad_row_is_told_by_its_number_and_nothing_is_written(
    world: World, places: dict[str, str], send: Send, kind: str
) -> None:
    selection, rows, bad, fields = CREATED[kind]
    before = counted()

    content = [row.format(**places) for row in [*rows, bad]]
    answer = send(world.owner, f"createBulkCSV{kind}", content, selection)

    assert answer.code == "VALIDATION_ERROR"
    assert [(row["row"], list(row["fields"])) for row in answer.error["extensions"]["rows"]] == [(4, fields)]
    assert counted() == before


def test_a_file_adds_members_who_are_known_and_none_who_are_not(
    world: World, places: dict[str, str], send: Send
) -> None:
    joining = join(UserFactory(), world.globex)
    world.globex.members.filter(user=world.owner).delete()
    services.add_member(SETUP, organization_id=world.globex.pk, user_id=world.owner.pk, role="ADMIN")
    header, row = "organizationID,userID,role", f"{world.acme.pk},{joining.pk},AUDITOR"
    stranger = f"{world.acme.pk},{UserFactory().pk},"

    refused = send(
        world.owner, "createBulkCSVOrgMembership", [header, row, stranger], "orgMemberships { id }"
    )
    added = send(world.owner, "createBulkCSVOrgMembership", [header, row], "orgMemberships { role }")

    assert refused.code == "NOT_FOUND"
    assert refused.error["extensions"]["rows"] == [{"row": 3, "fields": {"input": ["user not found"]}}]
    assert added.data["createBulkCSVOrgMembership"]["orgMemberships"] == [{"role": "AUDITOR"}]


@pytest.mark.parametrize(
    ("name", "rows", "code"),
    [
        ("createBulkCSVInvite", ["recipient,role", "a@example.net,", "b@example.net,OWNER"], "UNAUTHORIZED"),
        ("createBulkCSVGroup", ["name,ownerID", "one,", "two,{foreign}"], "NOT_FOUND"),
        (
            "createBulkCSVGroupMembership",
            ["groupID,userID", "{group},{member}", "{foreign},{member}"],
            "NOT_FOUND",
        ),
    ],
)
def test_a_row_that_is_refused_is_told_by_its_number(
    world: World, places: dict[str, str], send: Send, name: str, rows: list[str], code: str
) -> None:
    before = counted()

    answer = send(world.admin, name, [row.format(**places) for row in rows], "__typename")

    assert (answer.code, [row["row"] for row in answer.error["extensions"]["rows"]]) == (code, [3])
    assert counted() == before


UPDATED: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    # what is changed: its own id, an id that is not the caller's, column and value
    "Group": ("group", "foreign", "description", {"description": "who watches"}),
    "GroupMembership": ("entry", "foreign", "role", {"role": "ADMIN"}),
    "OrgMembership": ("membership", "foreign membership", "role", {"role": "AUDITOR"}),
    "Invite": ("invite", "foreign", "role", {"role": "AUDITOR"}),
    "OrganizationSetting": (
        "setting",
        "foreign setting",
        "oidcDiscoveryEndpoint",
        {"oidcDiscoveryEndpoint": "https://id.example.org"},
    ),
}
OUTCOME = "updatedIDs notUpdatedIDs error"


@pytest.mark.parametrize("how", ["Bulk", "BulkCSV"])
@pytest.mark.parametrize("kind", UPDATED)
def test_what_is_ones_own_is_changed_and_what_is_not_is_left(
    world: World, places: dict[str, str], send: Send, query: Query, kind: str, how: str
) -> None:
    mine, foreign, column, change = UPDATED[kind]
    ids = [places[mine], places[foreign], str(uuid4())]
    name, told = f"update{how}{kind}", len(trail())

    if how == "Bulk":
        document = f"""mutation($ids: [ID!]!, $input: Update{kind}Input!) {{
            {name}(ids: $ids, input: $input) {{ {OUTCOME} }} }}"""
        token = make_personal_token(world.owner).token
        answer = query(document, {"ids": ids, "input": change}, token=token)
    else:
        rows = [f"id,{column}", *(f"{key},{change[column]}" for key in ids)]
        answer = send(world.owner, name, rows, OUTCOME)

    assert answer.data[name] == {"updatedIDs": ids[:1], "notUpdatedIDs": ids[1:], "error": INCOMPLETE}
    assert len(trail(told)) == 1 + 1  # the token that asked, and what was changed
    shown = query(
        f"query($id: ID!) {{ node(id: $id) {{ ... on {kind} {{ {column} }} }} }}",
        {"id": places[mine]},
        token=make_personal_token(world.owner).token,
    )
    assert shown.data["node"] == change


def test_a_file_of_changes_with_a_bad_row_changes_nothing(
    world: World, places: dict[str, str], send: Send
) -> None:
    rows = ["id,name", f"{places['group']},renamed", f"{uuid4()},gone", "x,bad\tname"]
    second = services.create_group(SETUP, organization_id=world.acme.pk, name="second")
    rows[3] = f"{second.pk},bad\tname"

    answer = send(world.owner, "updateBulkCSVGroup", rows, OUTCOME)

    assert [row["row"] for row in answer.error["extensions"]["rows"]] == [4]
    assert Group.objects.get(pk=places["group"]).name == "security"


def test_a_member_changes_no_settings_in_bulk(world: World, query: Query) -> None:
    ids = [str(setting.pk) for setting in OrganizationSetting.objects.all()]
    document = """mutation($ids: [ID!]!) {
        updateBulkOrganizationSetting(ids: $ids, input: { tags: ["mine"] }) { updatedIDs notUpdatedIDs } }"""

    answer = query(document, {"ids": ids}, token=make_personal_token(world.admin).token)
    refused = query(document, {"ids": ids}, token=make_personal_token(world.member).token)

    assert answer.data["updateBulkOrganizationSetting"]["updatedIDs"] == [str(world.acme.setting.pk)]
    assert refused.code == "UNAUTHORIZED"


def test_of_peoples_settings_only_ones_own_are_changed(world: World, query: Query, send: Send) -> None:
    mine, theirs = str(world.member.setting.pk), str(world.owner.setting.pk)  # type: ignore[attr-defined]
    document = f"""mutation($ids: [ID!]!) {{
        updateBulkUserSetting(ids: $ids, input: {{ tags: ["mine"] }}) {{ {OUTCOME} }} }}"""

    reading = query(document, {"ids": [mine]}, token=make_personal_token(world.member, "read").token)
    changed = query(document, {"ids": [mine, theirs]}, token=make_personal_token(world.member).token)
    by_file = send(world.member, "updateBulkCSVUserSetting", ["id,tags", f"{mine},a;b"], OUTCOME)

    assert reading.data["updateBulkUserSetting"]["notUpdatedIDs"] == [mine]
    assert changed.data["updateBulkUserSetting"]["notUpdatedIDs"] == [theirs]
    assert by_file.data["updateBulkCSVUserSetting"]["updatedIDs"] == [mine]


# --- a group like others -----------------------------------------------------------------------------

CLONE = """mutation($g: CreateGroupInput!, $m: [GroupMembersInput!], $scopes: ID, $people: ID) {
    createGroupByClone(
        groupInput: $g, members: $m, inheritGroupPermissions: $scopes, cloneGroupMembers: $people
    ) { group { scopes members { edges { node { role user { email } } } } } } }"""


def test_a_group_is_made_after_others(world: World, query: Query) -> None:
    model = services.create_group(
        SETUP,
        organization_id=world.acme.pk,
        name="model",
        scopes=["read:events", "read:tokens"],
        members=[(world.member.pk, "ADMIN"), (world.auditor.pk, "MEMBER")],
    )
    told = len(trail())
    given = {"name": "copy", "scopes": ["read:tokens", "read:tasks"]}
    named = [{"userID": str(world.member.pk)}, {"userID": str(world.both.pk), "role": "ADMIN"}]

    answer = query(
        CLONE,
        {"g": given, "m": named, "scopes": str(model.pk), "people": str(model.pk)},
        token=make_personal_token(world.owner).token,
    )

    group = answer.data["createGroupByClone"]["group"]
    assert group["scopes"] == ["read:tokens", "read:tasks", "read:events"]
    people = {edge["node"]["user"]["email"]: edge["node"]["role"] for edge in group["members"]["edges"]}
    assert people == {
        world.member.email: "MEMBER",
        world.auditor.email: "MEMBER",
        world.both.email: "ADMIN",
    }
    assert trail(told) == ["personal_access_token.created", "group.created"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"scopes": "foreign"}, "NOT_FOUND"),
        ({"people": "foreign"}, "NOT_FOUND"),
        ({"people": "no id"}, "NOT_FOUND"),
        ({"scopes": "powerful"}, "INSUFFICIENT_SCOPES"),
    ],
    ids=str,
)
def test_nobody_copies_what_they_do_not_see_or_have(
    world: World, query: Query, given: dict[str, str], code: str
) -> None:
    groups = {
        "foreign": services.create_group(SETUP, organization_id=world.globex.pk, name="theirs"),
        "powerful": services.create_group(
            SETUP, organization_id=world.acme.pk, name="powerful", scopes=["admin:tokens"]
        ),
    }
    asked = {key: str(groups[name].pk) if name in groups else name for key, name in given.items()}

    token = make_personal_token(world.owner, "admin:groups").token
    answer = query(CLONE, {"g": {"name": "copy"}, **asked}, token=token)

    assert answer.code == code
    assert not Group.objects.filter(name="copy").exists()


# --- search ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("organizationSearch", "ACM", ["acme"]),
        ("organizationSearch", "nothing", []),
        ("organizationSearch", "globex", []),
        ("groupSearch", "watch", ["security"]),
        ("groupSearch", "SECUR", ["security"]),
        ("groupSearch", "theirs", []),
        ("groupSearch", "%", []),
        ("inviteSearch", "First@", ["first@example.net"]),
    ],
)
def test_what_one_sees_is_found_by_its_text(
    world: World, places: dict[str, str], query: Query, name: str, text: str, found: list[str]
) -> None:
    Group.objects.filter(pk=places["group"]).update(description="Watches the gate")
    told = "recipient" if name == "inviteSearch" else "name"
    document = f"""query($q: String!) {{
        {name}(query: $q, first: 5) {{ totalCount edges {{ node {{ {told} }} }} }} }}"""

    answer = query(document, {"q": text}, token=make_personal_token(world.owner).token).data[name]

    assert [edge["node"][told] for edge in answer["edges"]] == found
    assert answer["totalCount"] == len(found)


def test_a_search_is_paged_and_bounded(world: World, query: Query) -> None:
    for number in range(3):
        services.create_group(SETUP, organization_id=world.acme.pk, name=f"group {number}")
    token = make_personal_token(world.owner).token
    document = """query($q: String!, $after: Cursor) { groupSearch(query: $q, first: 2, after: $after) {
        edges { node { name } } pageInfo { hasNextPage endCursor } } }"""

    first = query(document, {"q": "group"}, token=token).data["groupSearch"]
    cursor = first["pageInfo"]["endCursor"]
    second = query(document, {"q": "group", "after": cursor}, token=token).data["groupSearch"]

    assert [edge["node"]["name"] for edge in second["edges"]] == ["group 2"]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert query(document, {"q": "x" * 1_001}, token=token).code == "BAD_REQUEST"
