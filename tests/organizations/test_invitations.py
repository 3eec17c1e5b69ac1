"""People are invited by mail and join by its link, once, in time, under their own address, and with no more
than whoever invited them may give.
"""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from organizations import invitations, services
from organizations.access import Unauthorized, command, operator
from organizations.invitations import InvitationClosed, InvitationForOthers
from organizations.models import Group, Invite, InviteStatus, OrgMembership, Role
from tests import traces
from tests.admin.conftest import Desk
from tests.conftest import World
from tests.factories import SETUP, UserFactory, make_api_token, make_organization, make_personal_token
from tests.organizations.mailbox import committed, letters, link_secret
from tests.organizations.people import SIX, acting, fields_of, holder_of, outcome, told
from tokens.authentication import person


def invite(world: World, who: str = "owner", recipient: str = "new@example.org", **asked: Any) -> Invite:
    given = {"organization_id": world.acme.pk, "recipient": recipient, **asked}
    return committed(lambda: invitations.invite(acting(world, who), **given))


def invited(world: World, user: User, **asked: Any) -> str:
    """Invite somebody who has an account; the secret of the link they got."""
    invite(world, recipient=user.email, **asked)
    return link_secret()


def role_of(user: User, world: World) -> str | None:
    return (
        OrgMembership.objects.filter(user=user, organization=world.acme)
        .values_list("role", flat=True)
        .first()
    )


def group(world: World, *scopes: str, name: str = "reviewers") -> Group:
    return services.create_group(SETUP, organization_id=world.acme.pk, name=name, scopes=scopes)


# --- who invites -----------------------------------------------------------------------------------

INVITED = [
    ("owner", "OWNER", "ok"),
    ("owner", "MEMBER", "ok"),
    ("owner token", "ADMIN", "ok"),
    ("admin", "ADMIN", "ok"),
    ("admin", "OWNER", "role"),
    ("admin token", "OWNER", "role"),
    ("member", "MEMBER", "role"),
    ("member token", "MEMBER", "role"),
    ("auditor", "MEMBER", "role"),
    ("both", "MEMBER", "role"),
    ("outsider", "MEMBER", "missing"),
    ("outsider token", "MEMBER", "missing"),
    ("api token", "MEMBER", "role"),
    ("owner", "SUPER_ADMIN", "invalid"),
]


@pytest.mark.parametrize(("who", "role", "expected"), INVITED)
def test_somebody_is_invited_up_to_ones_own_rank(world: World, who: str, role: str, expected: str) -> None:
    principal, count = acting(world, who), Event.objects.count()

    came = outcome(
        lambda: committed(
            lambda: invitations.invite(
                principal, organization_id=world.acme.pk, recipient="New@Example.org", role=role
            )
        )
    )

    assert came == expected
    happened = 1 if expected == "ok" else 0
    assert (Invite.objects.count(), len(letters()), Event.objects.count() - count) == (happened,) * 3
    for one in Invite.objects.all():
        assert (one.recipient, one.role, one.status) == ("new@example.org", role, "INVITATION_SENT")
        assert (one.send_attempts, one.requestor_id) == (1, principal.id)


def test_a_token_invites_within_its_scopes(world: World) -> None:
    for scopes, expected in (
        (("read:members",), "scope"),
        (("admin:members",), "ok"),
        (("admin:groups",), "scope"),
    ):
        principal = holder_of(make_personal_token(world.owner, *scopes))
        act = lambda one=principal: invitations.invite(  # noqa: E731
            one, organization_id=world.acme.pk, recipient="new@example.org"
        )
        assert outcome(act) == expected


@pytest.mark.parametrize("who", SIX)
def test_members_see_their_own_organizations_invitations(world: World, who: str) -> None:
    invite(world)
    visible = Invite.objects.visible_to(acting(world, who))
    assert visible.exists() == (who != "outsider")


