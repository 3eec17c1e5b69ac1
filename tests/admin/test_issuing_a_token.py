"""An operator issues a token and sees its value once."""

import re
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from tests.admin.conftest import Desk, Fields, last_event, text
from tests.conftest import Query, World
from tokens import secret
from tokens.models import APIToken, PersonalAccessToken


def issue(desk: Desk, world: World, **typed: object) -> str:
    """Issue an API token for acme. Returns the value the page shows."""
    page = desk.submit(
        "tokens_apitoken_add",
        **{"owner": str(world.acme.pk), "name": "deploy", "scopes": ["read:tokens"], **typed},
    )
    assert page.status_code == 200
    (value,) = secret.find(text(page))
    return value


def test_an_operator_issues_an_api_token_and_its_value_works(desk: Desk, world: World, query: Query) -> None:
    value = issue(desk, world)
    assert query("{ viewer { label } }", token=value).data["viewer"]["label"] == "deploy"


def test_the_page_with_the_value_shows_it_once_and_is_not_stored(desk: Desk, world: World) -> None:
    page = desk.submit("tokens_apitoken_add", owner=str(world.acme.pk), name="deploy")
    assert text(page).count(next(secret.find(text(page)))) == 1
    assert "no-store" in page["Cache-Control"]


def test_no_page_shows_the_value_or_the_digest_afterwards(desk: Desk, world: World) -> None:
    value = issue(desk, world)
    token = APIToken.objects.get()
    event = last_event("api_token.created")
    pages = [
        desk.get("index"),
        desk.get("tokens_apitoken_changelist"),
        desk.get("tokens_apitoken_change", token.pk),
        desk.get("tokens_apitoken_history", token.pk),
        desk.get("tokens_apitoken_delete", token.pk),
        desk.get("tokens_apitoken_revoke", tokens=str(token.pk)),
        desk.get("audit_event_changelist"),
        desk.get("audit_event_change", event.pk),
    ]
    for page in pages:
        assert page.status_code == 200
        assert value not in text(page)
        assert bytes(token.digest).hex() not in text(page)
        assert "digest" not in re.sub("matched by digest", "", text(page))


def test_the_value_is_in_no_log_entry_session_or_event(desk: Desk, world: World) -> None:
    value = issue(desk, world)
    entry = LogEntry.objects.get()
    assert value not in f"{entry.object_repr}{entry.change_message}"
    assert value not in str(dict(desk.client.session))
    assert value not in "".join(str(vars(event)) for event in Event.objects.all())


def test_issuing_is_an_event_of_the_operator(desk: Desk, world: World) -> None:
    issue(desk, world)
    event = last_event("api_token.created")
    assert (event.actor_kind, event.actor_label) == ("operator", "root@example.org")
    assert event.organization_id == world.acme.pk


def test_a_personal_token_for_a_person_covers_every_organization_unless_some_are_chosen(
    desk: Desk, world: World, query: Query
) -> None:
    everywhere = desk.submit("tokens_personalaccesstoken_add", owner=str(world.both.pk), name="everywhere")
    narrow = desk.submit(
        "tokens_personalaccesstoken_add",
        owner=str(world.both.pk),
        name="narrow",
        covers_all_organizations=None,
        organizations=[str(world.globex.pk)],
    )
    reached = [
        {
            one["name"]
            for one in query("{ viewer { organizations { name } } }", token=value).data["viewer"][
                "organizations"
            ]
        }
        for page in (everywhere, narrow)
        for value in secret.find(text(page))
    ]
    assert reached == [{"acme", "globex"}, {"globex"}]


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"name": ""}, "This field is required"),
        ({"name": "x" * 300}, "at most 255 characters"),
        ({"name": "a\x1b[31mb"}, "Remove the control character U+001B"),
        ({"scopes": ["raed"]}, "raed is not one of the available choices"),
        ({"expires_at_0": "2001-01-01", "expires_at_1": "00:00"}, "Give a time in the future"),
        ({"owner": "nonsense"}, "is not a valid UUID"),
    ],
)
def test_what_the_service_refuses_stands_next_to_its_field_and_nothing_is_written(
    desk: Desk, world: World, typed: dict[str, object], complaint: str
) -> None:
    page = desk.submit("tokens_apitoken_add", **{"owner": str(world.acme.pk), "name": "deploy", **typed})
    assert page.status_code == 200
    assert complaint in text(page)
    assert not APIToken.objects.exists()
    assert not Event.objects.filter(action="api_token.created").exists()


@pytest.mark.parametrize(
    ("everywhere", "chosen", "complaint"),
    [
        ("on", ["globex"], "not both"),
        (None, [], "choose at least one"),
        (None, ["acme"], "The owner is not a member of acme"),
    ],
)
def test_where_a_personal_token_reaches_is_said_without_contradiction(
    desk: Desk, world: World, everywhere: str | None, chosen: list[str], complaint: str
) -> None:
    page = desk.submit(
        "tokens_personalaccesstoken_add",
        owner=str(world.outsider.pk),
        name="script",
        covers_all_organizations=everywhere,
        organizations=[str(getattr(world, name).pk) for name in chosen],
    )
    assert complaint in text(page)
    assert not PersonalAccessToken.objects.exists()


def test_the_dead_get_no_tokens(desk: Desk, world: World) -> None:
    world.globex.deleted_at = timezone.now()
    world.globex.save()
    world.member.is_active = False
    world.member.save()
    desk.submit("tokens_apitoken_add", owner=str(world.globex.pk), name="machine")
    desk.submit("tokens_personalaccesstoken_add", owner=str(world.member.pk), name="script")
    assert not APIToken.objects.exists()
    assert not PersonalAccessToken.objects.exists()


def test_a_token_pasted_into_a_form_is_neither_saved_nor_shown_again(desk: Desk, world: World) -> None:
    value = issue(desk, world)
    page = desk.submit("tokens_apitoken_add", owner="", name="copy", description=f"like {value}")
    assert page.status_code == 200
    assert value not in text(page)
    assert "like tola_[redacted]" in Fields(text(page)).sent["description"]


def test_an_expiry_is_what_was_typed_in_utc(desk: Desk, world: World) -> None:
    issue(desk, world, expires_at_0="2099-12-31", expires_at_1="23:59:59")
    assert APIToken.objects.get().expires_at == datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_tokens_are_issued_by_post_alone(desk: Desk, world: World) -> None:
    desk.client.get(reverse("admin:tokens_apitoken_add"), {"owner": world.acme.pk, "name": "x", "_save": "1"})
    assert not APIToken.objects.exists()
