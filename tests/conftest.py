"""The world of every test: acme and globex, and the six people who see them differently."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from organizations.models import Organization, Role
from tests.factories import UserFactory, join, make_organization
from tokens import usage


@dataclass
class World:
    """acme with an owner, an admin, a member and an auditor; globex with the outsider; one in both."""

    acme: Organization
    globex: Organization
    owner: User
    admin: User
    member: User
    auditor: User
    outsider: User
    both: User


@pytest.fixture
def world(db: None) -> World:
    people = {
        name: UserFactory(email=f"{name}@example.org", first_name=name.title(), last_name="Example")
        for name in ("owner", "admin", "member", "auditor", "outsider", "both")
    }
    acme = make_organization("acme", people["owner"])
    globex = make_organization("globex", people["outsider"])
    join(people["admin"], acme, Role.ADMIN)
    join(people["member"], acme, Role.MEMBER)
    join(people["auditor"], acme, Role.AUDITOR)
    join(people["both"], acme, Role.MEMBER)
    join(people["both"], globex, Role.MEMBER)
    return World(acme, globex, **people)


@dataclass
class Answer:
    """What came back over HTTP."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        assert not self.body.get("errors"), self.body["errors"]
        return self.body["data"]

    @property
    def code(self) -> str | None:
        """The code of the first error."""
        errors = self.body.get("errors")
        return errors[0]["extensions"]["code"] if errors else None

    @property
    def error(self) -> dict[str, Any]:
        return self.body["errors"][0]


Query = Callable[..., Answer]


@pytest.fixture
def query(client: Client) -> Query:
    """query(document, variables, token="tolp_...", user=..., **headers) as a client would send it."""

    def send(
        document: str,
        variables: dict[str, Any] | None = None,
        *,
        token: str | None = None,
        user: User | None = None,
        **headers: str,
    ) -> Answer:
        sender = client
        if user is not None:
            sender = Client()
            sender.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        response = sender.post(
            "/query",
            json.dumps({"query": document, "variables": variables or {}}),
            content_type="application/json",
            headers=headers,
        )
        return Answer(response.status_code, response.json(), dict(response.headers))

    return send


@pytest.fixture(autouse=True)
def _nothing_gathered() -> None:
    """Usage gathered by one test is not flushed in the next."""
    usage._gathered = usage.Gathered()