# --- what is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"recipient": "nonsense"}, "recipient"),
        ({"recipient": "a@example.org\nBcc: b@example.org"}, "recipient"),
        ({"recipient": ""}, "recipient"),
        ({"recipient": "member@example.org"}, "recipient"),
        ({"recipient": "MEMBER@example.org"}, "recipient"),
        ({"role": "owner"}, "role"),
        ({"expires": timezone.now() - timedelta(minutes=1)}, "expires"),
        ({"expires": timezone.now() + timedelta(days=8)}, "expires"),
    ],
)
def test_an_invitation_that_cannot_be_is_refused_at_its_field(
    world: World, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        invite(world, **asked)
    assert fields_of(refused.value) == {field}
    assert (Invite.objects.count(), letters()) == (0, [])


def test_an_address_is_invited_once_at_a_time_and_anew_when_that_is_over(world: World) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=8), tick=False):
        invite(world)
    assert told(lambda: invite(world, recipient="NEW@example.org")) == ["invite.expired", "invite.created"]

    with pytest.raises(ValidationError, match="invited already") as refused:
        invite(world)
    assert [error.code for error in refused.value.error_dict["recipient"]] == ["unique"]
    assert sorted(Invite.objects.values_list("status", flat=True)) == [
        "INVITATION_EXPIRED",
        "INVITATION_SENT",
    ]


def test_the_database_itself_knows_no_second_pending_invitation(world: World) -> None:
    one = invite(world)
    with pytest.raises(IntegrityError, match=r"invite_is_pending_once|UNIQUE"), transaction.atomic():
        Invite.objects.create(owner=world.acme, recipient=one.recipient, digest=b"other")


def test_a_domain_that_is_not_allowed_is_not_invited_and_does_not_join_later(world: World) -> None:
    secret = invited(world, world.outsider)
    services.update_organization_setting(
        person(world.owner), world.acme.setting, {"allowed_email_domains": ["acme.example"]}
    )

    with pytest.raises(ValidationError, match="domain"):
        invite(world, recipient="a@sub.acme.example")
    assert outcome(lambda: invitations.accept(person(world.outsider), secret)) == "invalid"
    assert invite(world, recipient="a@ACME.example").recipient == "a@acme.example"


def test_many_are_invited_or_none(world: World) -> None:
    def ask(*recipients: str) -> list[dict[str, Any]]:
        return [{"organization_id": world.acme.pk, "recipient": one} for one in recipients]

    owner = person(world.owner)
    with pytest.raises(ValidationError):
        committed(
            lambda: invitations.invite_many(owner, ask("a@example.org", "b@example.org", "a@example.org"))
        )
    assert (Invite.objects.count(), letters()) == (0, [])
    with pytest.raises(ValidationError, match="at most 100"):
        invitations.invite_many(owner, ask(*(f"{n}@example.org" for n in range(101))))

    made = committed(lambda: invitations.invite_many(owner, ask("a@example.org", "b@example.org")))
    assert [one.recipient for one in made] == ["a@example.org", "b@example.org"]
    assert [letter.to for letter in letters()] == [["a@example.org"], ["b@example.org"]]


def test_groups_of_the_same_organization_come_with_an_invitation(world: World) -> None:
    foreign = services.create_group(SETUP, organization_id=world.globex.pk, name="foreign")
    ours = group(world, "read:events")

    assert outcome(lambda: invite(world, group_ids=[foreign.pk])) == "missing"
    assert outcome(lambda: invite(world, group_ids=[ours.pk, foreign.pk])) == "missing"
    assert [one.name for one in invite(world, group_ids=[ours.pk]).groups.all()] == ["reviewers"]


def test_who_may_add_members_alone_gives_no_group_away(world: World) -> None:
    powerful = group(world, "admin")
    group_of_recruiters = group(world, "admin:members", name="recruiters")
    services.add_to_group(SETUP, group_of_recruiters, world.member.pk)

    assert outcome(lambda: invite(world, "member", "a@example.org")) == "ok"
    assert outcome(lambda: invite(world, "member", "b@example.org", group_ids=[powerful.pk])) == "role"


