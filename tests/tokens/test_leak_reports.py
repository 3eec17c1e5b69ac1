"""Secret scanners report what they found, signed; what is ours is revoked at once, and its owner is told."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core import mail
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Event
from organizations.access import Denied, scanner
from organizations.models import Organization
from tests.conftest import Query, World
from tests.factories import SETUP, make_api_token, make_personal_token
from tests.tokens.test_notices import people
from tests.tokens.test_revocation import KINDS, events_about, happened, make, row
from tokens import secret, services
from tokens.checks import check_leak_report_keys
from tokens.models import NoticeKind
from tokens.secret import TokenKind

PATH = "/v1/leaks"
VIEWER = "{ viewer { id } }"
KEY, FORMER, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
URL = "https://example.org/acme/blob/1/.env#L2"


def public(key: Any) -> str:
    return base64.b64encode(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode()


@pytest.fixture(autouse=True)
def _ring(settings: Any) -> None:
    settings.LEAK_REPORT_KEYS = {"github": public(KEY), "former": public(FORMER)}


def signed(body: bytes, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    return base64.b64encode(key.sign(body, ec.ECDSA(SHA256()))).decode()


def post(body: bytes, key_id: str = "github", signature: str | None = None) -> HttpResponse:
    headers = {
        "Github-Public-Key-Identifier": key_id,
        "Github-Public-Key-Signature": signed(body) if signature is None else signature,
    }
    answer: HttpResponse = Client(enforce_csrf_checks=True).post(
        PATH, body, content_type="application/json", headers=headers
    )
    return answer


def found(value: str, **more: Any) -> dict[str, Any]:
    return {"token": value, "type": "tollgate_token", "url": URL, "source": "content"} | more


def report(*findings: Any) -> HttpResponse:
    return post(json.dumps(findings).encode())


def labels(response: HttpResponse) -> list[str]:
    assert response.status_code == 200, response.text
    return [one["label"] for one in json.loads(response.content)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_of_ours_is_revoked_with_where_it_was_found(world: World, query: Query, kind: str) -> None:
    token = make(kind, world, "read")

    answer = report(found(token.token))

    assert json.loads(answer.content) == [
        {
            "token_hash": base64.b64encode(hashlib.sha256(token.token.encode()).digest()).decode(),
            "token_type": "tollgate_token",
            "label": "true_positive",
        }
    ]
    assert query(VIEWER, token=token.token).code == "TOKEN_REVOKED"
    assert row(token)["revoked_reason"] == f"Leaked, and found by a secret scanner in content at {URL}"
    assert events_about(token) == happened(token, "created", "revoked")
    event = Event.objects.latest("pk")
    assert (event.actor_kind, event.actor_id, event.token_id) == ("scanner", "github", token.pk)
    assert event.changes == {"reason": row(token)["revoked_reason"]}


def test_each_value_has_its_label_in_its_place(world: World) -> None:
    api, personal = make_api_token(world.acme), make_personal_token(world.member)
    revoked, deleted = make_api_token(world.globex), make_api_token(world.globex)
    services.revoke(SETUP, revoked, reason="before")
    services.delete_token(SETUP, deleted)
    unknown, typo = secret.mint(TokenKind.API), secret.mint(TokenKind.API)[:-1] + "!"
    values = [api.token, unknown, personal.token, typo, revoked.token, "\ud800", deleted.token, "", api.token]

    answer = labels(report(*map(found, values)))

    ours = {api.token, personal.token, revoked.token, deleted.token}
    assert answer == ["true_positive" if value in ours else "false_positive" for value in values]
    assert row(revoked)["revoked_reason"] == "before"
    assert events_about(api) == happened(api, "created", "revoked")


def test_the_same_report_twice_changes_nothing_and_answers_the_same(world: World) -> None:
    token = make_api_token(world.acme)
    first = report(found(token.token))
    before, events = row(token), Event.objects.count()
    again = report(found(token.token))
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (row(token), Event.objects.count()) == (before, events)


@pytest.mark.parametrize("kind", KINDS)
def test_whose_token_it_was_is_told_where_it_was_found(world: World, kind: str) -> None:
    token = make(kind, world)
    people()
    report(found(token.token))
    assert people(NoticeKind.REVOKED) == (["admin", "owner"] if kind == "API token" else ["owner"])
    assert f"found by a secret scanner in content at {URL}" in " ".join(str(mail.outbox[0].body).split())


SIGNATURES: dict[str, Callable[[bytes], tuple[str, str]]] = {
    "none": lambda body: ("github", ""),
    "no key": lambda body: ("", signed(body)),
    "an unknown key": lambda body: ("somebody", signed(body)),
    "a stranger's": lambda body: ("github", signed(body, STRANGER)),
    "under another key of the ring": lambda body: ("github", signed(body, FORMER)),
    "of another body": lambda body: ("github", signed(body + b" ")),
    "no base64": lambda body: ("github", "?" + signed(body)),
    "not ASCII": lambda body: ("github", "é" + signed(body)),
    "no DER": lambda body: ("github", base64.b64encode(b"\0" * 64).decode()),
}


@pytest.mark.parametrize("what", SIGNATURES)
def test_a_report_without_a_good_signature_is_refused(world: World, what: str) -> None:
    token = make_api_token(world.acme)
    body = json.dumps([found(token.token)]).encode()
    answer = post(body, *SIGNATURES[what](body))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "UNAUTHORIZED")
    assert row(token)["revoked_at"] is None


def test_every_key_of_the_ring_is_good_and_none_is_good_without_a_ring(world: World, settings: Any) -> None:
    body = json.dumps([found(make_api_token(world.acme).token)]).encode()
    assert labels(post(body, "former", signed(body, FORMER))) == ["true_positive"]
    settings.LEAK_REPORT_KEYS = {}
    assert post(body).status_code == 403


def test_the_headers_are_those_that_are_set(world: World, settings: Any) -> None:
    settings.LEAK_REPORT_KEY_HEADER, settings.LEAK_REPORT_SIGNATURE_HEADER = "X-Key", "X-Signature"
    headers = {"X-Key": "github", "X-Signature": signed(b"[]")}
    answer = Client().post(PATH, b"[]", content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()) == (200, [])
    assert post(b"[]").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'"x"',
        b"\xff",
        b"[1]",
        b"[{}]",
        b'[{"token": 1}]',
        b'[{"token": "x", "url": 1}]',
        b'[{"token": "x", "source": ["x"]}]',
        b'[{"token": "x", "type": {}}, {"token": "x"}]',
        b"[" * 100_000,
    ],
    ids=range(11),
)
def test_a_report_that_cannot_be_meant_is_a_bad_request(db: None, body: bytes) -> None:
    answer = post(body)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


def test_a_report_has_at_most_500_values_and_none_of_more_is_looked_at(world: World) -> None:
    token = make_api_token(world.acme)
    for count in (501, 10_000):
        answer = report(found(token.token), *[{"token": "x"}] * (count - 1))
        assert answer.status_code == 400
        assert answer.json()["error"] == f"At most 500 values in a report; these are {count}."
    assert report(found("x" * 2_000_000)).status_code == 400
    assert row(token)["revoked_at"] is None
    assert len(labels(report(*[{"token": "x"}] * 500))) == 500


def test_500_values_that_are_not_ours_cost_a_handful_of_queries(world: World) -> None:
    values = [secret.mint(kind) for kind in TokenKind for _ in range(250)]
    with CaptureQueriesContext(connection) as queries:
        labels(report(*map(found, values)))
    assert len(queries) == 6  # 500 digests, 200 at a time, in each of two tables


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", ""),
        (None, ""),
        (URL, f" at {URL}"),
        ("https://x/" + "y" * 5_000, " at https://x/" + "y" * 290),
        ("https://x/\r\nForged: line", " at (unreadable)"),
        ("https://x/\x1b[31m", " at (unreadable)"),
        ("https://x/\u202etxt", " at (unreadable)"),
        ("https://x/\0", " at (unreadable)"),
        ("https://x/\ud800", " at (unreadable)"),
    ],
    ids=range(9),
)
def test_a_place_is_cut_and_one_that_would_deceive_is_left_out(world: World, url: Any, told: str) -> None:
    """The token is revoked all the same: a strange address must not keep a leaked value alive."""
    token = make_api_token(world.acme)
    labels(report(found(token.token, url=url, source=None)))
    assert row(token)["revoked_reason"] == "Leaked, and found by a secret scanner" + told


def test_a_place_that_holds_the_value_is_kept_without_it(world: World) -> None:
    token = make_api_token(world.acme)
    for longest in ("", "y" * 270):
        place = f"https://example.org/{longest}?key={token.token}"
        answer = report(found(token.token, url=place, source=token.token, type=token.token))
        assert token.token not in answer.text
    assert row(token)["revoked_reason"] == (
        "Leaked, and found by a secret scanner in tola_[redacted] at https://example.org/?key=tola_[redacted]"
    )


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_only_post_is_answered(db: None, method: str) -> None:
    answer = getattr(Client(), method)(PATH)
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_a_scanner_may_do_nothing_else(world: World) -> None:
    token, other = make_api_token(world.acme, "admin"), make_api_token(world.acme)
    somebody = scanner("github", token)
    assert somebody.abilities == []
    for attempt in (
        lambda: services.revoke(somebody, other, reason=None),
        lambda: services.delete_token(somebody, token),
    ):
        with pytest.raises((Denied, Organization.DoesNotExist)):
            attempt()


@pytest.mark.parametrize(
    ("key_id", "key"),
    [
        ("", public(KEY)),
        ("x" * 65, public(KEY)),
        ("github", ""),
        ("github", "no base64"),
        ("github", public(KEY)[:-8]),
        ("github", public(ed25519.Ed25519PrivateKey.generate())),
        ("github", public(ec.generate_private_key(ec.SECP384R1()))),
    ],
    ids=range(7),
)
def test_a_key_that_verifies_nothing_is_told_at_the_start(settings: Any, key_id: str, key: str) -> None:
    assert check_leak_report_keys() == []
    settings.LEAK_REPORT_KEYS = {key_id: key}
    assert [one.id for one in check_leak_report_keys()] == ["tokens.E005"]
