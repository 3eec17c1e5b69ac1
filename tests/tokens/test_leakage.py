"""A value is shown by the answer that made it, and is nowhere else: no page, log, mail, row, error or pickle.

Log lines and rows are searched after every test of the suite (tests/conftest.py); here every face is walked
through, and every way to fail with a value in one's hands.
"""

import copy
import io
import json
import logging
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.core import mail, serializers
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path, reverse
from django.utils import timezone
from django.utils.log import AdminEmailHandler
from django.views.decorators.csrf import csrf_exempt

from audit.models import Event
from tests import traces
from tests.admin.conftest import Desk
from tests.conftest import Query, World
from tests.factories import SETUP, UserFactory, make_api_token, make_personal_token
from tests.tokens.test_escalation import UPDATE_PERSONAL
from tests.tokens.test_seed_documents import CREATE_API, CREATE_PERSONAL, LIST_API, LIST_PERSONAL
from tokens import secret, services, usage
from tokens.authentication import identify
from tokens.models import APIToken, Token
from tokens.redaction import RedactTokens
from tokens.secret import TokenKind

BODY = "tolp_NeverShowThisAnywhereNeverShowThisAnyone"
VALUE = BODY + secret.checksum(BODY)
PEPPERS = [pepper.decode() for pepper in configured.TOKEN_PEPPERS.values()]


def shows(text: str, *values: str) -> bool:
    """Whether a good part of a value is there: nobody guesses the rest of twenty characters, but still."""
    return any(value[start : start + 20] in text for value in values for start in range(9, 31))


# --- the whole loop, through every face (case 41) ----------------------------------------------------


def over_graphql(world: World, query: Query) -> Iterator[tuple[str | None, str]]:
    """(the value that this answer may show, the answer) of a token's life over GraphQL."""
    asking = make_personal_token(world.owner, "admin").token
    for document in (CREATE_API, CREATE_PERSONAL):
        answer = query(document, {"input": {"name": "x", "scopes": ["read"]}}, token=asking)
        ((_, payload),) = answer.data.items()
        ((_, made),) = payload.items()
        yield made["token"], json.dumps(answer.body)
    value = made["token"]
    masks = (
        "{ apiTokens { edges { node { token hint } } } personalAccessTokens { edges { node { token } } } }"
    )
    for document in (LIST_API, LIST_PERSONAL, masks, "{ viewer { id label kind } }", "{ me { id } }"):
        yield None, json.dumps(query(document, token=value).body)
    for wrong in (value[:-1], value + "x", value[:30] + "?" + value[31:], secret.mint(TokenKind.API)):
        yield None, _all_of(query("{ me { id } }", token=wrong))
    yield None, _all_of(query("{ me { id } }", token=value, **{"x-request-id": value}))
    yield None, _all_of(query("{ me { id } }", token=value, **{"user-agent": value}))
    yield None, _all_of(query("query($id: ID!) { apiToken(id: $id) { id } }", {"id": value}, token=asking))
    yield None, _all_of(query(f'mutation {{ deleteAPIToken(id: "{value}") {{ deletedID }} }}', token=value))
    yield None, _all_of(query(f'{{ apiTokens(after: "{value}") {{ totalCount }} }}', token=value))
    yield None, _all_of(query(f"{{ {value} }}", token=value))
    variables = {"id": made["id"], "input": {"isActive": False, "revokedReason": "done"}}
    yield None, _all_of(query(UPDATE_PERSONAL, variables, token=asking))
    yield None, _all_of(query("{ me { id } }", token=value))


def _all_of(answer: Any) -> str:
    """An answer, without the document that its errors may point into."""
    return json.dumps([answer.body, answer.headers])


def over_http(value: str) -> Iterator[str]:
    """Pages and refusals for somebody who sends the value in wrong places."""
    client = Client()
    for response in (
        client.get("/", {"token": value}),
        client.get(f"/{value}"),
        client.get(f"/query?token={value}"),
        client.get("/nowhere", headers={"authorization": f"Bearer {value}", "accept": "text/html"}),
        client.post("/login/", {"username": value, "password": "x"}),
        client.post("/login/", {"username": "owner@example.org", "password": value}),
        client.post("/query", f'{{"query": "{value}', "application/json"),
        client.post("/query", {"query": value}, headers={"authorization": f"Basic {value}"}),
        client.get("/livez", headers={"user-agent": value}),
        client.get("/v1/scopes", headers={"authorization": f"Bearer {value}"}),
        client.get("/admin/", headers={"authorization": f"Bearer {value}"}),
    ):
        yield _page(response)


