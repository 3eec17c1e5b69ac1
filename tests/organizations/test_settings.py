"""Settings of an organization: its members read them, its admins write them; one secret is told to nobody."""

import json
import pickle
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.checks import run_checks
from django.core.exceptions import FieldError, ValidationError
from django.core.management import CommandError, call_command
from django.db import connection

from audit.models import Event
from organizations import services
from organizations.checks import check_field_keys, check_ring_opens_secrets
from organizations.models import OrganizationSetting
from organizations.sealing import MASK, Sealed
from tests import traces
from tests.admin.conftest import Desk
from tests.conftest import World
from tests.factories import SETUP, UserFactory, make_api_token, make_personal_token
from tests.organizations.people import SIX, acting, fields_of, holder_of, outcome, told
from tokens.authentication import person

SECRET = "the client secret of the identity provider"
PROVIDER = {
    "identity_provider": "OKTA",
    "identity_provider_client_id": "client",
    "identity_provider_client_secret": SECRET,
    "oidc_discovery_endpoint": "https://id.example.org/.well-known/openid-configuration",
}


def setting_of(world: World) -> OrganizationSetting:
    return OrganizationSetting.objects.select_related("organization").get(organization=world.acme)


def change(world: World, **changes: Any) -> OrganizationSetting:
    return services.update_organization_setting(person(world.owner), setting_of(world), changes)


@pytest.fixture
def sealed(world: World) -> OrganizationSetting:
    return change(world, **PROVIDER)


# --- who -------------------------------------------------------------------------------------------

WRITES = dict.fromkeys(SIX, "role") | {"owner": "ok", "admin": "ok", "outsider": "missing"}
WRITES |= {f"{who} token": came for who, came in WRITES.items()} | {"api token": "ok"}


@pytest.mark.parametrize("who", WRITES)
def test_owners_and_admins_write(world: World, who: str) -> None:
    principal = acting(world, who)

    came = outcome(
        lambda: services.update_organization_setting(principal, setting_of(world), {"tags": [who]})
    )

    assert came == WRITES[who]
    assert setting_of(world).tags == ([who] if came == "ok" else [])


@pytest.mark.parametrize("who", SIX)
def test_members_read_the_settings_of_their_own_organizations(world: World, who: str) -> None:
    visible = OrganizationSetting.objects.visible_to(acting(world, who))

    expected = {"outsider": {"globex"}, "both": {"acme", "globex"}}.get(who, {"acme"})
    assert {one.organization.name for one in visible} == expected


def test_a_token_reads_them_with_the_scope_to_read_the_organization(world: World) -> None:
    visible = OrganizationSetting.objects.visible_to
    assert visible(holder_of(make_api_token(world.acme, "read:organization"))).exists()
    assert not visible(holder_of(make_api_token(world.acme, "read:tokens"))).exists()
    assert not visible(holder_of(make_personal_token(world.owner, "read:tasks"))).exists()