# --- the mail --------------------------------------------------------------------------------------


def test_the_mail_says_who_invites_where_as_what_and_until_when(world: World, settings: Any) -> None:
    settings.PUBLIC_URL = "https://tollgate.example"
    with time_machine.travel("2026-11-20T10:00:00Z", tick=False):
        invite(world, "admin", role=Role.AUDITOR)

    (letter,) = letters()
    assert (letter.subject, letter.to) == ("Join acme on Tollgate", ["new@example.org"])
    assert letter.extra_headers["Auto-Submitted"] == "auto-generated"
    html, kind = letter.alternatives[0]
    assert kind == "text/html"
    for text in (letter.body, html):
        assert "Admin Example (admin@example.org) invites you to join" in text
        assert "auditor" in text
        assert "27 November 2026, 10:00 UTC" in text
        assert f"https://tollgate.example/invite/{link_secret(letter)}/" in text


def test_names_cannot_write_into_the_mail(world: World) -> None:
    services.update_organization(
        person(world.owner), world.acme, {"display_name": '<img src=x onerror="a()"> & "co"'}
    )
    invite(world)

    (letter,) = letters()
    assert letter.subject == 'Join <img src=x onerror="a()"> & "co" on Tollgate'
    assert "<img" not in letter.alternatives[0][0]
    assert '& "co"' in letter.body


def test_nothing_is_mailed_when_the_invitation_is_rolled_back(world: World) -> None:
    def act() -> None:
        with transaction.atomic():
            invitations.invite(person(world.owner), organization_id=world.acme.pk, recipient="a@example.org")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        committed(act)
    assert letters() == []


def test_a_mail_server_that_fails_leaves_an_invitation_that_can_be_sent_again(
    world: World, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1
    one = invite(world)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    committed(lambda: invitations.resend(person(world.owner), one))

    assert len(letters()) == 1


def test_the_secret_of_the_link_is_only_in_the_mail(world: World) -> None:
    one = invite(world)
    secret = link_secret()

    assert secret not in str(vars(one))
    assert not any(secret in row for row in traces.rows())
    assert not secret.startswith(("tola_", "tolp_"))


# --- joining ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["MEMBER", "ADMIN", "AUDITOR", "OWNER"])
def test_whoever_was_invited_joins_with_role_and_groups_in_one_event(world: World, role: str) -> None:
    reviewers = group(world, "read:events")
    secret = invited(world, world.outsider, role=role, group_ids=[reviewers.pk])

    assert told(lambda: invitations.accept(person(world.outsider), secret)) == ["invite.accepted"]

    assert role_of(world.outsider, world) == role
    assert [one.user for one in reviewers.members.all()] == [world.outsider]
    event = Event.objects.latest("id")
    assert event.changes == {"role": role, "groups": ["reviewers"]}
    assert (event.subject_id, event.organization_id) == (world.outsider.pk, world.acme.pk)
    assert Invite.objects.get().status == InviteStatus.INVITATION_ACCEPTED


def test_an_invitation_is_good_once(world: World) -> None:
    secret = invited(world, world.outsider)
    invitations.accept(person(world.outsider), secret)
    services.leave(person(world.outsider), world.acme)

    with pytest.raises(InvitationClosed, match="accepted already"):
        invitations.accept(person(world.outsider), secret)
    assert role_of(world.outsider, world) is None


def test_an_invitation_ends_at_the_second_it_says(world: World) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        secret = invited(world, world.outsider)
    with time_machine.travel(start + timedelta(days=7), tick=False):
        with pytest.raises(InvitationClosed, match="expired"):
            invitations.accept(person(world.outsider), secret)
        assert Invite.objects.get().status == InviteStatus.INVITATION_SENT
        call_command("expireinvitations")
        assert Invite.objects.get().status == InviteStatus.INVITATION_EXPIRED
    with (
        time_machine.travel(start + timedelta(days=6, hours=23), tick=False),
        pytest.raises(InvitationClosed, match="expired"),
    ):
        invitations.accept(person(world.outsider), secret)


def test_an_invitation_works_until_then(world: World) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=6, hours=23), tick=False):
        secret = invited(world, world.outsider)
    invitations.accept(person(world.outsider), secret)
    assert role_of(world.outsider, world) == "MEMBER"