def _page(response: HttpResponse) -> str:
    """A page without what its form gives back to whoever typed it, and its headers."""
    return re.sub(r"<(input|textarea)[^>]*>[^<]*", "", response.text) + str(dict(response.headers))


def over_the_admin(world: World) -> Iterator[tuple[str | None, str]]:
    desk = Desk(UserFactory(email="root@example.org", is_staff=True, is_superuser=True))
    issued = desk.submit("tokens_apitoken_add", owner=str(world.acme.pk), name="desk").text
    (value,) = secret.find(issued)
    yield value, issued
    token = APIToken.objects.get(name="desk")
    for response in (
        desk.get("tokens_apitoken_changelist"),
        desk.post("tokens_apitoken_changelist", q=value),
        desk.post("tokens_apitoken_changelist", q=f"found {value} in a wiki"),
        desk.get("tokens_apitoken_changelist", q=value),
        desk.get("tokens_apitoken_changelist", q="tokens"),
        desk.get("tokens_apitoken_change", token.pk),
        desk.submit("tokens_apitoken_change", token.pk, name=value),
        desk.get("tokens_apitoken_revoke", tokens=str(token.pk)),
        desk.client.post(
            reverse("admin:tokens_apitoken_revoke"),
            {"tokens": str(token.pk), "reason": f"found {value} in a wiki"},
        ),
        desk.get("audit_event_changelist"),
        desk.get("audit_event_change", Event.objects.latest("id").pk),
        desk.get("index"),
    ):
        yield None, _page(response)


def over_the_shell(folder: Path) -> Iterator[tuple[str | None, str]]:
    issued = _run("issuetoken", "--organization", "acme", "--name", "shell", "--json")
    (value,) = secret.find(issued)
    yield value, issued
    leaked = folder / "leak.txt"
    leaked.write_text(f"password: {value}\n")
    for command in (
        ("listtokens",),
        ("listtokens", "--json"),
        ("tokenreport",),
        ("revoketokens", "--leaked", str(leaked), "--reason", "leaked", "--dry-run"),
        ("revoketokens", "--leaked", str(leaked), "--reason", "leaked", "--yes", "--json"),
        ("listtokens", "--json"),
    ):
        yield None, _run(*command)


def _run(*command: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    call_command(*command, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def test_a_value_is_shown_by_the_answer_that_made_it_and_by_nothing_else(
    world: World,
    query: Query,
    tmp_path: Path,
    minted: traces.Minted,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = frozenset(minted)
    told = [*over_graphql(world, query)]
    told += [(None, text) for text in over_http(make_personal_token(world.owner).token)]
    told += [*over_the_admin(world), *over_the_shell(tmp_path)]
    usage.flush()
    values = minted - before

    assert sum(allowed is not None for allowed, _ in told) == 4
    for allowed, text in told:
        assert not shows(text, *(values - {allowed}))
        if allowed is not None:
            assert text.count(allowed) == 1
    console = capsys.readouterr()
    assert not shows(console.out + console.err, *values)
    assert not shows("\n".join(str(message.message()) for message in mail.outbox), *values)
    assert [row for row in traces.rows() if shows(row, *values)] == []
    assert not any(shows(caplog.handler.format(record), *values) for record in caplog.records)


def test_what_a_token_leaves_in_its_row_is_its_hint_and_its_digest(world: World) -> None:
    token = make_api_token(world.acme)

    (row,) = [row for row in traces.rows() if row.startswith("APIToken:")]

    assert secret.hint(token.token) in row
    assert token.token[:10] not in row


# --- the search itself --------------------------------------------------------------------------------


def test_the_search_finds_a_value_in_a_row_wherever_it_stands(world: World, minted: traces.Minted) -> None:
    token = make_api_token(world.acme)
    stored = APIToken.objects.filter(pk=token.pk)

    for planted in (
        {"name": f"x{token.token}y"},
        {"tags": [token.token]},
        {"digest": token.token.encode()},
        {"revoked_by": token.token},
    ):
        (before,) = stored.values(*planted)
        stored.update(**planted)
        assert len(minted.shown_in(traces.rows())) == 1
        stored.update(**before)
    assert minted.shown_in(traces.rows()) == []


def test_the_search_finds_a_value_in_a_log_line_that_nothing_redacts(minted: traces.Minted) -> None:
    value, listener = secret.mint(TokenKind.API), traces.Listener(minted)
    listener.filters.clear()
    record = logging.LogRecord("x", logging.INFO, "", 0, "used %s", (value,), None)

    listener.handle(record)

    assert len(listener.leaks) == 1


# --- logs --------------------------------------------------------------------------------------------


class Careless:
    def __str__(self) -> str:
        return f"Careless({VALUE})"

    __repr__ = __str__


LINES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "the message": (f"used {VALUE}", ()),
    "an argument": ("used %s", (VALUE,)),
    "an argument of several": ("%s used %s from %d", ("ci", VALUE, 3)),
    "a mapping": ("used %(value)s", ({"value": VALUE},)),
    "an object": ("used %r", (Careless(),)),
    "the message is an object": (Careless(), ()),
    "a header": ("%s", ({"Authorization": f"Bearer {VALUE}"},)),
    "cut in two by a placeholder": (f"used {VALUE[:20]}%s", (VALUE[20:],)),
    "two of them": ("%s %s", (VALUE, VALUE)),
    "behind one cut short": (f"{VALUE[:48]}{VALUE}", ()),
    "too many arguments": ("used", (VALUE,)),
    "too few arguments": (f"{VALUE} %s %s", ("x",)),
    "arguments of another type": ("used %d", (VALUE,)),
    "a key that is not there": ("used %(nothing)s", ({"value": VALUE},)),
    "a percent sign of its own": (f"100% of {VALUE}", (VALUE,)),
}


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str]) -> Any:
    """line(message, ...): what a handler as it is configured writes of that, and what logging complains."""
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.addFilter(RedactTokens())
    logger = logging.Logger("careless")
    logger.addHandler(handler)

    def written(message: Any, *arguments: Any, **options: Any) -> str:
        logger.warning(message, *arguments, **options)
        return stream.getvalue() + capsys.readouterr().err

    return written


