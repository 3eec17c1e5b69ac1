"""Alive is not ready, and a database that does not answer is told as such, everywhere."""

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests.serving.conftest import Serve, Server
from tokens import secret

NOWHERE = {
    "sqlite": "sqlite:////nonexistent/folder/db.sqlite3",
    "postgresql": "postgres://postgres@127.0.0.1:1/none",  # nobody listens on port 1
}


@pytest.fixture(params=NOWHERE)
def stranded(serve: Serve, request: pytest.FixtureRequest) -> Server:
    """A server whose database is not there."""
    return serve(NOWHERE[request.param])


@pytest.mark.django_db
def test_livez_asks_nothing_of_the_database(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        response = client.get("/livez")

    assert (response.status_code, response.content) == (200, b"ok")


@pytest.mark.django_db
def test_readyz_is_ok_when_every_migration_is_applied(client: Client) -> None:
    response = client.get("/readyz")

    assert (response.status_code, response.content) == (200, b"ok")
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_readyz_refuses_while_a_migration_is_missing(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'tokens' AND name LIKE '0001%%'")

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert response.json()["error"] == "1 migration is not applied. Run manage.py migrate."


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.django_db
def test_load_balancers_may_ask_without_tls(client: Client, settings: object, path: str) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get(path).status_code == 200
    assert client.get("/login/").status_code == 301


def test_without_its_database_the_server_lives_and_is_not_ready(stranded: Server) -> None:
    assert stranded.get("/livez").status == 200
    reply = stranded.get("/readyz")

    assert reply.status == 503
    assert reply.headers["retry-after"] == "5"
    assert reply.body["errors"][0]["extensions"]["code"] == "UNAVAILABLE"


def test_without_its_database_the_server_refuses_tokens_and_sessions_with_503(stranded: Server) -> None:
    token = secret.mint(secret.TokenKind.PERSONAL)
    for credential in ({"Authorization": f"Bearer {token}"}, {"Cookie": "sessionid=" + "a" * 32}):
        reply = stranded.get("/admin/", **credential)

        assert reply.status == 503
        assert reply.headers["retry-after"] == "5"
        assert reply.headers["x-request-id"]
        assert reply.body == {
            "success": False,
            "error": "The database does not answer. Try again shortly.",
            "errors": [
                {
                    "message": "The database does not answer. Try again shortly.",
                    "extensions": {"code": "UNAVAILABLE"},
                }
            ],
        }


def test_without_its_database_a_browser_gets_a_page(stranded: Server) -> None:
    reply = stranded.get("/admin/", Accept="text/html", Cookie="sessionid=" + "a" * 32)

    assert reply.status == 503
    assert reply.headers["content-type"].startswith("text/html")
    assert "The database does not answer." in reply.text
