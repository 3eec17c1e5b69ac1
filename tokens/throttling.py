"""How often: requests of one token, refused credentials from one address. Counted in fixed windows.

In Redis when REDIS_URL is set, in one round trip and for all workers together; else in the memory of each
worker, which then has a quota of its own. While Redis is away each worker counts for itself, and says so.

A token spends its own quota alone, and only whoever holds its value can spend it. An address spends its
quota by refused credentials alone: a good one is served from there whatever else comes. Neighbours:
authentication.py, which asks; config/lockout.py, about passwords.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.cache.backends.locmem import LocMemCache
from limits.storage import Storage, storage_from_string

from tokens import networks

log = logging.getLogger(__name__)

REDIS_PATIENCE_SECONDS = 0.2
MOST_COUNTERS = 100_000
"""Of a worker. Beyond that it forgets some, and serves whom they were about a little longer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds. `name`: as the header fields tell it."""

    name: str
    quota: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of a rate is used, in the window that ends in `resets_in` seconds."""

    rate: Rate
    used: int
    resets_in: int

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.rate.quota

    @property
    def headers(self) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers-10, and Retry-After once it is too often."""
        left = max(0, self.rate.quota - self.used)
        told = {
            "RateLimit-Policy": f'"{self.rate.name}";q={self.rate.quota};w={self.rate.seconds}',
            "RateLimit": f'"{self.rate.name}";r={left};t={self.resets_in}',
        }
        return told | ({"Retry-After": str(self.resets_in)} if self.is_exceeded else {})


def count_request(token_id: object, now: datetime) -> Tally:
    """A request of an accepted token."""
    return _count(Rate("token", settings.REQUESTS_PER_MINUTE, 60), str(token_id), now)


def count_refusal(address: str, now: datetime) -> Tally:
    """A refused credential from a host."""
    return _count(Rate("address", settings.REFUSALS_PER_MINUTE, 60), _host(address), now)


def count_report(address: str, now: datetime) -> Tally:
    """A leak told by a host, with or without a signature."""
    return _count(Rate("leaks", settings.LEAKS_PER_MINUTE, 60), _host(address), now)


def _host(address: str) -> str:
    return networks.host_of(address) or "unknown"


def _count(rate: Rate, who: str, now: datetime) -> Tally:
    window, into = divmod(int(now.timestamp()), rate.seconds)
    key = f"{rate.name}/{who}/{window}"
    return Tally(rate, _used(key, rate.seconds), rate.seconds - into)


def _used(key: str, seconds: int) -> int:
    shared = _shared()
    if shared is None:
        return _own_used(key, seconds)
    try:
        return shared.incr(key, seconds)
    except shared.base_exceptions as fault:
        log.warning("Redis does not answer, each worker counts for itself: %s", type(fault).__name__)
        return _own_used(key, seconds)


def _own_used(key: str, seconds: int) -> int:
    """In this worker. Another thread may add the same key meanwhile, which add() leaves as it is."""
    counters = _own()
    counters.add(key, 0, seconds)
    return counters.incr(key)


@functools.cache
def _own() -> LocMemCache:
    """Django's: bounded, and without the threads of `limits`, one of which can keep a worker alive."""
    return LocMemCache("throttling", {"OPTIONS": {"MAX_ENTRIES": MOST_COUNTERS}})


@functools.cache
def _shared() -> Storage | None:
    """Made at the first count, in the worker that counts."""
    if not settings.REDIS_URL:
        return None
    patience = {"socket_timeout": REDIS_PATIENCE_SECONDS, "socket_connect_timeout": REDIS_PATIENCE_SECONDS}
    return storage_from_string(settings.REDIS_URL, **patience)  # type: ignore[return-value]