@pytest.mark.parametrize("case", LINES)
def test_no_log_line_shows_a_value_however_it_got_there(line: Any, case: str) -> None:
    message, arguments = LINES[case]

    written = line(message, *arguments)

    assert "tolp_[redacted]" in written
    assert not shows(written, VALUE)


def test_no_traceback_in_a_log_shows_a_value(line: Any) -> None:
    try:
        raise ValueError(f"bad {VALUE}") from KeyError(VALUE)
    except ValueError:
        written = line("failed", exc_info=True, stack_info=True)

    assert written.count("tolp_[redacted]") == 2
    assert "ValueError: bad" in written
    assert not shows(written, VALUE)


def test_a_line_without_a_value_is_left_as_it_is(line: Any) -> None:
    assert line("used %s times, tola_ and tolp_short too", 3) == "used 3 times, tola_ and tolp_short too\n"


def test_every_configured_handler_redacts() -> None:
    handlers = configured.LOGGING["handlers"]
    assert handlers
    assert all("redact" in handler["filters"] for handler in handlers.values())

    tree = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    ours = [
        handler
        for logger in tree
        for handler in logger.handlers
        if not type(handler).__module__.startswith(("_pytest", "tests"))
        and not isinstance(handler, logging.NullHandler)
    ]
    # granian writes its own lines to its own stream, and knows no header; see docs/operations.md
    assert ours
    assert all(any(isinstance(one, RedactTokens) for one in handler.filters) for handler in ours)


# --- failures ----------------------------------------------------------------------------------------


@csrf_exempt
def fail(request: HttpRequest) -> HttpResponse:
    """Holds the value in every way a frame can, and drops it."""
    value = VALUE
    nested = {"headers": [("Authorization", f"Bearer {value}")], "object": Careless()}
    straddling = "x" * 4_050 + value  # Django cuts long variables, here in the middle of the value
    return _deeper(value, nested, straddling, request.POST.dict())


def _deeper(value: str, nested: Any, straddling: str, *more: Any, **named: Any) -> HttpResponse:
    raise ValueError(f"cannot use {value} of {nested}")


urlpatterns = [path("admin/tokens/fail", fail), path("", include("config.urls"))]
failing_page = pytest.mark.urls(__name__)


def failed(accept: str) -> HttpResponse:
    """The answer of a view that fails, asked with the value in every place a client may put it."""
    client = Client(raise_request_exception=False)
    client.cookies["remember"] = VALUE
    return client.post(
        f"/admin/tokens/fail?q={VALUE}",
        {"q": VALUE, "token": VALUE},
        headers={"accept": accept, "referer": f"http://testserver/?q={VALUE}", "x-custom": VALUE},
    )


