"""Organizations, members and groups, changed by an operator: each change is a service's and an event."""

from typing import Any

import pytest

from audit.models import Event
from organizations.models import Group, GroupMembership, Organization, OrgMembership
from tests.admin.conftest import Desk, last_event, text
from tests.conftest import Query, World
from tests.factories import make_api_token, make_personal_token


def changes(action: str) -> dict[str, Any]:
    event = last_event(action)
    assert (event.actor_kind, event.actor_label) == ("operator", "root@example.org")
    return event.changes


def test_an_operator_opens_an_organization_with_its_first_owner(desk: Desk, world: World) -> None:
    desk.submit("organizations_organization_add", name="initech", first_owner=str(world.member.pk))
    organization = Organization.objects.get(name="initech")
    assert (organization.display_name, organization.created_by) == ("initech", str(desk.user.pk))
    assert organization.members.get().role == "OWNER"
    assert changes("organization.created") == {"members": {"member@example.org": "OWNER"}}


def test_a_name_in_use_is_refused(desk: Desk, world: World) -> None:
    page = desk.submit("organizations_organization_add", name="ACME", first_owner=str(world.member.pk))
    assert "An organization of this name exists" in text(page)
    assert Organization.objects.count() == 2


def test_an_organization_is_renamed_and_nothing_else_of_it_changes(desk: Desk, world: World) -> None:
    desk.submit(
        "organizations_organization_change", world.acme.pk, name="acme corp", deleted_at_0="2020-01-01"
    )
    world.acme.refresh_from_db()
    assert (world.acme.name, world.acme.deleted_at) == ("acme corp", None)
    assert changes("organization.updated") == {"name": ["acme", "acme corp"]}


def test_deleting_an_organization_stops_its_tokens_and_keeps_its_rows(
    desk: Desk, world: World, query: Query
) -> None:
    machine, script = make_api_token(world.globex, "read"), make_personal_token(world.both)
    asked = text(desk.get("organizations_organization_delete", world.globex.pk))
    assert "Its API tokens stop working" in asked
    desk.post("organizations_organization_delete", world.globex.pk, post="yes")
    world.globex.refresh_from_db()
    assert world.globex.deleted_at is not None
    assert world.globex.members.count() == 2
    assert query("{ viewer { id } }", token=machine.token).status == 401
    reached = query("{ viewer { organizations { name } } }", token=script.token).data["viewer"][
        "organizations"
    ]
    assert reached == [{"name": "acme"}]
    assert changes("organization.deleted") == {}
    assert desk.post("organizations_organization_delete", world.globex.pk, post="yes").status_code == 403
    assert desk.post("organizations_organization_change", world.globex.pk, name="back").status_code == 403


def test_a_person_joins_changes_role_and_leaves(desk: Desk, world: World) -> None:
    desk.submit(
        "organizations_orgmembership_add",
        organization=str(world.acme.pk),
        user=str(world.outsider.pk),
        role="MEMBER",
    )
    membership = OrgMembership.objects.get(organization=world.acme, user=world.outsider)
    assert changes("member.added") == {"role": "MEMBER"}
    desk.submit("organizations_orgmembership_change", membership.pk, role="AUDITOR", user=str(world.both.pk))
    membership.refresh_from_db()
    assert (membership.role, membership.user) == ("AUDITOR", world.outsider)
    assert changes("member.updated") == {"role": ["MEMBER", "AUDITOR"]}
    desk.post("organizations_orgmembership_delete", membership.pk, post="yes")
    assert not OrgMembership.objects.filter(pk=membership.pk).exists()
    assert changes("member.removed") == {"role": "AUDITOR"}


def test_nobody_joins_twice_or_a_deleted_organization(desk: Desk, world: World) -> None:
    twice = {"organization": str(world.acme.pk), "user": str(world.member.pk)}
    assert "is a member already" in text(desk.submit("organizations_orgmembership_add", **twice))
    desk.post("organizations_organization_delete", world.globex.pk, post="yes")
    gone = {"organization": str(world.globex.pk), "user": str(world.member.pk)}
    assert desk.submit("organizations_orgmembership_add", **gone).status_code == 200
    assert not OrgMembership.objects.filter(organization=world.globex, user=world.member).exists()