def test_an_invitation_is_for_its_address_alone(world: World) -> None:
    secret = invited(world, world.outsider)
    for other in (UserFactory(email="other@example.org"), world.member):
        with pytest.raises(InvitationForOthers):
            invitations.accept(person(other), secret)
    assert Invite.objects.get().status == InviteStatus.INVITATION_SENT


def test_only_a_session_joins(world: World) -> None:
    secret = invited(world, world.outsider)
    for principal in (
        holder_of(make_personal_token(world.outsider)),
        holder_of(make_api_token(world.acme, "admin")),
        operator(world.outsider),
        command("accept"),
    ):
        with pytest.raises(Unauthorized):
            invitations.accept(principal, secret)
    assert role_of(world.outsider, world) is None


def test_unknown_withdrawn_and_orphaned_links_are_not_there(world: World) -> None:
    secret = invited(world, world.outsider)
    for guess in ("", "x", secret[:-1], secret + "a", "\0", "é" * 50):
        with pytest.raises(Invite.DoesNotExist):
            invitations.opened(guess)
    services.delete_organization(person(world.owner), world.acme)
    with pytest.raises(Invite.DoesNotExist):
        invitations.opened(secret)


def test_somebody_who_became_a_member_meanwhile_stays_as_they_are(world: World) -> None:
    secret = invited(world, world.outsider, role="ADMIN")
    services.add_member(SETUP, organization_id=world.acme.pk, user_id=world.outsider.pk)

    assert outcome(lambda: invitations.accept(person(world.outsider), secret)) == "invalid"
    assert role_of(world.outsider, world) == "MEMBER"


def test_a_link_outlives_the_rotation_of_the_key_that_made_it(world: World, settings: Any) -> None:
    secret = invited(world, world.outsider)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    assert invitations.opened(secret).recipient == "outsider@example.org"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(Invite.DoesNotExist):
        invitations.opened(secret)


# --- whoever invited vouches -----------------------------------------------------------------------


def demote(world: World) -> None:
    services.change_role(
        SETUP, OrgMembership.objects.get(user=world.admin, organization=world.acme), "MEMBER"
    )


def remove(world: World) -> None:
    services.remove_member(SETUP, OrgMembership.objects.get(user=world.admin, organization=world.acme))


def deactivate(world: World) -> None:
    User.objects.filter(pk=world.admin.pk).update(is_active=False)


@pytest.mark.parametrize("lose", [demote, remove, deactivate])
def test_what_the_inviter_may_no_longer_give_the_invitation_no_longer_gives(world: World, lose: Any) -> None:
    invite(world, "admin", world.outsider.email, role="ADMIN")
    secret = link_secret()
    lose(world)

    with pytest.raises(InvitationClosed, match="no longer"):
        invitations.accept(person(world.outsider), secret)
    assert role_of(world.outsider, world) is None

    committed(lambda: invitations.resend(person(world.owner), Invite.objects.get()))
    invitations.accept(person(world.outsider), link_secret())
    assert role_of(world.outsider, world) == "ADMIN"


def test_a_group_that_became_more_powerful_is_not_joined_on_an_old_word(world: World) -> None:
    harmless = group(world)
    recruiters = group(world, "admin:members", "admin:groups", name="recruiters")
    services.add_to_group(SETUP, recruiters, world.member.pk)
    invite(world, "member", world.outsider.email, group_ids=[harmless.pk])
    services.update_group(SETUP, harmless, {"scopes": ["admin"]})

    assert outcome(lambda: invitations.accept(person(world.outsider), link_secret())) == "invalid"
    assert not harmless.members.exists()


