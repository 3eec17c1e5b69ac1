"""`make bench`: what a request costs, as ratios to floors measured in the same run.

CPU time of this process for single requests through the WSGI handler, warmed, best of seven rounds; wall time
for the depth of a page, because there the database works. Options: --rows N (rows for the depth, 1,000,000),
--quick (fewer rounds). It works in a test database of its own, on whichever database DATABASE_URL names.
"""

import argparse
import base64
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

import graphql
import strawberry
from django.core.handlers.wsgi import WSGIHandler
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import path

import config.urls
from organizations.models import Organization
from tests.factories import UserFactory, make_api_token, make_organization, make_personal_token
from tokens.models import APIToken

ME = "{ me { id email } }"
FIELDS = (
    "id name description scopes isActive expiresAt lastUsedAt createdAt revokedReason revokedBy "
    "owner { id name }"
)
PAGE = (
    f"{{ apiTokens(first: 100) {{ totalCount edges {{ node {{ {FIELDS} }} }} pageInfo {{ endCursor }} }} }}"
)
NEXT = "query($after: Cursor) { apiTokens(first: 100, after: $after) { edges { node { id name } } } }"
TOKENS_ON_PAGES = 1_000


def floor(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"data": {"me": {"id": "0", "email": "nobody@example.org"}}})


config.urls.urlpatterns.append(path("floor", floor))


class Caller:
    """Calls the WSGI handler as a server would."""

    def __init__(self) -> None:
        self.handler = WSGIHandler()

    def __call__(self, path: str, body: dict[str, Any] | None = None, token: str = "") -> bytes:
        raw = json.dumps(body).encode() if body else b""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST" if body else "GET",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(raw),
            "wsgi.errors": sys.stderr,
        }
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        response = self.handler(environ, lambda *_: None)
        answer = b"".join(response)
        response.close()
        return answer


def costs(
    times: int, *actions: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Microseconds of one call of each: the best of seven rounds, in turns, so that noise hits all alike."""
    best = [float("inf")] * len(actions)
    for action in actions:
        for _ in range(max(5, times // 5)):
            action()
    for _ in range(7):
        for number, action in enumerate(actions):
            begun = clock()
            for _ in range(times):
                action()
            best[number] = min(best[number], (clock() - begun) / times * 1e6)
    return best


def queries(action: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        action()
    return len(captured)


def by_hand(organization: Organization) -> str:
    """The floor of a page: the same rows by .values() and json.dumps."""
    tokens = APIToken.objects.filter(owner=organization, deleted_at__isnull=True).order_by("id")
    columns = ("id", "name", "description", "scopes", "is_active", "expires_at", "last_used_at")
    more = ("created_at", "revoked_reason", "revoked_by", "owner_id", "owner__name")
    rows = list(tokens.values(*columns, *more)[:100])
    return json.dumps({"totalCount": tokens.count(), "rows": rows}, cls=DjangoJSONEncoder)


def fill(organization: Organization, rows: int) -> tuple[str, str]:
    """Many tokens, written past the services. Returns the cursors of the first row and of the middle one."""
    now = datetime.now(UTC)
    columns = [field.column for field in APIToken._meta.concrete_fields]
    template = APIToken.objects.filter(owner=organization).first()
    assert template is not None
    fields = APIToken._meta.concrete_fields
    values = [field.get_db_prep_save(getattr(template, field.attname), connection) for field in fields]
    places = {name: columns.index(name) for name in ("id", "digest", "created_at")}

    def row(number: int) -> list[Any]:
        made = list(values)
        made[places["id"]] = fields[places["id"]].get_db_prep_save(UUID(int=number + 1), connection)
        made[places["digest"]] = number.to_bytes(32)
        made[places["created_at"]] = fields[places["created_at"]].get_db_prep_save(now, connection)
        return made

    names = ", ".join(f'"{name}"' for name in columns)
    table = APIToken._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET statement_timeout = 0")
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for number in range(rows):
                    copy.write_row(row(number))
            cursor.execute(f"ANALYZE {table}")
            cursor.execute("RESET statement_timeout")
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", (row(n) for n in range(rows))
            )
    first, middle = (
        base64.urlsafe_b64encode(UUID(int=number).bytes).decode().rstrip("=") for number in (1, rows // 2)
    )
    return first, middle


def line(what: str, micros: float, ratio: float, limit: float, note: str = "") -> None:
    verdict = "" if not limit else f"{'ok' if ratio <= limit else 'OVER'} (at most {limit:g})"
    print(f"{what:<58} {micros:>10,.0f} {ratio:>8.2f}  {verdict:<20} {note}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--quick", action="store_true")
    asked = options.parse_args()
    rounds = 60 if asked.quick else 300
    logging.disable(logging.WARNING)

    print(
        f"Python {platform.python_version()}, Django {django.get_version()}, "
        f"strawberry {getattr(strawberry, '__version__', '0.341')}, graphql-core {graphql.version}, "
        f"{connection.vendor}"
    )
    connection.creation.create_test_db(verbosity=0)
    try:
        measure(rounds, asked.rows)
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def measure(rounds: int, rows: int) -> None:
    owner = UserFactory()
    acme = make_organization("acme", owner)
    token = make_personal_token(owner).token
    for number in range(TOKENS_ON_PAGES):
        make_api_token(acme, "read", name=f"token {number}")
    call = Caller()

    def ask(document: str, **variables: Any) -> bytes:
        answer = call("/query", {"query": document, "variables": variables}, token)
        assert b'"errors"' not in answer, answer
        return answer

    print(f"\n{'CPU per request':<58} {'us':>10} {'x floor':>8}")
    with override_settings(MIDDLEWARE=[]):
        bare = Caller()
    nothing, base, me, junk = costs(
        rounds,
        lambda: bare("/floor"),
        lambda: call("/floor"),
        lambda: ask(ME),
        lambda: call("/query", {"query": ME}, "tolp_junk"),
    )
    line("a bare JSON view, in this project: the floor", base, 1, 0)
    line("the same without any middleware", nothing, nothing / base, 0)
    line(ME + " with a token", me, me / base, 9, f"{queries(lambda: ask(ME))} query")
    line(
        "a malformed token, refused",
        junk,
        junk / base,
        1.5,
        f"{queries(lambda: call('/query', {'query': ME}, 'tolp_junk'))} queries",
    )
    hand, page = costs(rounds // 10, lambda: by_hand(acme), lambda: ask(PAGE))
    print(f"\n{'A page of 100 tokens with owner and totalCount':<58} {'us':>10} {'x floor':>8}")
    line(".values() and json.dumps: the floor", hand, 1, 0)
    line(
        "apiTokens(first: 100)",
        page,
        page / hand,
        5,
        f"{queries(lambda: ask(PAGE))} queries, 1 of them who asks",
    )

    begun = time.perf_counter()
    first, middle = fill(acme, rows)
    print(
        f"\n{f'Depth, of {rows:,} rows (written in {time.perf_counter() - begun:.0f} s), wall':<58} "
        f"{'us':>10} {'x first':>8}"
    )
    top, deep = costs(
        rounds // 6,
        lambda: ask(NEXT, after=first),
        lambda: ask(NEXT, after=middle),
        clock=time.perf_counter,
    )
    line("the first page", top, 1, 0)
    line(f"the page behind row {rows // 2:,}", deep, deep / top, 1.3)


if __name__ == "__main__":
    main()
