"""The world of every test: acme and globex, and the six people who see them differently."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import User
from audit import triggers
from organizations.models import Organization, Role
from tests import traces
from tests.factories import UserFactory, join, make_organization
from tokens import secret, usage


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


@pytest.fixture(scope="session", autouse=True)
def minted() -> Iterator[traces.Minted]:
    """Every value minted while the suite runs."""
    found, mint = traces.Minted(), secret.mint

    def remembered(kind: secret.TokenKind) -> str:
        value = mint(kind)
        found.add(value)
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secret, "mint", remembered)
        yield found


@pytest.fixture(scope="session")
def listener(minted: traces.Minted) -> Iterator[traces.Listener]:
    heard = traces.Listener(minted)
    logging.getLogger().addHandler(heard)
    yield heard
    logging.getLogger().removeHandler(heard)


@pytest.fixture(autouse=True)
def _nothing_leaks(
    request: pytest.FixtureRequest, minted: traces.Minted, listener: traces.Listener
) -> Iterator[None]:
    """After each test: no value in a log line, none in a row."""
    has_rows = "world" in request.fixturenames
    if has_rows:
        request.getfixturevalue("world")  # so that its rows are still there afterwards
    listener.leaks.clear()
    yield
    assert listener.leaks == []
    if has_rows:
        assert minted.shown_in(traces.rows()) == []


@pytest.fixture(scope="session", autouse=True)
def _events_can_be_flushed() -> Iterator[None]:
    """Django empties the tables after a transactional test: on SQLite by DELETE, which triggers refuse."""
    operations = type(connection.ops)
    flush = operations.execute_sql_flush

    def without_triggers(self: Any, statements: Any) -> None:
        with connection.schema_editor() as editor:
            triggers.remove(editor)
        try:
            flush(self, statements)
        finally:
            with connection.schema_editor() as editor:
                triggers.install(editor)

    with pytest.MonkeyPatch.context() as patch:
        if connection.vendor == "sqlite":
            patch.setattr(operations, "execute_sql_flush", without_triggers)
        yield
