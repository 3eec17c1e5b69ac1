"""What an operator changes of a token, and what nobody does."""

from django.utils import timezone

from audit.models import Event
from tests.admin.conftest import Desk, Fields, last_event, text
from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tokens.models import APIToken, PersonalAccessToken


def test_name_description_tags_scopes_and_expiry_are_changed_and_told(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme, "read")
    answer = desk.submit(
        "tokens_apitoken_change",
        token.pk,
        name="nightly",
        description="the nightly run",
        tags="ci\n nightly \n\nci",
        scopes=["write:evidence"],
        expires_at_0="2099-12-31",
        expires_at_1="00:00:00",
    )
    assert answer.status_code == 302
    after = APIToken.objects.get()
    assert (after.name, after.description, after.tags) == ("nightly", "the nightly run", ["ci", "nightly"])
    assert after.scopes == ["write:evidence"]
    event = last_event("api_token.updated")
    assert event.actor_label == "root@example.org"
    assert event.changes["scopes"] == [["read"], ["write:evidence"]]
    assert event.changes["name"] == ["machine", "nightly"]


def test_saving_a_page_untouched_changes_nothing_and_records_nothing(desk: Desk, world: World) -> None:
    soon = timezone.now() + timezone.timedelta(days=3)
    tokens = [
        make_api_token(world.acme, "control:read", "write", expires_at=soon, tags=["a", "b"]),
        make_personal_token(world.both, organizations=[world.acme.pk]),
    ]
    for token in tokens:
        before = type(token).objects.get()
        page = f"tokens_{token._meta.model_name}_change"
        assert desk.submit(page, token.pk).status_code == 302
        after = type(token).objects.get()
        assert (after.scopes, after.expires_at, after.updated_at, after.description) == (
            before.scopes,
            before.expires_at,
            before.updated_at,
            None,
        )
    assert not Event.objects.filter(action__endswith="token.updated").exists()


def test_a_scope_keeps_the_spelling_it_was_sent_in(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme, "control:read")
    desk.submit("tokens_apitoken_change", token.pk, scopes=["control:read", "read:tasks"])
    assert set(APIToken.objects.get().scopes) == {"control:read", "read:tasks"}


def test_server_owned_fields_in_a_forged_post_are_ignored(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme, "read")
    before = APIToken.objects.values().get()
    sent = Fields(text(desk.get("tokens_apitoken_change", token.pk))).sent
    forged = {
        "name": "renamed",
        "owner": str(world.globex.pk),
        "owner_id": str(world.globex.pk),
        "digest": "00",
        "pepper_id": "x",
        "hint": "tola_XXXX",
        "is_active": "",
        "usage_count": "99",
        "last_used_at_0": "2020-01-01",
        "last_used_at_1": "00:00",
        "revoked_at_0": "2020-01-01",
        "revoked_at_1": "00:00",
        "revoked_by": "somebody",
        "revoked_reason": "no reason",
        "created_by": "somebody",
        "updated_by": "somebody",
        "sso_authorizations": '{"x": "y"}',
        "deleted_at_0": "2020-01-01",
        "deleted_at_1": "00:00",
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    }
    assert desk.post("tokens_apitoken_change", token.pk, **(sent | forged)).status_code == 302
    after = APIToken.objects.values().get()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"name", "updated_at", "updated_by"}
    assert after["updated_by"] == str(desk.user.pk)


def test_only_what_somebody_typed_is_changed_not_what_their_page_still_showed(
    desk: Desk, world: World
) -> None:
    token = make_api_token(world.acme, "read")
    stale = Fields(text(desk.get("tokens_apitoken_change", token.pk))).sent
    APIToken.objects.update(scopes=["write"])
    desk.post("tokens_apitoken_change", token.pk, **(stale | {"name": "renamed"}))
    after = APIToken.objects.get()
    assert after.name == "renamed"


def test_where_a_personal_token_reaches_can_be_narrowed_and_widened(desk: Desk, world: World) -> None:
    token = make_personal_token(world.both)
    page = "tokens_personalaccesstoken_change"

    def reached() -> set[str] | None:
        after = PersonalAccessToken.objects.get()
        return (
            None
            if after.covers_all_organizations
            else set(after.organizations.values_list("name", flat=True))
        )

    desk.submit(page, token.pk, covers_all_organizations=None, organizations=[str(world.acme.pk)])
    assert reached() == {"acme"}
    desk.submit(page, token.pk, organizations=[str(world.globex.pk)])
    assert reached() == {"globex"}
    refused = desk.submit(page, token.pk, organizations=[])
    assert "choose at least one" in text(refused)
    assert reached() == {"globex"}
    desk.submit(page, token.pk, covers_all_organizations="on", organizations=[])
    assert reached() is None


def test_an_expiry_in_the_past_is_refused_next_to_its_field(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    page = desk.submit("tokens_apitoken_change", token.pk, expires_at_0="2001-01-01", expires_at_1="00:00")
    assert "Give a time in the future" in text(page)
    assert APIToken.objects.get().expires_at is None
