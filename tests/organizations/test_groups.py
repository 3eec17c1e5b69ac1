"""Groups and who is in them: by whom, with which roles, and never a way to scopes one lacks."""

import re

import pytest
from django.core.exceptions import ValidationError

from audit.models import Event
from organizations import services
from organizations.models import Group, GroupMembership, GroupRole
from tests.conftest import World
from tests.factories import SETUP
from tests.organizations.people import SIX, acting, fields_of, outcome, told
from tokens.authentication import person

MANAGED = dict.fromkeys(SIX, "role") | {"owner": "ok", "admin": "ok", "outsider": "missing"}
MANAGED |= {f"{who} token": came for who, came in MANAGED.items()} | {"api token": "ok"}


def make(world: World, name: str = "reviewers", **fields: object) -> Group:
    return services.create_group(SETUP, organization_id=world.acme.pk, name=name, **fields)


def people(group: Group) -> dict[str, str]:
    return {one.user.email.partition("@")[0]: one.role for one in group.members.select_related("user")}


@pytest.mark.parametrize("who", MANAGED)
def test_owners_and_admins_make_change_and_delete_groups(world: World, who: str) -> None:
    group, principal = make(world), acting(world, who)
    for act in (
        lambda: services.create_group(principal, organization_id=world.acme.pk, name="new"),
        lambda: services.update_group(principal, group, {"description": "why"}),
        lambda: services.add_to_group(principal, group, world.member.pk),
        lambda: services.delete_group(principal, group),
    ):
        assert outcome(act) == MANAGED[who]


def test_a_group_has_a_name_for_people_to_quote(world: World) -> None:
    first, second = make(world), make(world, "writers")

    assert re.fullmatch(r"GRP-[0-9A-HJKMNP-TV-Z]{6}", first.display_id)
    assert first.display_id != second.display_id
    assert not first.is_managed


def test_a_group_is_made_with_its_members_in_one_event(world: World) -> None:
    before = Event.objects.count()
    group = services.create_group(
        person(world.admin),
        organization_id=world.acme.pk,
        name="reviewers",
        display_name="The reviewers",
        tags=["a"],
        members=[(world.member.pk, "ADMIN"), (world.both.pk, "MEMBER")],
    )

    assert people(group) == {"member": "ADMIN", "both": "MEMBER"}
    event = Event.objects.order_by("id")[before:].get()
    assert event.changes == {
        "scopes": [],
        "members": {"member@example.org": "ADMIN", "both@example.org": "MEMBER"},
    }
    assert (group.display_name, group.tags) == ("The reviewers", ["a"])


@pytest.mark.parametrize(
    ("places", "field"),
    [
        ([("outsider", "MEMBER")], "user"),
        ([("member", "MEMBER"), ("member", "ADMIN")], "user"),
        ([("member", "OWNER")], "role"),
    ],
)
def test_a_group_with_people_who_cannot_be_in_it_is_not_made_at_all(
    world: World, places: list[tuple[str, str]], field: str
) -> None:
    members = [(getattr(world, name).pk, role) for name, role in places]
    with pytest.raises(ValidationError) as refused:
        services.create_group(
            person(world.owner), organization_id=world.acme.pk, name="reviewers", members=members
        )
    assert fields_of(refused.value) == {field}
    assert not Group.objects.exists()


def test_a_name_in_use_is_told_at_the_name(world: World) -> None:
    make(world)
    with pytest.raises(ValidationError, match="exists") as refused:
        make(world, "REVIEWERS")
    assert [error.code for error in refused.value.error_dict["name"]] == ["unique"]


@pytest.mark.parametrize("name", ["owner_id", "is_managed", "display_id", "created_by"])
def test_what_the_server_owns_is_nobodys_to_change(world: World, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        services.update_group(person(world.owner), make(world), {name: "x"})
    assert fields_of(refused.value) == {name}


def test_a_member_of_a_group_changes_role_and_leaves_the_group(world: World) -> None:
    group = make(world, members=[(world.member.pk, "MEMBER")])
    one = group.members.get()

    assert told(lambda: services.change_group_role(person(world.admin), one, GroupRole.ADMIN)) == [
        "group_member.updated"
    ]
    assert Event.objects.latest("id").changes == {"group": "reviewers", "role": ["MEMBER", "ADMIN"]}
    assert told(lambda: services.change_group_role(person(world.admin), one, GroupRole.ADMIN)) == []
    assert outcome(lambda: services.change_group_role(SETUP, one, "OWNER")) == "invalid"
    assert told(lambda: services.remove_from_group(SETUP, one)) == ["group_member.removed"]
    assert not GroupMembership.objects.exists()


@pytest.mark.parametrize("who", [who for who in MANAGED if who != "api token"])
def test_only_who_manages_groups_changes_a_role_in_one(world: World, who: str) -> None:
    one = make(world, members=[(world.member.pk, "MEMBER")]).members.get()

    assert outcome(lambda: services.change_group_role(acting(world, who), one, "ADMIN")) == MANAGED[who]
    assert outcome(lambda: services.remove_from_group(acting(world, who), one)) == MANAGED[who]


def test_who_manages_groups_by_a_group_puts_nobody_where_more_is_allowed_than_to_them(world: World) -> None:
    make(world, "stewards", scopes=["admin:groups", "read:events"], members=[(world.member.pk, "MEMBER")])
    powerful = make(world, "powerful", scopes=["admin"])
    harmless = make(world, "harmless", scopes=["read:events"])
    steward = person(world.member)

    assert outcome(lambda: services.add_to_group(steward, powerful, world.member.pk)) == "role"
    assert outcome(lambda: services.add_to_group(steward, harmless, world.both.pk)) == "ok"
    assert outcome(lambda: services.update_group(steward, harmless, {"scopes": ["admin:tokens"]})) == "role"
    assert people(powerful) == {}