# --- what ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"allowed_email_domains": ["not a domain"]}, "allowed_email_domains"),
        ({"allowed_email_domains": ["@example.org"]}, "allowed_email_domains"),
        ({"allowed_email_domains": ["example.org"] * 101}, "allowed_email_domains"),
        ({"allowed_email_domains": "example.org"}, "allowed_email_domains"),
        ({"sso_exempt_domains": ["ex\nample.org"]}, "sso_exempt_domains"),
        ({"identity_provider": "MYSPACE"}, "identity_provider"),
        ({"oidc_discovery_endpoint": "http://id.example.org"}, "oidc_discovery_endpoint"),
        ({"oidc_discovery_endpoint": "javascript:alert(1)"}, "oidc_discovery_endpoint"),
        ({"identity_provider_client_secret": MASK}, "identity_provider_client_secret"),
        ({"identity_provider_client_secret": "x" * 1001}, "identity_provider_client_secret"),
        ({"identity_provider_client_secret": "a\nb"}, "identity_provider_client_secret"),
        ({"identity_provider_login_enforced": True}, "identity_provider_login_enforced"),
        ({"identity_provider_login_enforced": None}, "identity_provider_login_enforced"),
        ({"organization_id": None}, "organization_id"),
        ({"created_by": "me"}, "created_by"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(world: World, changes: dict[str, Any], field: str) -> None:
    count = Event.objects.count()
    with pytest.raises(ValidationError) as refused:
        change(world, **changes)
    assert fields_of(refused.value) == {field}
    assert Event.objects.count() == count


def test_domains_are_kept_in_lower_case_and_once(world: World) -> None:
    assert change(
        world, allowed_email_domains=["Example.ORG", "example.org", "a.example"]
    ).allowed_email_domains == ["example.org", "a.example"]


def test_login_is_enforced_once_the_provider_is_complete_and_cannot_be_taken_apart_then(
    world: World, sealed: OrganizationSetting
) -> None:
    assert change(world, identity_provider_login_enforced=True).identity_provider_login_enforced
    with pytest.raises(ValidationError):
        change(world, identity_provider_client_secret=None)
    with pytest.raises(ValidationError):
        change(world, identity_provider="NONE")


def test_a_change_is_one_event_that_says_what_changed(world: World) -> None:
    act = lambda: change(world, tags=["x"], multifactor_auth_enforced=True)  # noqa: E731
    assert told(act) == ["organization_setting.updated"]
    event = Event.objects.latest("id")
    assert event.changes == {"tags": [[], ["x"]], "multifactor_auth_enforced": [None, True]}
    assert (event.organization_id, event.target_label) == (world.acme.pk, "settings of acme")
    assert told(act) == []


# --- the secret ------------------------------------------------------------------------------------


def test_the_secret_is_stored_encrypted_and_can_be_revealed_by_name_alone(
    world: World, sealed: OrganizationSetting
) -> None:
    secret = setting_of(world).identity_provider_client_secret

    assert secret.reveal() == SECRET
    assert not any(SECRET in row for row in traces.rows())
    with connection.cursor() as cursor:
        cursor.execute("SELECT identity_provider_client_secret FROM organizations_organizationsetting")
        assert any(stored and stored.startswith("gAAAA") for (stored,) in cursor.fetchall())


def test_the_secret_is_in_no_text_made_of_the_settings(world: World, sealed: OrganizationSetting) -> None:
    for one in (sealed, setting_of(world)):
        secret = one.identity_provider_client_secret
        texts = [
            *(str(secret), repr(secret), f"{secret}", f"{vars(one)}", repr(one)),
            serializers.serialize("json", [one]),
            str(list(OrganizationSetting.objects.values())),
            str(list(OrganizationSetting.objects.values_list())),
            pickle.dumps(one).decode("latin-1"),
            str([event.changes for event in Event.objects.all()]),
        ]
        assert not [text for text in texts if SECRET in text]
        assert str(secret) == MASK
        with pytest.raises(TypeError):
            json.dumps(secret)


def test_an_instance_never_holds_the_secret_itself(world: World) -> None:
    one = setting_of(world)
    one.identity_provider_client_secret = SECRET
    assert isinstance(one.identity_provider_client_secret, Sealed)
    assert SECRET not in str(vars(one))


@pytest.mark.parametrize("lookup", ["", "__startswith", "__contains", "__regex", "__gt", "__in"])
def test_nothing_can_be_asked_about_the_secret_but_whether_there_is_one(world: World, lookup: str) -> None:
    with pytest.raises(FieldError):
        OrganizationSetting.objects.filter(**{f"identity_provider_client_secret{lookup}": ["g"]}).exists()
    assert OrganizationSetting.objects.filter(identity_provider_client_secret__isnull=True).count() == 2


def test_a_replaced_and_a_removed_secret_are_told_without_it(
    world: World, sealed: OrganizationSetting
) -> None:
    change(world, identity_provider_client_secret="another")
    assert Event.objects.latest("id").changes == {"identity_provider_client_secret": [MASK, MASK]}
    change(world, identity_provider_client_secret="")
    assert Event.objects.latest("id").changes == {"identity_provider_client_secret": [MASK, None]}
    assert setting_of(world).identity_provider_client_secret is None


def test_the_admin_sets_and_forgets_the_secret_and_shows_it_nowhere(
    world: World, sealed: OrganizationSetting
) -> None:
    desk = Desk(UserFactory(is_staff=True, is_superuser=True))
    page = ("organizations_organizationsetting_change", sealed.pk)

    desk.submit(*page, new_client_secret="typed by an operator")
    assert setting_of(world).identity_provider_client_secret.reveal() == "typed by an operator"
    shown = desk.get(*page).text + desk.get("organizations_organizationsetting_changelist").text
    assert "typed by an operator" not in shown
    assert setting_of(world).identity_provider_client_secret.ciphertext not in shown
    assert "typed by an operator" not in desk.get("audit_event_changelist").text

    desk.submit(*page, identity_provider_client_id="other")
    assert setting_of(world).identity_provider_client_secret.reveal() == "typed by an operator"
    desk.submit(*page, forget_client_secret="on")
    assert setting_of(world).identity_provider_client_secret is None


def test_a_server_without_keys_says_so_and_keeps_nothing(world: World, settings: Any) -> None:
    settings.FIELD_KEYS = []
    with pytest.raises(ValidationError, match="FIELD_KEYS") as refused:
        change(world, **PROVIDER)
    assert fields_of(refused.value) == {"identity_provider_client_secret"}
    assert setting_of(world).identity_provider_client_id is None
    assert change(world, tags=["x"]).tags == ["x"]


# --- the ring --------------------------------------------------------------------------------------


def test_keys_rotate_without_losing_a_secret(
    world: World, sealed: OrganizationSetting, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = settings.FIELD_KEYS[0], Fernet.generate_key().decode()
    settings.FIELD_KEYS = [new, old]
    assert setting_of(world).identity_provider_client_secret.reveal() == SECRET

    call_command("resealsecrets", "--dry-run")
    assert "1 secrets would be encrypted anew" in capsys.readouterr().out
    assert told(lambda: call_command("resealsecrets")) == ["organization_setting.updated"]
    assert told(lambda: call_command("resealsecrets")) == []

    settings.FIELD_KEYS = [new]
    assert setting_of(world).identity_provider_client_secret.reveal() == SECRET


def test_a_key_that_is_missed_is_named_before_it_is_needed(
    world: World, sealed: OrganizationSetting, settings: Any
) -> None:
    assert check_ring_opens_secrets(databases=["default"]) == []
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]

    found = [one for one in run_checks(databases=["default"]) if one.id == "organizations.E002"]
    assert "acme" in found[0].msg
    with pytest.raises(CommandError, match="acme"):
        call_command("resealsecrets")


@pytest.mark.parametrize("key", ["short", "", "x" * 44, "b25seS1mb3ItdGVzdHM="])
def test_what_is_no_key_is_named(settings: Any, key: str) -> None:
    settings.FIELD_KEYS = [*settings.FIELD_KEYS, key]
    assert [one.id for one in check_field_keys()] == ["organizations.E001"]


def test_a_secret_is_sealed_anew_by_who_may_change_it(world: World, sealed: OrganizationSetting) -> None:
    assert outcome(lambda: services.reseal(person(world.member), sealed)) == "role"
    assert outcome(lambda: services.reseal(SETUP, setting_of(world))) == "ok"