def test_an_operators_invitation_needs_nobody_in_the_organization(world: World) -> None:
    root = UserFactory(email="root@example.org", is_staff=True, is_superuser=True)
    committed(
        lambda: invitations.invite(
            operator(root), organization_id=world.acme.pk, recipient=world.outsider.email, role="OWNER"
        )
    )
    assert "You are invited to join acme as owner" in letters()[0].body
    assert Invite.objects.get().requestor_id is None

    invitations.accept(person(world.outsider), link_secret())
    assert role_of(world.outsider, world) == "OWNER"


# --- handing over ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "expected"), [("owner", "ok"), ("admin", "role"), ("api token", "role")])
def test_only_an_owner_offers_the_organization_itself(world: World, who: str, expected: str) -> None:
    assert outcome(lambda: invite(world, who, ownership_transfer=True)) == expected


def test_whoever_accepts_the_organization_owns_it_and_the_former_owner_is_an_admin(world: World) -> None:
    secret = invited(world, world.outsider, ownership_transfer=True)
    assert "you become its owner" in letters()[0].body

    invitations.accept(person(world.outsider), secret)

    assert (role_of(world.outsider, world), role_of(world.owner, world)) == ("OWNER", "ADMIN")
    assert Event.objects.latest("id").changes["owner"] == ["owner@example.org", "outsider@example.org"]


def test_an_organization_handed_over_meanwhile_is_not_handed_over_again(world: World) -> None:
    secret = invited(world, world.outsider, ownership_transfer=True)
    heir = OrgMembership.objects.get(user=world.member, organization=world.acme)
    services.transfer_ownership(person(world.owner), world.acme, heir)

    assert outcome(lambda: invitations.accept(person(world.outsider), secret)) == "invalid"
    assert (role_of(world.outsider, world), role_of(world.member, world)) == (None, "OWNER")


# --- sending again, changing, withdrawing ----------------------------------------------------------


def test_a_new_link_ends_the_former_and_counts(world: World) -> None:
    one, former = invite(world, recipient=world.outsider.email), link_secret()
    assert told(lambda: committed(lambda: invitations.resend(person(world.admin), one))) == ["invite.resent"]

    with pytest.raises(Invite.DoesNotExist):
        invitations.opened(former)
    assert invitations.opened(link_secret()).send_attempts == 2
    assert Event.objects.latest("id").changes == {"send_attempts": [1, 2]}


def test_an_invitation_is_mailed_five_times_at_most(world: World) -> None:
    one = invite(world)
    for _ in range(4):
        committed(lambda: invitations.resend(person(world.owner), one))
    with pytest.raises(ValidationError, match="5 times") as refused:
        invitations.resend(person(world.owner), one)
    assert (fields_of(refused.value), len(letters())) == ({"send_attempts"}, 5)
    assert Invite.objects.get().send_attempts == 5


def test_an_expired_invitation_lives_again_when_it_is_sent_again(world: World) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=9), tick=False):
        one = invite(world, recipient=world.outsider.email)
    call_command("expireinvitations")
    committed(lambda: invitations.resend(person(world.owner), one))

    invitations.accept(person(world.outsider), link_secret())
    assert role_of(world.outsider, world) == "MEMBER"


def test_what_was_accepted_is_neither_sent_nor_changed_again(world: World) -> None:
    invitations.accept(person(world.outsider), invited(world, world.outsider))
    one = Invite.objects.get()

    assert outcome(lambda: invitations.resend(person(world.owner), one)) == "invalid"
    assert outcome(lambda: invitations.update_invitation(SETUP, one, {"role": "ADMIN"})) == "invalid"


MANAGED = dict.fromkeys(SIX, "role") | {"owner": "ok", "admin": "ok", "outsider": "missing"}
MANAGED |= {f"{who} token": came for who, came in MANAGED.items()} | {"api token": "role"}


