"""An operator at the admin's desk: with a session, and with forms as the pages have them."""

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import User
from audit.models import Event
from tests.conftest import World
from tests.factories import UserFactory

BACKEND = "django.contrib.auth.backends.ModelBackend"


class Fields(HTMLParser):
    """What a browser would send of the forms of a page, untouched."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, Any] = {}
        self._select = self._textarea = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        name = has.get("name") or ""
        if tag == "input" and name and has.get("type") not in ("submit", "file"):
            if has.get("type") not in ("checkbox", "radio") or "checked" in has:
                self._send(
                    name, has.get("value") or "on" if has.get("type") == "checkbox" else has.get("value")
                )
        elif tag == "textarea":
            self._textarea, self.sent[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in has and has.get("value"):
            self._send(self._select, has["value"])

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.sent[self._textarea] += data.removeprefix("\r\n").removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = ""

    def _send(self, name: str, value: Any) -> None:
        self.sent.setdefault(name, [])
        if isinstance(self.sent[name], list):
            self.sent[name].append(value or "")


class Desk:
    """One operator's browser. `page` is an admin URL name without its `admin:`."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client()
        self.client.force_login(user, backend=BACKEND)

    def get(self, page: str, *arguments: Any, **query: Any) -> HttpResponse:
        return self.client.get(reverse(f"admin:{page}", args=arguments), query)

    def post(self, page: str, *arguments: Any, **data: Any) -> HttpResponse:
        """As it stands, with nothing filled in: what a forger would send."""
        return self.client.post(reverse(f"admin:{page}", args=arguments), data)

    def submit(self, page: str, *arguments: Any, **typed: Any) -> HttpResponse:
        """Open the page, type into its form, send it. None takes a field out (an unticked box)."""
        shown = self.get(page, *arguments)
        assert shown.status_code == 200
        sent = Fields(shown.content.decode()).sent | typed
        return self.post(
            page, *arguments, **{name: value for name, value in sent.items() if value is not None}
        )


def text(response: HttpResponse) -> str:
    return response.content.decode()


def last_event(action: str) -> Event:
    event = Event.objects.filter(action=action).last()
    assert event is not None, f"no event {action}"
    return event


@pytest.fixture
def root(world: World) -> User:
    """A superuser who is a member of nothing."""
    return UserFactory(email="root@example.org", is_staff=True, is_superuser=True)


@pytest.fixture
def desk(root: User) -> Desk:
    return Desk(root)


@pytest.fixture
def clerk(world: World) -> User:
    """Staff who may change people and tokens, and is no superuser."""
    user = UserFactory(email="clerk@example.org", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_user", "add_user", "change_user", "view_apitoken"])
    )
    return user
