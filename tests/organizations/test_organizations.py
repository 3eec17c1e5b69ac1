"""Organizations are founded, changed, handed over, left and closed: by whom, and with one event each."""

import pytest
from django.core.exceptions import ValidationError

from accounts.models import User
from audit.models import Event
from organizations import services
from organizations.access import InsufficientScopes, Unauthorized
from organizations.models import Organization, OrganizationSetting, OrgMembership, Role
from tests.conftest import World
from tests.factories import SETUP, join, make_api_token, make_personal_token
from tests.organizations.people import SIX, acting, fields_of, holder_of, outcome, told
from tokens.authentication import person

ALL = (*SIX, *(f"{name} token" for name in SIX), "api token")


def roles(organization: Organization) -> dict[str, str]:
    return {one.user.email.partition("@")[0]: one.role for one in organization.members.select_related("user")}


# --- founding --------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", SIX)
def test_whoever_founds_an_organization_owns_it(world: World, who: str) -> None:
    principal = acting(world, who)

    organization = services.create_organization(principal, name="initech", tags=["new"], personal_org=True)

    assert roles(organization) == {who: "OWNER"}
    assert (organization.display_name, organization.tags, organization.personal_org) == (
        "initech",
        ["new"],
        True,
    )
    assert organization.setting.created_by == str(getattr(world, who).pk)


def test_founding_is_one_event_that_names_the_first_people(world: World) -> None:
    act = services.create_organization
    before = Event.objects.count()

    act(person(world.owner), name="initech", members=[(world.member.pk, "ADMIN"), (world.both.pk, "MEMBER")])

    event = Event.objects.order_by("id")[before:].get()
    assert (event.action, event.changes["members"]) == (
        "organization.created",
        {"owner@example.org": "OWNER", "member@example.org": "ADMIN", "both@example.org": "MEMBER"},
    )


def test_nobody_is_put_into_an_organization_by_somebody_who_does_not_see_them(world: World) -> None:
    with pytest.raises(User.DoesNotExist):
        services.create_organization(
            person(world.owner), name="initech", members=[(world.outsider.pk, "MEMBER")]
        )
    assert not Organization.objects.filter(name="initech").exists()


def test_the_founder_acts_in_the_new_organization_once_joined(world: World) -> None:
    principal = person(world.owner)
    organization = services.create_organization(principal, name="initech")
    visible = Organization.objects.visible_to

    assert organization not in visible(principal)
    assert organization in visible(principal.joined(organization, Role.OWNER))


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ([], "ok"),
        (["write:organization"], "ok"),
        (["admin"], "ok"),
        (["read"], "scope"),
        (["admin:tokens"], "scope"),
    ],
)
def test_a_personal_token_founds_within_its_scopes(world: World, scopes: list[str], expected: str) -> None:
    principal = holder_of(make_personal_token(world.member, *scopes))

    assert outcome(lambda: services.create_organization(principal, name="initech")) == expected
    assert Organization.objects.filter(name="initech").exists() == (expected == "ok")


def test_neither_an_api_token_nor_a_bound_token_founds_an_organization(world: World) -> None:
    bound = make_personal_token(world.both, organizations=[world.acme.pk])
    for token in (make_api_token(world.acme, "admin"), bound):
        with pytest.raises(Unauthorized):
            services.create_organization(holder_of(token), name="initech")


def test_a_child_is_founded_by_who_administers_its_parent(world: World) -> None:
    def found(who: str) -> str:
        return outcome(
            lambda: services.create_organization(
                acting(world, who), name=f"of {who}", parent_id=world.acme.pk
            )
        )

    assert {who: found(who) for who in SIX} == {
        "owner": "ok",
        "admin": "ok",
        "member": "role",
        "auditor": "role",
        "outsider": "missing",
        "both": "role",
    }
    assert {child.name for child in world.acme.children.all()} == {"of owner", "of admin"}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "ACME"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 161}, "name"),
        ({"name": "initech", "description": "a\0b"}, "description"),
        ({"name": "initech", "tags": [1]}, "tags"),
    ],
)
def test_an_organization_that_cannot_be_is_refused_at_its_field(
    world: World, given: dict, field: str
) -> None:
    count = Event.objects.count()

    with pytest.raises(ValidationError) as refused:
        services.create_organization(person(world.owner), **given)

    assert field in fields_of(refused.value)
    assert (Organization.objects.count(), Event.objects.count()) == (2, count)


def test_a_name_in_use_exists_already_as_far_as_codes_go(world: World) -> None:
    with pytest.raises(ValidationError) as refused:
        services.create_organization(person(world.owner), name="Acme")

    assert [error.code for error in refused.value.error_dict["name"]] == ["unique"]


def test_every_organization_has_settings(world: World) -> None:
    assert OrganizationSetting.objects.count() == Organization.objects.count() == 2


# --- changing --------------------------------------------------------------------------------------

CHANGED = dict.fromkeys(ALL, "missing") | {
    "owner": "ok",
    "admin": "ok",
    "owner token": "ok",
    "admin token": "ok",
    "api token": "ok",
    **dict.fromkeys(["member", "auditor", "both", "member token", "auditor token", "both token"], "role"),
}


@pytest.mark.parametrize("who", ALL)
def test_owners_and_admins_describe_the_organization(world: World, who: str) -> None:
    act = lambda: services.update_organization(acting(world, who), world.acme, {"description": who})  # noqa: E731

    assert outcome(act) == CHANGED[who]
    world.acme.refresh_from_db()
    assert world.acme.description == (who if CHANGED[who] == "ok" else None)


