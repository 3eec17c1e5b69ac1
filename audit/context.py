"""Where a request comes from, bound once by the middleware and read by whatever records an event."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """`address` is empty for a command; `user_agent` is cut to 300 characters."""

    address: str = ""
    user_agent: str = ""
    request_id: str = ""


NOWHERE = Facts()

_facts: ContextVar[Facts] = ContextVar("facts", default=NOWHERE)


def current() -> Facts:
    return _facts.get()


def bind(facts: Facts) -> None:
    _facts.set(facts)