def test_the_last_owner_is_neither_demoted_nor_removed(desk: Desk, world: World) -> None:
    membership = OrgMembership.objects.get(organization=world.acme, user=world.owner)
    page = desk.submit("organizations_orgmembership_change", membership.pk, role="MEMBER")
    assert "The last owner cannot leave or be demoted" in text(page)
    answer = desk.post("organizations_orgmembership_delete", membership.pk, post="yes")
    assert "The last owner cannot leave" in text(desk.client.get(answer["Location"]))
    membership.refresh_from_db()
    assert membership.role == "OWNER"
    assert not Event.objects.filter(action__in=["member.updated", "member.removed"]).exists()


@pytest.fixture
def reviewers(desk: Desk, world: World) -> Group:
    desk.submit(
        "organizations_group_add", owner=str(world.acme.pk), name="reviewers", scopes=["read:tokens", "read"]
    )
    return Group.objects.get()


def test_a_group_is_opened_with_scopes(desk: Desk, reviewers: Group) -> None:
    assert changes("group.created") == {"scopes": reviewers.scopes}
    assert set(reviewers.scopes) == {"read:tokens", "read"}


def test_a_groups_members_and_scopes_are_changed_in_one_go(
    desk: Desk, world: World, reviewers: Group, query: Query
) -> None:
    page = "organizations_group_change"
    desk.submit(page, reviewers.pk, people=[str(world.member.pk), str(world.both.pk)], scopes=["read:tokens"])
    assert {one.user for one in reviewers.members.all()} == {world.member, world.both}
    assert changes("group.updated")["scopes"][1] == ["read:tokens"]
    assert query("{ apiTokens { totalCount } }", user=world.member).data["apiTokens"] == {"totalCount": 0}
    desk.submit(page, reviewers.pk, people=[str(world.both.pk)])
    assert [one.user for one in reviewers.members.all()] == [world.both]
    assert changes("group_member.removed") == {"group": "reviewers"}
    assert Event.objects.filter(action="group_member.added", actor_kind="operator").count() == 2


def test_an_outsider_is_not_put_into_a_group(desk: Desk, world: World, reviewers: Group) -> None:
    page = desk.submit("organizations_group_change", reviewers.pk, people=[str(world.outsider.pk)])
    assert "not one of the available choices" in text(page)
    assert not GroupMembership.objects.exists()


def test_a_refused_change_of_a_group_undoes_all_of_it(desk: Desk, world: World, reviewers: Group) -> None:
    desk.submit("organizations_group_add", owner=str(world.acme.pk), name="writers")
    page = desk.submit(
        "organizations_group_change", reviewers.pk, people=[str(world.member.pk)], name="Writers"
    )
    assert "A group of this name exists" in text(page)
    assert not GroupMembership.objects.exists()
    assert not Event.objects.filter(action="group_member.added").exists()


def test_a_group_is_deleted_and_its_members_stay(desk: Desk, world: World, reviewers: Group) -> None:
    desk.submit("organizations_group_change", reviewers.pk, people=[str(world.member.pk)])
    desk.post("organizations_group_delete", reviewers.pk, post="yes")
    assert not Group.objects.exists()
    assert OrgMembership.objects.filter(user=world.member, organization=world.acme).exists()
    assert changes("group.deleted")["members"] == [str(world.member.pk)]


def test_other_pages_offer_only_the_living(desk: Desk, world: World) -> None:
    desk.post("organizations_organization_delete", world.globex.pk, post="yes")
    world.auditor.is_active = False
    world.auditor.save()

    def offered(field: str) -> set[str]:
        answer = desk.get(
            "autocomplete", app_label="organizations", model_name="orgmembership", field_name=field
        )
        return {one["text"] for one in answer.json()["results"]}

    assert offered("organization") == {"acme"}
    assert "auditor@example.org" not in offered("user")
    assert "member@example.org" in offered("user")
