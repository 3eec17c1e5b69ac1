"""Events and usage are read here, and by nobody changed."""

import pytest
from django.utils import timezone

from audit.models import Event
from tests.admin.conftest import Desk, last_event, text
from tests.conftest import World
from tests.factories import SETUP, make_api_token
from tokens import services
from tokens.models import TokenUsage
from tokens.usage import Use, accepted, flush


@pytest.fixture
def usage(world: World) -> TokenUsage:
    token = make_api_token(world.acme, name="nightly")
    accepted(token, [Use("query apiTokens", "read:tokens", "ok")], "192.0.2.7", timezone.now())
    flush()
    return TokenUsage.objects.get()


def test_an_operator_reads_who_did_what_to_what(desk: Desk, world: World) -> None:
    services.update_token(SETUP, make_api_token(world.acme, "read"), {"name": "nightly"})
    listed = text(desk.get("audit_event_changelist"))
    assert "api_token.updated" in listed
    assert "manage.py test set-up" in listed
    page = text(desk.get("audit_event_change", last_event("api_token.updated").pk))
    assert "name: machine → nightly" in page
    assert "acme" in page


def test_scopes_of_a_creation_are_not_told_as_before_and_after(desk: Desk, world: World) -> None:
    make_api_token(world.acme, "read", "write")
    assert "scopes: read, write" in text(desk.get("audit_event_change", last_event("api_token.created").pk))


def test_text_of_others_is_escaped(desk: Desk, world: World) -> None:
    make_api_token(world.acme, name="<script>alert(1)</script>")
    for page in (
        desk.get("audit_event_change", last_event("api_token.created").pk),
        desk.get("audit_event_changelist"),
        desk.get("tokens_apitoken_changelist"),
    ):
        assert "<script>alert" not in text(page)


@pytest.mark.parametrize("model", ["audit_event", "tokens_tokenusage"])
def test_nothing_can_be_added_changed_or_deleted(desk: Desk, usage: TokenUsage, model: str) -> None:
    row = Event.objects.first() if model == "audit_event" else usage
    count = type(row).objects.count()
    assert desk.get(f"{model}_add").status_code == 403
    assert desk.post(f"{model}_add", action="x").status_code == 403
    assert desk.get(f"{model}_change", row.pk).status_code == 200
    assert desk.post(f"{model}_change", row.pk, action="x", count="0").status_code == 403
    assert desk.post(f"{model}_delete", row.pk, post="yes").status_code == 403
    answer = desk.post(
        f"{model}_changelist", action="delete_selected", _selected_action=[str(row.pk)], post="yes"
    )
    assert answer.status_code in (200, 302, 403)
    assert type(row).objects.count() == count
    assert 'type="submit" value="Save' not in text(desk.get(f"{model}_change", row.pk))


def test_usage_is_found_from_the_page_of_its_token(desk: Desk, usage: TokenUsage) -> None:
    page = text(desk.get("tokens_apitoken_change", usage.token_id))
    assert f"token_id__exact={usage.token_id}" in page
    listed = text(desk.get("tokens_tokenusage_changelist", token_id__exact=str(usage.token_id)))
    assert "query apiTokens" in listed
    assert "192.0.2.7" in listed
    assert "tola_" in listed


def test_the_trail_of_a_thing_is_found_from_its_page(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme, name="nightly")
    make_api_token(world.acme, name="other")
    assert f"target_id__exact={token.pk}" in text(desk.get("tokens_apitoken_change", token.pk))
    listed = desk.get("audit_event_changelist", target_id__exact=str(token.pk))
    assert [event.target_id for event in listed.context["cl"].result_list] == [str(token.pk)]