@failing_page
@pytest.mark.parametrize("accept", ["text/html", "text/plain", "application/json", "*/*"])
@pytest.mark.parametrize("debug", [True, False])
def test_no_error_page_shows_a_value_or_a_pepper(db: None, settings: Any, debug: bool, accept: str) -> None:
    settings.DEBUG = debug

    response = failed(accept)

    assert response.status_code == 500
    assert ("cannot use tolp_[redacted]" in response.text) is debug
    assert not shows(response.text + str(dict(response.headers)), VALUE)
    assert not any(pepper in response.text for pepper in PEPPERS)


@failing_page
def test_a_failure_is_logged_with_its_cause_and_without_the_value(
    db: None, caplog: pytest.LogCaptureFixture, listener: traces.Listener
) -> None:
    failed("*/*")

    (record,) = [record for record in caplog.records if record.name == "django.request"]
    written = listener.format(record)
    assert "ValueError: cannot use tolp_[redacted]" in written
    assert not shows(written, VALUE)


@failing_page
@pytest.mark.parametrize("include_html", [True, False])
def test_no_mail_to_the_admins_shows_a_value(db: None, settings: Any, include_html: bool) -> None:
    settings.ADMINS = [("Admin", "admin@example.org")]
    handler = AdminEmailHandler(include_html=include_html)
    handler.addFilter(RedactTokens())
    logging.getLogger("django.request").addHandler(handler)
    try:
        failed("*/*")
    finally:
        logging.getLogger("django.request").removeHandler(handler)

    (message,) = mail.outbox
    assert "cannot use tolp_[redacted]" in message.body
    assert not shows(message.message().as_string() + message.body, VALUE)
    assert not any(shows(str(part), VALUE) for part in message.alternatives)
    assert not any(pepper in message.body for pepper in PEPPERS)


# --- what is kept ------------------------------------------------------------------------------------


def test_a_token_as_an_object_shows_its_value_only_when_asked_for_it(world: World) -> None:
    token = make_api_token(world.acme)

    for shown in (str(token), repr(token), str(model_to_dict(token)), f"{token}", repr([token])):
        assert not shows(shown, token.token)
    assert not shows(serializers.serialize("json", [token]), token.token)
    assert not shows(repr(identify(token.token, timezone.now())), token.token)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_token_is_neither_pickled_nor_copied_with_its_value(world: World, protocol: int) -> None:
    token: Token = make_personal_token(world.owner)

    pickled = pickle.dumps(token, protocol)

    assert token.token.encode()[9:] not in pickled
    assert pickle.loads(pickled).token == secret.MASK  # noqa: S301 (our own)
    assert copy.copy(token).token == secret.MASK
    assert token.token.startswith("tolp_")


def test_a_token_read_again_has_the_mask_in_place_of_its_value(world: World) -> None:
    token = make_api_token(world.acme)

    assert APIToken.objects.get(pk=token.pk).token == secret.MASK == "*" * 29


@pytest.mark.parametrize("text", [VALUE, f"leaked {VALUE} in a wiki", f"x{VALUE}x"])
def test_no_text_of_a_token_takes_a_value(world: World, text: str) -> None:
    """Whoever says why they revoke pastes what leaked; it would be stored, listed and audited."""
    token = make_api_token(world.acme)
    before = Event.objects.count()

    for refused in (
        lambda: services.create_api_token(SETUP, organization_id=world.acme.pk, name=text),
        lambda: services.update_token(SETUP, token, {"description": text}),
        lambda: services.update_token(SETUP, token, {"tags": ["a", text]}),
        lambda: services.update_token(SETUP, token, {"append_tags": [text]}),
        lambda: services.revoke(SETUP, APIToken.objects.get(pk=token.pk), reason=text),
        lambda: list(services.revoke_many(SETUP, APIToken.objects.all(), reason=text)),
    ):
        with pytest.raises(ValidationError, match="Leave the token itself out"):
            refused()

    assert Event.objects.count() == before
    assert not any(shows(row, VALUE) for row in traces.rows())


def test_a_value_in_the_body_of_a_request_is_refused(world: World, query: Query) -> None:
    before = Event.objects.count()
    token = make_personal_token(world.owner)

    for variables in ({"input": {"name": VALUE}}, {"input": {"name": "x", "tags": [VALUE]}}):
        answer = query(CREATE_API, variables, token=token.token)
        assert (answer.status, answer.code) == (400, "BAD_REQUEST")
        assert not shows(json.dumps(answer.body), VALUE)

    assert Event.objects.count() == before + 1
