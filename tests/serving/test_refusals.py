"""What goes wrong outside GraphQL is told in one shape to programs, and as a page to browsers."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from config import urls

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SECRET = "the details of the fault"
FAULTS = {
    "broken": RuntimeError,
    "forbidden": PermissionDenied,
    "unreachable": OperationalError,
    "disconnected": InterfaceError,
}


def fail(request: HttpRequest, fault: str) -> HttpResponse:
    raise FAULTS[fault](SECRET)


urlpatterns = [path("fail/<fault>", fail), *urls.urlpatterns]
handler400, handler403, handler404, handler500 = (
    urls.handler400,
    urls.handler403,
    urls.handler404,
    urls.handler500,
)


@pytest.fixture
def program() -> Client:
    with override_settings(ROOT_URLCONF=__name__):
        yield Client(raise_request_exception=False)


CASES = [
    ("/fail/broken", 500, "INTERNAL_SERVER_ERROR"),
    ("/fail/unreachable", 503, "UNAVAILABLE"),
    ("/fail/disconnected", 503, "UNAVAILABLE"),
    ("/fail/forbidden", 403, "UNAUTHORIZED"),
    ("/nowhere", 404, "NOT_FOUND"),
]


@pytest.mark.parametrize(("address", "status", "code"), CASES)
@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "application/json, text/html", "image/png"]
)
def test_programs_get_json(program: Client, address: str, status: int, code: str, accept: str | None) -> None:
    response = program.get(address, headers={"accept": accept} if accept else {})

    assert (response.status_code, response["Content-Type"]) == (status, "application/json")
    body: dict[str, Any] = response.json()
    assert body["success"] is False
    assert body["errors"] == [{"message": body["error"], "extensions": {"code": code}}]
    assert SECRET not in response.text


@pytest.mark.parametrize(("address", "status", "code"), CASES)
def test_browsers_get_a_page(program: Client, address: str, status: int, code: str) -> None:
    response = program.get(address, headers={"accept": BROWSER})

    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")
    assert "Accept" in response["Vary"]
    assert SECRET not in response.text


def test_a_fault_names_the_request_id_under_which_the_log_has_it(program: Client) -> None:
    response = program.get("/fail/broken", headers={"x-request-id": "from-the-client-17"})

    assert response["X-Request-ID"] == "from-the-client-17"
    assert "from-the-client-17" in response.json()["error"]


def test_an_unreachable_database_says_when_to_come_back(program: Client) -> None:
    assert program.get("/fail/unreachable")["Retry-After"] == "5"


def test_a_foreign_host_name_is_refused_with_the_remedy(program: Client) -> None:
    response = program.get("/livez", headers={"host": "elsewhere.example"})

    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "ALLOWED_HOSTS" in response.json()["error"]
    assert "elsewhere" not in response.text


def test_a_form_without_its_csrf_token_is_refused() -> None:
    response = Client(enforce_csrf_checks=True).post("/login/", {"username": "x", "password": "y"})

    assert response.status_code == 403
    assert "CSRF token" in response.json()["error"]


def test_an_address_is_not_repeated_in_the_refusal(program: Client) -> None:
    assert "curious" not in program.get("/curious-path?curious=1").text
