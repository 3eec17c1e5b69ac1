"""An operator sets what an organization demands of tokens, and sees first what that would hit."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from accounts.models import User
from audit.models import Event
from tests.admin.conftest import Desk, last_event, text
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tokens import policies
from tokens.models import TokenPolicy
from tokens.policy import Mode

ADD, CHANGE, LIST = (f"tokens_tokenpolicy_{page}" for page in ("add", "change", "changelist"))
ENFORCED: dict[str, Any] = {"expiry_required_mode": Mode.ENFORCE.value}


def test_a_policy_is_made_and_holds_on_the_next_request(desk: Desk, world: World, query: Query) -> None:
    token = make_api_token(world.acme, "read")
    answer = desk.submit(ADD, chosen_organization=str(world.acme.pk), **ENFORCED)
    assert answer.status_code == 302
    assert TokenPolicy.objects.get(organization=world.acme).expiry_required_mode == Mode.ENFORCE
    assert query("{ viewer { id } }", token=token.token).status == 403
    event = last_event("token_policy.updated")
    assert (event.actor_kind, event.actor_label) == ("operator", "root@example.org")
    assert event.changes == {"expiry_required_mode": ["OFF", "ENFORCE"]}


def test_every_rule_is_changed_and_what_stays_is_left_alone(desk: Desk, world: World) -> None:
    made, _ = policies.update_policy(SETUP, world.acme.pk, ENFORCED)
    typed = {
        "maximum_lifetime_mode": "REPORT_ONLY",
        "maximum_lifetime_days": "90",
        "allowed_kinds_mode": "ENFORCE",
        "allowed_kinds": ["API"],
        "grantable_scopes_mode": "ENFORCE",
        "grantable_scopes": ["read", "write:tasks"],
        "allowed_addresses_mode": "REPORT_ONLY",
        "allowed_addresses": "192.0.2.0/24\n2001:db8::/32",
        "live_tokens_mode": "ENFORCE",
        "live_tokens_limit": "5",
    }
    assert desk.submit(CHANGE, made.pk, **typed).status_code == 302
    made.refresh_from_db()
    assert (made.maximum_lifetime_days, made.live_tokens_limit) == (90, 5)
    assert (made.allowed_kinds, made.grantable_scopes) == (["API"], ["read", "write:tasks"])
    assert made.allowed_addresses == ["192.0.2.0/24", "2001:db8::/32"]
    assert "expiry_required_mode" not in last_event("token_policy.updated").changes
    shown = text(desk.get(LIST))
    assert "expiry required, allowed kinds, grantable scopes, live tokens" in shown
    assert "maximum lifetime, allowed addresses" in shown
    count = Event.objects.count()
    assert desk.submit(CHANGE, made.pk).status_code == 302
    assert Event.objects.count() == count


def test_a_look_beforehand_shows_what_would_be_hit_and_saves_nothing(desk: Desk, world: World) -> None:
    machine = make_api_token(world.acme, name="deploy")
    script = make_personal_token(world.owner, name="my secret project")

    def look(page: str, *arguments: Any, **typed: Any) -> None:
        before = list(TokenPolicy.objects.values())
        shown = text(desk.submit(page, *arguments, **typed, **ENFORCED, _preview="1"))
        assert "2 tokens of 2 owners would be refused or lose scopes now" in shown
        for told in ("deploy", machine.hint, script.hint, "Tokens must expire here"):
            assert told in shown
        assert "my secret project" not in shown
        assert "Please correct" not in shown
        assert '<option value="ENFORCE" selected>' in shown
        assert list(TokenPolicy.objects.values()) == before

    look(ADD, chosen_organization=str(world.acme.pk))
    made, _ = policies.update_policy(SETUP, world.acme.pk, {"tags": ["x"]})
    look(CHANGE, made.pk)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"maximum_lifetime_mode": "ENFORCE"}, "Give it a value, or switch the rule off."),
        ({"allowed_addresses": "192.0.2.1/24"}, "is no network. Did you mean 192.0.2.0/24?"),
        ({"maximum_lifetime_days": "0"}, "greater than or equal to 1"),
        ({"live_tokens_mode": "SOMETIMES"}, "Select a valid choice"),
        ({"allowed_kinds": ["ROBOT"]}, "Select a valid choice"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, dict) else "",
)
@pytest.mark.parametrize("button", ["_save", "_preview"])
def test_what_cannot_be_is_told_at_its_field_and_not_saved(
    desk: Desk, world: World, typed: dict[str, Any], told: str, button: str
) -> None:
    made, _ = policies.update_policy(SETUP, world.acme.pk, ENFORCED)
    shown = desk.submit(CHANGE, made.pk, **typed, **{button: "1"})
    assert shown.status_code == 200
    assert told in text(shown)
    after = TokenPolicy.objects.get()
    assert after.terms == made.terms


def test_an_organization_has_one_policy(desk: Desk, world: World) -> None:
    policies.update_policy(SETUP, world.acme.pk, ENFORCED)
    assert "It has a policy. Change that." in text(desk.submit(ADD, chosen_organization=str(world.acme.pk)))


def test_who_shuts_their_own_address_out_is_warned(desk: Desk, world: World) -> None:
    answer = desk.submit(
        ADD,
        chosen_organization=str(world.acme.pk),
        allowed_addresses_mode="ENFORCE",
        allowed_addresses="192.0.2.0/24",
    )
    shown = text(desk.client.get(answer["Location"]))
    assert "Your own address, 127.0.0.1, is not among those allowed" in shown


def test_a_token_pasted_among_the_networks_is_not_shown_again(desk: Desk, world: World) -> None:
    value = make_api_token(world.acme).token
    shown = desk.submit(ADD, chosen_organization=str(world.acme.pk), allowed_addresses=value)
    assert (shown.status_code, value in text(shown)) == (200, False)


def test_no_policy_is_deleted(desk: Desk, world: World) -> None:
    made, _ = policies.update_policy(SETUP, world.acme.pk, ENFORCED)
    assert desk.post("tokens_tokenpolicy_delete", made.pk, post="yes").status_code == 403
    assert TokenPolicy.objects.exists()


def test_who_may_only_look_changes_and_previews_nothing(world: World, clerk: User) -> None:
    made, _ = policies.update_policy(SETUP, world.acme.pk, ENFORCED)
    assert Desk(clerk).get(CHANGE, made.pk).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="view_tokenpolicy"))
    desk = Desk(User.objects.get(pk=clerk.pk))
    shown = text(desk.get(CHANGE, made.pk))
    assert "_preview" not in shown
    for button in ("_save", "_preview"):
        sent = {"expiry_required_mode": "OFF", button: "1"}
        assert desk.post(CHANGE, made.pk, **sent).status_code == 403
    assert Desk(world.owner).get(CHANGE, made.pk).status_code == 302
    assert TokenPolicy.objects.get().terms == made.terms
