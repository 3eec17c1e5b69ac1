"""Too much of one token, or of one address's bad credentials, is told to wait; nobody else notices."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.test import Client

from tests.conftest import World
from tests.factories import make_api_token, make_personal_token
from tokens import networks, throttling, usage
from tokens.models import TokenUsage

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
REDIS_URL = os.environ.get("REDIS_URL", "")


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def _own_counters() -> Iterator[None]:
    """Each test counts from nothing; where counts are kept is chosen at the first one."""
    throttling._own().clear()
    yield
    throttling._own.cache_clear()
    throttling._shared.cache_clear()


def an_address() -> str:
    """One that no other test counts under: Redis remembers for a minute."""
    drawn = uuid4().int
    return f"198.18.{drawn % 256}.{drawn // 256 % 256}"


def ask(credential: str, address: str = "192.0.2.1") -> Any:
    return Client(REMOTE_ADDR=address).post(
        "/query",
        {"query": "{ viewer { id } }"},
        content_type="application/json",
        headers={"authorization": f"Bearer {credential}"},
    )


def test_a_token_that_asks_too_often_is_told_to_wait_and_then_served(
    world: World, settings: Any, clock: Any
) -> None:
    settings.REQUESTS_PER_MINUTE = 3
    token = make_personal_token(world.owner).token
    clock.shift(timedelta(seconds=18))

    answers = [ask(token) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[0]["RateLimit-Policy"] == '"token";q=3;w=60'
    assert [answer["RateLimit"] for answer in answers] == [
        f'"token";r={left};t=42' for left in (2, 1, 0, 0, 0)
    ]
    refused = answers[3]
    assert refused["Retry-After"] == "42"
    assert refused.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert "Retry-After" not in answers[2]
    clock.shift(timedelta(seconds=42))
    assert ask(token).status_code == 200


def test_one_token_spends_no_others_quota(world: World, settings: Any, clock: Any) -> None:
    settings.REQUESTS_PER_MINUTE = 2
    busy, calm = make_personal_token(world.owner).token, make_api_token(world.acme, "read").token

    assert [ask(busy).status_code for _ in range(3)] == [200, 200, 429]
    assert ask(calm).status_code == 200


def test_a_refusal_is_in_the_rollup_and_not_among_the_uses(world: World, settings: Any, clock: Any) -> None:
    settings.REQUESTS_PER_MINUTE = 1
    token = make_personal_token(world.owner)
    ask(token.token), ask(token.token)
    usage.flush()

    assert TokenUsage.objects.get(token_id=token.pk, outcome="RATE_LIMITED").count == 1
    token.refresh_from_db()
    assert token.usage_count == 1


@pytest.mark.parametrize("junk", ["tolp_junk", "tola_" + "0" * 46], ids=["malformed", "unknown"])
def test_a_flood_of_bad_credentials_is_told_to_wait_and_good_ones_from_there_are_served(
    world: World, settings: Any, clock: Any, junk: str
) -> None:
    settings.REFUSALS_PER_MINUTE = 2
    flooding, calm = an_address(), an_address()
    token = make_personal_token(world.owner).token

    assert [ask(junk, flooding).status_code for _ in range(4)] == [401, 401, 429, 429]
    assert ask(junk, flooding)["RateLimit-Policy"] == '"address";q=2;w=60'
    assert ask(token, flooding).status_code == 200
    assert ask(junk, calm).status_code == 401


def test_an_attacker_who_guesses_does_not_lock_a_token(world: World, settings: Any, clock: Any) -> None:
    settings.REQUESTS_PER_MINUTE = settings.REFUSALS_PER_MINUTE = 2
    token = make_personal_token(world.owner).token
    guess = token[:-1] + ("0" if token[-1] != "0" else "1")

    attacking = an_address()
    for _ in range(5):
        ask(guess, attacking)
    assert [ask(token).status_code for _ in range(2)] == [200, 200]


def test_leaks_told_too_often_from_one_address_wait(world: World, settings: Any, clock: Any) -> None:
    settings.LEAKS_PER_MINUTE = 2

    def surrender(address: str) -> int:
        return (
            Client(REMOTE_ADDR=address)
            .post("/v1/tokens/revoke", {"token": "x"}, "application/json")
            .status_code
        )

    flooding = an_address()
    assert [surrender(flooding) for _ in range(4)] == [200, 200, 429, 429]
    assert surrender(an_address()) == 200


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_one_host_has_all_addresses_of_its_ipv6_network(first: str, second: str, is_one: bool) -> None:
    assert (networks.host_of(first) == networks.host_of(second)) is is_one


# --- where the counts are ----------------------------------------------------------------------------

COUNT = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()
from django.utils import timezone
from tokens import throttling
print(max(throttling.count_request(os.environ["WHO"], timezone.now()).used for _ in range(10)))
"""


def counted_by_another_process(who: str, redis_url: str) -> int:
    environment = {**os.environ, "WHO": who, "REDIS_URL": redis_url}
    ran = subprocess.run(
        [".venv/bin/python", "-c", COUNT], env=environment, capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(not REDIS_URL, reason="REDIS_URL names no Redis")
def test_workers_count_together_in_redis(settings: Any) -> None:
    who, now = f"test-{uuid4()}", datetime.now(UTC)
    here = throttling.count_request(who, now).used

    there = counted_by_another_process(who, REDIS_URL)

    is_same_minute = datetime.now(UTC).minute == now.minute
    assert here == 1
    assert there == 11 or not is_same_minute


def test_without_redis_each_worker_counts_for_itself(settings: Any) -> None:
    settings.REDIS_URL = ""
    who = f"test-{uuid4()}"
    throttling.count_request(who, NOON)

    assert counted_by_another_process(who, "") == 10


def test_while_redis_is_away_requests_are_counted_here_and_served(
    world: World, settings: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    settings.REQUESTS_PER_MINUTE = 2
    token = make_personal_token(world.owner).token

    assert [ask(token).status_code for _ in range(3)] == [200, 200, 429]
    assert "Redis does not answer" in caplog.text
