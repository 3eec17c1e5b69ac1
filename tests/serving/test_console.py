"""GraphiQL in a browser: our own files only, nothing inline, and the API at the same address for programs."""

import json
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_protect

from config import pages, urls
from tests.conftest import World
from tests.serving.test_refusals import BROWSER


@csrf_protect
def api(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"by": request.principal.label})


urlpatterns = [path("graphql", pages.in_browsers(api)), *urls.urlpatterns]


@pytest.mark.parametrize("address", ["/", "/login/"])
def test_nothing_in_a_page_is_inline_or_from_elsewhere(client: Client, address: str) -> None:
    response = client.get(address)

    assert "script-src 'self';" in response["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", response.text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", response.text)
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', response.text)
    assert addresses
    assert [found for found in addresses if not re.match(r"/(?!/)", found)] == []


def test_every_file_of_the_console_is_in_this_repository(client: Client) -> None:
    files = re.findall(r'(?:src|href)="/static/([^"]+)"', client.get("/").text)

    assert {"graphiql/graphiql.min.js", "graphiql/start.js", "tollgate.css"} <= set(files)
    assert [name for name in files if finders.find(name) is None] == []


def test_the_script_remembers_no_token_beyond_the_tab() -> None:
    script = Path(finders.find("graphiql/start.js")).read_text()

    assert "localStorage" not in script
    assert re.findall(r"\b\w+Storage\b", script) == ["sessionStorage"]
    assert re.search(r"storage: window\.sessionStorage", script)  # GraphiQL's own memory: queries, not tokens
    assert "setItem" not in script
    assert "document.cookie" not in script


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/graphql-response+json"])
@override_settings(ROOT_URLCONF=__name__)
def test_at_the_same_address_programs_reach_the_api(client: Client, accept: str) -> None:
    response = client.get("/graphql", headers={"accept": accept})

    assert response.json() == {"by": "anonymous"}
    assert "Accept" in response["Vary"]


@override_settings(ROOT_URLCONF=__name__)
def test_at_the_same_address_browsers_reach_the_console(client: Client) -> None:
    response = client.get("/graphql", headers={"accept": BROWSER})

    assert 'id="graphiql"' in response.text
    assert "Accept" in response["Vary"]


@override_settings(ROOT_URLCONF=__name__)
def test_a_post_is_for_the_api_whatever_it_accepts(client: Client) -> None:
    assert client.post("/graphql", headers={"accept": BROWSER}).json() == {"by": "anonymous"}


@override_settings(ROOT_URLCONF=__name__)
def test_the_page_hands_its_script_a_csrf_token_that_holds(world: World) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(world.member, backend="django.contrib.auth.backends.ModelBackend")
    csrf_token = re.search(r'data-csrf-token="(\w+)"', browser.get("/").text)[1]

    assert browser.post("/graphql").status_code == 403
    answer = browser.post("/graphql", headers={"x-csrftoken": csrf_token})
    assert answer.json() == {"by": "member@example.org"}


def test_the_console_can_only_be_looked_at(client: Client) -> None:
    assert client.post("/").status_code == 405


def test_the_console_is_not_kept_by_any_cache(client: Client) -> None:
    assert "no-store" in client.get("/")["Cache-Control"]


def test_the_static_files_can_be_collected_for_production(tmp_path: Path, client: Client) -> None:
    storages = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
    with override_settings(STATIC_ROOT=tmp_path, STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)
        named = re.findall(r'(?:src|href)="/static/([^"]+)"', client.get("/").text)

    assert json.loads((tmp_path / "staticfiles.json").read_text())["paths"]["graphiql/start.js"] in named
    assert [name for name in named if not (tmp_path / name).exists()] == []
