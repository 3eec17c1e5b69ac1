"""Where two act at the same moment, on PostgreSQL: never without an owner, never in twice."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from accounts import services as accounts
from accounts.models import User
from audit.models import Event
from organizations import invitations, services
from organizations.models import Invite, Organization, OrgMembership, Role
from tests import races
from tests.conftest import World
from tests.factories import SETUP, join
from tests.organizations.mailbox import link_secret
from tokens.authentication import person

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer"),
    pytest.mark.django_db(transaction=True),
]
PASSWORD = "a staple battery horse"


@pytest.fixture
def together() -> Callable[..., list[str]]:
    """together(act, act, ...): what came of them."""
    return races.together


@pytest.fixture
def two_owners(world: World) -> list[OrgMembership]:
    join(world.outsider, world.acme, Role.OWNER)
    return list(world.acme.members.filter(role=Role.OWNER).select_related("user"))


def owners(world: World) -> int:
    return world.acme.members.filter(role=Role.OWNER).count()


def invite(world: World, recipient: str, **asked: Any) -> str:
    invitations.invite(person(world.owner), organization_id=world.acme.pk, recipient=recipient, **asked)
    return link_secret()


def test_two_owners_who_leave_at_once_leave_one(
    world: World, two_owners: list[OrgMembership], together: Callable[..., list[str]]
) -> None:
    principals = [person(one.user) for one in two_owners]
    came = together(*(lambda one=one: services.leave(one, world.acme) for one in principals))
    assert (came, owners(world)) == (["invalid", "ok"], 1)


def test_two_owners_who_demote_each_other_leave_one(
    world: World, two_owners: list[OrgMembership], together: Callable[..., list[str]]
) -> None:
    first, second = two_owners
    came = together(
        lambda: services.change_role(person(first.user), second, Role.MEMBER),
        lambda: services.change_role(person(second.user), first, Role.MEMBER),
    )
    assert owners(world) == 1
    assert came in (
        ["invalid", "ok"],
        ["ok", "role"],
    )  # who is demoted before asking for leave lacks the role


def test_two_owners_who_remove_each_other_leave_one(
    world: World, two_owners: list[OrgMembership], together: Callable[..., list[str]]
) -> None:
    principals = [person(one.user) for one in two_owners]
    came = together(
        lambda: services.remove_member(principals[0], two_owners[1]),
        lambda: services.remove_member(principals[1], two_owners[0]),
    )
    assert (came, owners(world)) == (["invalid", "ok"], 1)


def test_an_owner_who_hands_over_twice_at_once_hands_over_once(
    world: World, together: Callable[..., list[str]]
) -> None:
    principal = person(world.owner)
    heirs = list(world.acme.members.filter(user__in=[world.member, world.auditor]))
    came = together(
        *(lambda one=one: services.transfer_ownership(principal, world.acme, one) for one in heirs)
    )
    assert (came, owners(world)) == (["ok", "role"], 1)


def test_who_leaves_while_being_made_owner_leaves_no_organization_without_one(
    world: World, together: Callable[..., list[str]]
) -> None:
    principal, leaving = person(world.owner), person(world.member)
    heir = OrgMembership.objects.get(organization=world.acme, user=world.member)
    together(
        lambda: services.transfer_ownership(principal, world.acme, heir),
        lambda: services.leave(leaving, world.acme),
    )
    assert owners(world) == 1


def test_an_invitation_accepted_twice_at_once_is_accepted_once(
    world: World, together: Callable[..., list[str]]
) -> None:
    secret, principal = invite(world, world.outsider.email), person(world.outsider)
    came = together(*[lambda: invitations.accept(principal, secret)] * 3)

    assert came == ["invalid", "invalid", "ok"]
    assert world.acme.members.filter(user=world.outsider).count() == 1
    assert Event.objects.filter(action="invite.accepted").count() == 1


def test_a_link_opened_twice_at_once_makes_one_account(
    world: World, together: Callable[..., list[str]]
) -> None:
    secret = invite(world, "new@example.org")

    def accept() -> User:
        return accounts.accept_as_new_person(secret, first_name="Ne", last_name="W", password=PASSWORD)

    assert together(accept, accept, accept) == ["invalid", "invalid", "ok"]
    assert User.objects.get_queryset().filter(email="new@example.org").count() == 1
    assert Event.objects.filter(action__in=["user.created", "invite.accepted"]).count() == 2


def test_an_invitation_withdrawn_and_accepted_at_once_is_one_of_the_two(
    world: World, together: Callable[..., list[str]]
) -> None:
    secret, guest, owner = invite(world, world.outsider.email), person(world.outsider), person(world.owner)
    one = Invite.objects.get()
    together(lambda: invitations.accept(guest, secret), lambda: invitations.withdraw(owner, one))

    is_member = world.acme.members.filter(user=world.outsider).exists()
    assert Event.objects.filter(action="invite.accepted").exists() == is_member
    assert not Invite.objects.filter(status="INVITATION_SENT").exists()


def test_an_address_invited_twice_at_once_is_invited_once(
    world: World, together: Callable[..., list[str]]
) -> None:
    def ask(who: User) -> Callable[[], Any]:
        principal = person(who)
        return lambda: invitations.invite(
            principal, organization_id=world.acme.pk, recipient="new@example.org"
        )

    assert together(ask(world.owner), ask(world.admin)) == ["invalid", "ok"]
    assert (Invite.objects.count(), len(mail.outbox)) == (1, 1)


def test_nobody_joins_an_organization_that_is_closed_at_this_moment(
    world: World, together: Callable[..., list[str]]
) -> None:
    secret, guest, owner = invite(world, world.outsider.email), person(world.outsider), person(world.owner)
    together(
        lambda: invitations.accept(guest, secret), lambda: services.delete_organization(owner, world.acme)
    )
    actions = list(
        Event.objects.filter(action__in=["invite.accepted", "organization.deleted"])
        .order_by("id")
        .values_list("action", flat=True)
    )
    assert actions[-1] == "organization.deleted"


def test_a_name_taken_twice_at_once_is_taken_once(world: World, together: Callable[..., list[str]]) -> None:
    principals = [person(world.owner), person(world.outsider)]
    came = together(
        *(lambda one=one: services.create_organization(one, name="initech") for one in principals)
    )
    assert came in (["conflict", "ok"], ["invalid", "ok"])
    assert Organization.objects.filter(name="initech").count() == 1


def test_a_member_is_added_once(world: World, together: Callable[..., list[str]]) -> None:
    def add() -> OrgMembership:
        return services.add_member(SETUP, organization_id=world.acme.pk, user_id=world.outsider.pk)

    assert together(add, add) == ["invalid", "ok"]
