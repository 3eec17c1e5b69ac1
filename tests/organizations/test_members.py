"""Members are added, promoted and removed: never above one's own rank, never past the last owner."""

import pytest
from django.core.exceptions import ValidationError

from audit.models import Event
from organizations import services
from organizations.models import OrgMembership, Role
from tests.conftest import World
from tests.factories import SETUP, UserFactory, join, make_organization
from tests.organizations.people import SIX, acting, fields_of, outcome, told
from tokens.authentication import person

# who, the role given -> what comes of it
ADDED = [
    ("owner", "OWNER", "ok"),
    ("owner", "ADMIN", "ok"),
    ("owner", "MEMBER", "ok"),
    ("owner token", "OWNER", "ok"),
    ("admin", "OWNER", "role"),
    ("admin", "ADMIN", "ok"),
    ("admin", "AUDITOR", "ok"),
    ("admin token", "OWNER", "role"),
    ("member", "MEMBER", "role"),
    ("auditor", "MEMBER", "role"),
    ("both", "MEMBER", "role"),
    ("outsider", "MEMBER", "missing"),
    ("outsider token", "MEMBER", "missing"),
    ("api token", "MEMBER", "role"),
    ("owner", "SUPER_ADMIN", "invalid"),
    ("owner", "owner", "invalid"),
    ("owner", "", "invalid"),
]


@pytest.fixture
def friend(world: World) -> OrgMembership:
    """Somebody everybody in acme knows from another organization."""
    friend = UserFactory(email="friend@example.org")
    shared = make_organization("shared", friend)
    for name in SIX:
        join(getattr(world, name), shared, Role.MEMBER)
    return shared.members.get(user=friend)


def membership(world: World, name: str) -> OrgMembership:
    return OrgMembership.objects.get(organization=world.acme, user=getattr(world, name))


@pytest.mark.parametrize(("who", "role", "expected"), ADDED)
def test_a_member_is_added_up_to_ones_own_rank(
    world: World, friend: OrgMembership, who: str, role: str, expected: str
) -> None:
    principal, count = acting(world, who), Event.objects.count()

    act = lambda: services.add_member(  # noqa: E731
        principal, organization_id=world.acme.pk, user_id=friend.user_id, role=role
    )

    assert outcome(act) == expected
    assert world.acme.members.filter(user=friend.user_id, role=role).exists() == (expected == "ok")
    assert Event.objects.count() - count == (1 if expected == "ok" else 0)


def test_a_stranger_is_not_there_even_for_the_owner(world: World) -> None:
    for user_id in (world.outsider.pk, UserFactory().pk, world.acme.pk):
        assert (
            outcome(
                lambda one=user_id: services.add_member(
                    person(world.owner), organization_id=world.acme.pk, user_id=one
                )
            )
            == "missing"
        )


def test_nobody_is_a_member_twice(world: World) -> None:
    with pytest.raises(ValidationError, match="member already") as refused:
        services.add_member(person(world.owner), organization_id=world.acme.pk, user_id=world.member.pk)
    assert [error.code for error in refused.value.error_dict["user"]] == ["unique"]


def test_a_domain_that_is_not_allowed_keeps_people_out(world: World, friend: OrgMembership) -> None:
    owner = person(world.owner)
    services.update_organization_setting(
        owner, world.acme.setting, {"allowed_email_domains": ["Elsewhere.example"]}
    )

    with pytest.raises(ValidationError, match="e-mail domain") as refused:
        services.add_member(owner, organization_id=world.acme.pk, user_id=friend.user_id)
    assert fields_of(refused.value) == {"user"}


# who, whose membership, the new role -> what comes of it
CHANGED = [
    ("owner", "member", "ADMIN", "ok"),
    ("owner", "admin", "OWNER", "ok"),
    ("owner", "owner", "MEMBER", "invalid"),
    ("admin", "member", "ADMIN", "ok"),
    ("admin", "member", "OWNER", "role"),
    ("admin", "owner", "MEMBER", "role"),
    ("admin", "admin", "MEMBER", "ok"),
    ("admin", "member", "BOSS", "invalid"),
    ("member", "member", "ADMIN", "role"),
    ("auditor", "member", "AUDITOR", "role"),
    ("outsider", "member", "ADMIN", "missing"),
    ("both", "both", "OWNER", "role"),
    ("api token", "member", "AUDITOR", "role"),
    ("owner token", "member", "ADMIN", "ok"),
]


@pytest.mark.parametrize(("who", "whose", "role", "expected"), CHANGED)
def test_a_role_is_changed_up_to_ones_own_rank(
    world: World, who: str, whose: str, role: str, expected: str
) -> None:
    one = membership(world, whose)
    before = one.role

    assert outcome(lambda: services.change_role(acting(world, who), one, role)) == expected
    assert membership(world, whose).role == (role if expected == "ok" else before)


def test_the_same_role_again_is_no_event(world: World) -> None:
    assert told(lambda: services.change_role(SETUP, membership(world, "admin"), "ADMIN")) == []


REMOVED = [
    ("owner", "admin", "ok"),
    ("owner", "owner", "invalid"),
    ("admin", "member", "ok"),
    ("admin", "owner", "role"),
    ("member", "auditor", "role"),
    ("auditor", "member", "role"),
    ("outsider", "member", "missing"),
    ("both", "member", "role"),
    ("api token", "member", "role"),
    ("admin token", "both", "ok"),
]


@pytest.mark.parametrize(("who", "whose", "expected"), REMOVED)
def test_a_member_is_removed_up_to_ones_own_rank(world: World, who: str, whose: str, expected: str) -> None:
    one = membership(world, whose)

    assert outcome(lambda: services.remove_member(acting(world, who), one)) == expected
    assert OrgMembership.objects.filter(pk=one.pk).exists() == (expected != "ok")


def test_what_is_known_of_a_membership_is_read_anew_before_it_ends(world: World) -> None:
    """Seen as a member, promoted meanwhile to the only owner there is."""
    seen = membership(world, "member")
    services.transfer_ownership(person(world.owner), world.acme, membership(world, "member"))

    assert outcome(lambda: services.remove_member(SETUP, seen)) == "invalid"
    assert outcome(lambda: services.remove_member(person(world.admin), seen)) == "role"


def test_whoever_was_removed_meanwhile_is_not_there(world: World) -> None:
    first, second = membership(world, "member"), membership(world, "member")
    services.remove_member(SETUP, first)

    assert outcome(lambda: services.remove_member(SETUP, second)) == "missing"
    assert outcome(lambda: services.change_role(SETUP, membership(world, "admin"), "ADMIN")) == "ok"
