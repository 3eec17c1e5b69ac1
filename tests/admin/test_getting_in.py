"""Only staff get in, by session; what they may do there is Django's own model permissions."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group as DjangoGroup
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.admin.conftest import BACKEND, Desk, last_event, text
from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tokens.models import APIToken

PAGES = [f"{model._meta.app_label}_{model._meta.model_name}_changelist" for model in admin.site._registry] + [
    "index",
    "tokens_apitoken_add",
    "tokens_tokenpolicy_add",
    *(
        f"tokens_{kind}_{deed}"
        for kind in ("apitoken", "personalaccesstoken")
        for deed in ("revoke", "rotate", "expire")
    ),
]


@pytest.mark.parametrize("page", PAGES)
def test_nobody_without_staff_standing_sees_a_page(page: str, world: World) -> None:
    stranger, member = Client(), Client()
    member.force_login(world.owner, backend=BACKEND)
    for client in (stranger, member):
        answer = client.get(reverse(f"admin:{page}"))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("page", PAGES)
def test_a_bearer_token_opens_no_page_whoever_owns_it_and_whatever_session_comes_along(
    page: str, world: World, root: User
) -> None:
    tokens = [make_personal_token(root, "admin"), make_api_token(world.acme, "admin")]
    browser = Client()
    browser.force_login(root, backend=BACKEND)
    for token in tokens:
        for client in (Client(), browser):
            answer = client.get(reverse(f"admin:{page}"), headers={"authorization": f"Bearer {token.token}"})
            assert answer.status_code == 302


@pytest.mark.parametrize("page", PAGES)
def test_staff_without_permissions_are_refused(page: str, world: World) -> None:
    world.member.is_staff = True
    world.member.save()
    answer = Desk(world.member).get(page)
    assert answer.status_code == 200 if page == "index" else answer.status_code == 403


def test_a_deactivated_operator_is_out_at_the_next_request(desk: Desk, root: User) -> None:
    assert desk.get("index").status_code == 200
    User.objects.filter(pk=root.pk).update(is_active=False)
    assert desk.get("index").status_code == 302


def test_everything_an_operator_needs_is_on_the_index_and_djangos_groups_are_not(desk: Desk) -> None:
    page = text(desk.get("index"))
    for name in (
        "Organizations",
        "Users",
        "Org memberships",
        "Groups",
        "API tokens",
        "Personal access tokens",
        "Token policies",
        "Events",
        "Token usage",
    ):
        assert name in page
    assert DjangoGroup not in admin.site._registry


def test_the_admin_has_no_inline_scripts(desk: Desk, world: World) -> None:
    token = make_api_token(world.acme)
    for page in (
        desk.get("tokens_apitoken_changelist"),
        desk.get("tokens_apitoken_add"),
        desk.get("tokens_apitoken_change", token.pk),
        desk.get("tokens_apitoken_revoke", tokens=str(token.pk)),
        desk.submit("tokens_apitoken_add", owner=str(world.acme.pk), name="x"),
    ):
        scripts = text(page).split("<script")[1:]
        assert all(
            "src=" in script.partition(">")[0] or "json" in script.partition(">")[0] for script in scripts
        )
        assert "onclick=" not in text(page)


def test_one_cannot_be_made_to_revoke_by_another_site(root: User, world: World) -> None:
    token = make_api_token(world.acme)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(root, backend=BACKEND)
    answer = browser.post(
        reverse("admin:tokens_apitoken_revoke"), {"tokens": str(token.pk), "reason": "because"}
    )
    assert answer.status_code == 403
    assert APIToken.objects.get().revoked_at is None


def test_an_operator_changes_their_own_password_and_the_trail_shows_it(desk: Desk, root: User) -> None:
    page = desk.post(
        "password_change",
        old_password="correct horse battery staple",
        new_password1="battery horse staple correct",
        new_password2="battery horse staple correct",
    )
    assert page.status_code == 302
    root.refresh_from_db()
    assert root.check_password("battery horse staple correct")
    assert last_event("user.updated").target_id == str(root.pk)
    assert desk.get("index").status_code == 200