@pytest.mark.parametrize("who", MANAGED)
def test_who_may_invite_may_send_change_and_withdraw(world: World, who: str) -> None:
    one, principal = invite(world), acting(world, who)
    for act in (
        lambda: invitations.resend(principal, one),
        lambda: invitations.update_invitation(principal, one, {"role": "AUDITOR"}),
        lambda: invitations.withdraw(principal, one),
    ):
        assert outcome(act) == MANAGED[who]
    assert Invite.objects.exists() == (MANAGED[who] != "ok")


def test_an_admin_leaves_an_owners_invitation_of_an_owner_alone(world: World) -> None:
    one, admin = invite(world, role="OWNER"), person(world.admin)
    for act in (
        lambda: invitations.resend(admin, one),
        lambda: invitations.update_invitation(admin, one, {"role": "MEMBER"}),
        lambda: invitations.withdraw(admin, one),
    ):
        assert outcome(act) == "role"


def test_role_and_groups_of_an_invitation_are_changed_and_told(world: World) -> None:
    first, second = group(world, name="first"), group(world, name="second")
    one = invite(world, group_ids=[first.pk])
    changes = {"role": "AUDITOR", "add_group_ids": [second.pk], "remove_group_ids": [first.pk]}

    assert told(lambda: invitations.update_invitation(person(world.owner), one, changes)) == [
        "invite.updated"
    ]

    assert Event.objects.latest("id").changes == {
        "role": ["MEMBER", "AUDITOR"],
        "groups": [["first"], ["second"]],
    }
    assert [one.name for one in Invite.objects.get().groups.all()] == ["second"]


@pytest.mark.parametrize(
    "name", ["status", "expires", "send_attempts", "owner_id", "recipient", "digest", "ownership_transfer"]
)
def test_what_the_server_owns_is_nobodys_to_change(world: World, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        invitations.update_invitation(person(world.owner), invite(world), {name: None})
    assert fields_of(refused.value) == {name}


def test_an_offer_of_the_organization_is_not_turned_into_another_role(world: World) -> None:
    one = invite(world, ownership_transfer=True)
    assert (
        outcome(lambda: invitations.update_invitation(person(world.owner), one, {"role": "MEMBER"}))
        == "invalid"
    )


def test_a_withdrawn_invitation_is_told_and_frees_the_address(world: World) -> None:
    one = invite(world)
    assert told(lambda: invitations.withdraw(person(world.admin), one)) == ["invite.deleted"]
    assert Event.objects.latest("id").target_label == "new@example.org to acme"
    assert invite(world).status == "INVITATION_SENT"


def test_only_a_command_marks_all_that_are_over(world: World) -> None:
    for who in ("owner", "api token"):
        assert outcome(lambda one=who: invitations.expire_invitations(acting(world, one))) != "ok"
    assert invitations.expire_invitations(command("expireinvitations")) == 0


def test_an_invitation_of_one_organization_says_nothing_of_another(world: World) -> None:
    other = make_organization("initech", world.owner)
    invite(world)
    committed(
        lambda: invitations.invite(person(world.owner), organization_id=other.pk, recipient="new@example.org")
    )
    assert {letter.subject for letter in mail.outbox} == {"Join acme on Tollgate", "Join initech on Tollgate"}


def test_operators_invite_and_withdraw_in_the_admin(world: World) -> None:
    desk = Desk(UserFactory(email="root@example.org", is_staff=True, is_superuser=True))
    given = {"owner": str(world.acme.pk), "recipient": "New@example.org", "role": "OWNER"}
    committed(lambda: desk.submit("organizations_invite_add", **given))
    one = Invite.objects.get()
    assert (one.recipient, one.role, len(letters())) == ("new@example.org", "OWNER", 1)
    assert "invited already" in desk.submit("organizations_invite_add", **given).text

    shown = desk.get("organizations_invite_change", one.pk).text
    assert "INVITATION_SENT" in shown or "Invitation Sent" in shown
    assert link_secret() not in shown
    assert desk.post("organizations_invite_change", one.pk, role="ADMIN").status_code == 403
    desk.post("organizations_invite_delete", one.pk, post="yes")
    assert Event.objects.latest("id").action == "invite.deleted"
    assert not Invite.objects.exists()