@pytest.mark.parametrize("name", ["deleted_at", "personal_org", "parent_id", "created_by", "id"])
def test_what_the_server_owns_is_nobodys_to_change(world: World, name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        services.update_organization(person(world.owner), world.acme, {name: None})
    assert fields_of(refused.value) == {name}


def test_the_owner_alone_closes_the_organization(world: World) -> None:
    closed = {
        who: outcome(lambda who=who: services.delete_organization(acting(world, who), world.acme))
        for who in (*SIX[1:], "api token", "owner")
    }

    assert closed == {
        "admin": "role",
        "member": "role",
        "auditor": "role",
        "outsider": "missing",
        "both": "role",
        "api token": "role",
        "owner": "ok",
    }


def test_a_closed_organization_can_no_longer_be_changed(world: World) -> None:
    stale = person(world.owner)
    membership = OrgMembership.objects.get(organization=world.acme, user=world.member)
    services.delete_organization(stale, world.acme)

    for act in (
        lambda: services.update_organization(stale, world.acme, {"name": "back"}),
        lambda: services.update_organization_setting(stale, world.acme.setting, {"tags": ["x"]}),
        lambda: services.add_member(stale, organization_id=world.acme.pk, user_id=world.both.pk),
        lambda: services.change_role(stale, membership, Role.ADMIN),
        lambda: services.create_group(stale, organization_id=world.acme.pk, name="late"),
        lambda: services.leave(stale, world.acme),
    ):
        assert outcome(act) == "missing"


# --- handing over ----------------------------------------------------------------------------------


def heir(world: World, name: str = "member") -> OrgMembership:
    return OrgMembership.objects.get(organization=world.acme, user=getattr(world, name))


def test_an_owner_hands_over_and_stays_as_admin(world: World) -> None:
    given = told(lambda: services.transfer_ownership(person(world.owner), world.acme, heir(world)))

    assert given == ["organization.transferred"]
    assert (roles(world.acme)["owner"], roles(world.acme)["member"]) == ("ADMIN", "OWNER")
    event = Event.objects.latest("id")
    assert event.changes == {"owner": ["owner@example.org", "member@example.org"]}
    assert event.organization_id == world.acme.pk


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("owner", "ok"),
        ("owner token", "ok"),
        ("admin", "role"),
        ("member", "role"),
        ("auditor", "role"),
        ("both", "role"),
        ("outsider", "missing"),
        ("api token", "role"),
    ],
)
def test_nobody_but_an_owner_hands_over(world: World, who: str, expected: str) -> None:
    act = lambda: services.transfer_ownership(acting(world, who), world.acme, heir(world))  # noqa: E731
    assert outcome(act) == expected


def test_nothing_is_handed_to_oneself_to_strangers_or_to_the_deactivated(world: World) -> None:
    owner = person(world.owner)
    stranger = OrgMembership.objects.get(organization=world.globex, user=world.outsider)
    User.objects.filter(pk=world.auditor.pk).update(is_active=False)

    for membership, expected in (
        (heir(world, "owner"), "invalid"),
        (heir(world, "auditor"), "invalid"),
        (stranger, "missing"),
    ):
        assert outcome(lambda one=membership: services.transfer_ownership(owner, world.acme, one)) == expected
    assert roles(world.acme)["owner"] == "OWNER"


def test_a_former_owner_with_an_old_principal_hands_nothing_over(world: World) -> None:
    stale = person(world.owner)
    services.transfer_ownership(stale, world.acme, heir(world))

    with pytest.raises(Unauthorized):
        services.transfer_ownership(stale, world.acme, heir(world, "auditor"))


# --- leaving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["admin", "member", "auditor", "both"])
def test_a_member_leaves(world: World, who: str) -> None:
    assert told(lambda: services.leave(person(getattr(world, who)), world.acme)) == ["member.left"]
    assert who not in roles(world.acme)
    assert world.globex.members.count() == 2


@pytest.mark.parametrize(
    ("who", "expected"), [("owner", "invalid"), ("outsider", "missing"), ("api token", "role")]
)
def test_the_last_owner_strangers_and_api_tokens_do_not_leave(world: World, who: str, expected: str) -> None:
    assert outcome(lambda: services.leave(acting(world, who), world.acme)) == expected
    assert len(roles(world.acme)) == 5


def test_an_owner_leaves_when_another_one_stays_who_can_log_in(world: World) -> None:
    join(second := world.outsider, world.acme, Role.OWNER)
    User.objects.filter(pk=second.pk).update(is_active=False)
    assert outcome(lambda: services.leave(person(world.owner), world.acme)) == "invalid"

    User.objects.filter(pk=second.pk).update(is_active=True)
    services.leave(person(world.owner), world.acme)
    assert "owner" not in roles(world.acme)


def test_a_token_leaves_only_within_its_scopes_and_organizations(world: World) -> None:
    narrow = make_personal_token(world.both, "read")
    bound = make_personal_token(world.both, organizations=[world.globex.pk])

    with pytest.raises(InsufficientScopes):
        services.leave(holder_of(narrow), world.acme)
    with pytest.raises(Organization.DoesNotExist):
        services.leave(holder_of(bound), world.acme)
    services.leave(holder_of(bound), world.globex)
    assert roles(world.acme)["both"] == "MEMBER"


def test_an_operator_neither_leaves_nor_hands_over(world: World) -> None:
    assert outcome(lambda: services.leave(SETUP, world.acme)) == "role"
    assert outcome(lambda: services.transfer_ownership(SETUP, world.acme, heir(world))) == "role"


def test_a_token_of_who_left_loses_the_organization_at_once(world: World) -> None:
    token = make_personal_token(world.both)
    services.leave(person(world.both), world.acme)

    assert holder_of(token).organization_ids == (world.globex.pk,)
