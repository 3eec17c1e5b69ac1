"""What an organization demands of the tokens that reach it: eight rules, each off, report-only or enforced.

Pure: no database. A rule is asked when a token is issued and each time it is used, so that a policy holds
for tokens that are older than it. Neighbours: models.TokenPolicy (the columns), policies.py (changing and
previewing them), authentication.py (each use), services.py (issuing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from organizations.scopes import covers, held
from tokens import networks

if TYPE_CHECKING:
    from tokens.models import Token


class Mode(StrEnum):
    """What happens to a token that breaks a rule. Report-only: nothing, and it is counted."""

    OFF = "OFF"
    REPORT_ONLY = "REPORT_ONLY"
    ENFORCE = "ENFORCE"


class Rule(StrEnum):
    """Each has a column `<rule>_mode`."""

    MAXIMUM_LIFETIME = "maximum_lifetime"
    INACTIVITY_LIMIT = "inactivity_limit"
    EXPIRY_REQUIRED = "expiry_required"
    SCOPES_REQUIRED = "scopes_required"
    ALLOWED_KINDS = "allowed_kinds"
    GRANTABLE_SCOPES = "grantable_scopes"
    ALLOWED_ADDRESSES = "allowed_addresses"
    LIVE_TOKENS = "live_tokens"


class Terms(NamedTuple):
    """A policy's columns, in the order they are selected. `maximum_lifetime_mode` None: no policy."""

    maximum_lifetime_mode: str | None = None
    maximum_lifetime_days: int | None = None
    inactivity_limit_mode: str | None = None
    inactivity_limit_days: int | None = None
    expiry_required_mode: str | None = None
    scopes_required_mode: str | None = None
    allowed_kinds_mode: str | None = None
    allowed_kinds: list[str] | None = None
    grantable_scopes_mode: str | None = None
    grantable_scopes: list[str] | None = None
    allowed_addresses_mode: str | None = None
    allowed_addresses: list[str] | None = None
    live_tokens_mode: str | None = None
    live_tokens_limit: int | None = None

    def mode(self, rule: Rule) -> str | None:
        mode: str | None = getattr(self, f"{rule}_mode")
        return mode

    def enforces(self, rule: Rule) -> bool:
        return self.mode(rule) == Mode.ENFORCE


NO_TERMS = Terms()


class Occasion(NamedTuple):
    """When and from where a token is used or issued. `older`: live tokens its owner had before it.

    `address` "" is an unknown one, None stands for whichever is accepted.
    """

    now: datetime
    address: str | None = None
    older: int = 0


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that a token breaks. `code`: what a refusal is called on the wire; `why` states the remedy."""

    rule: Rule
    mode: str
    code: str
    why: str


Check = Callable[["Token", Terms, Occasion], str | None]
"""Why a token breaks a rule, or None."""


def longest_life(token: Token, terms: Terms, now: datetime) -> datetime | None:
    """When the maximum lifetime ends it, whichever mode that has; None without one."""
    days = terms.maximum_lifetime_days
    return None if days is None else (token.created_at or now) + timedelta(days=days)


def patience_ends(token: Token, terms: Terms, now: datetime) -> datetime | None:
    """When it has not been used for too long, whichever mode that has; None without a limit."""
    days = terms.inactivity_limit_days
    return None if days is None else (token.last_used_at or token.created_at or now) + timedelta(days=days)


def _outlived(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    end = longest_life(token, terms, occasion.now)
    if end is None or occasion.now < end:
        return None
    return f"Tokens live {terms.maximum_lifetime_days} days here, and this one's are over. Issue a new one."


def _forgotten(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    end = patience_ends(token, terms, occasion.now)
    if end is None or occasion.now < end:
        return None
    return (
        f"It was not used for {terms.inactivity_limit_days} days, which ends a token here. Issue a new one."
    )


def _endless(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    return "Tokens must expire here. Give expiresAt." if token.expires_at is None else None


def _unscoped(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    return "Tokens must name their scopes here. Give scopes." if token.limit is None else None


def _unwanted(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    kind = token.kind.name
    return None if kind in (terms.allowed_kinds or ()) else f"{kind.title()} tokens are not accepted here."


def _overscoped(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    granted = held(terms.grantable_scopes or ())
    beyond = sorted(scope for scope in token.limit or () if not covers(granted, scope))
    return f"Not granted to tokens here: {', '.join(beyond)}. Leave them out." if beyond else None


def _elsewhere(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    if occasion.address is None or networks.hold(terms.allowed_addresses or (), occasion.address):
        return None
    return f"Tokens are not accepted from {occasion.address or 'an unknown address'} here."


def _crowded(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    most = terms.live_tokens_limit
    if most is None or occasion.older < most:
        return None
    return f"An owner may have {most} live tokens here, and {occasion.older} are older. Revoke one of those."


def _too_long(token: Token, terms: Terms, occasion: Occasion) -> str | None:
    end = longest_life(token, terms, occasion.now)
    if end is None or token.expires_at is None or token.expires_at <= end:
        return None
    return f"Tokens live at most {terms.maximum_lifetime_days} days here: until {end.isoformat()}."


EXPIRED, ELSEWHERE, REFUSED = "TOKEN_EXPIRED", "ADDRESS_NOT_ALLOWED", "POLICY_REFUSED"

AT_USE: Mapping[Rule, tuple[str, Check]] = MappingProxyType(
    {
        Rule.MAXIMUM_LIFETIME: (EXPIRED, _outlived),
        Rule.INACTIVITY_LIMIT: (EXPIRED, _forgotten),
        Rule.EXPIRY_REQUIRED: (REFUSED, _endless),
        Rule.SCOPES_REQUIRED: (REFUSED, _unscoped),
        Rule.ALLOWED_KINDS: (REFUSED, _unwanted),
        Rule.GRANTABLE_SCOPES: (REFUSED, _overscoped),
        Rule.LIVE_TOKENS: (REFUSED, _crowded),
        Rule.ALLOWED_ADDRESSES: (ELSEWHERE, _elsewhere),
    }
)
"""Rule -> code of the refusal, check. What no other address would mend comes first."""

AT_ISSUE: Mapping[Rule, tuple[str, Check]] = MappingProxyType(
    {
        Rule.MAXIMUM_LIFETIME: ("expires_at", _too_long),
        Rule.EXPIRY_REQUIRED: ("expires_at", _endless),
        Rule.SCOPES_REQUIRED: ("scopes", _unscoped),
        Rule.ALLOWED_KINDS: ("owner_id", _unwanted),
        Rule.GRANTABLE_SCOPES: ("scopes", _overscoped),
        Rule.LIVE_TOKENS: ("owner_id", _crowded),
    }
)
"""Rule -> field at which it is told, check."""

NARROWING = frozenset({Rule.GRANTABLE_SCOPES})
"""Rules that, enforced, take scopes from a token that is used instead of refusing it."""


def at_use(token: Token, terms: Terms, occasion: Occasion) -> list[Breach]:
    """What a token that is used here breaks, report-only rules included."""
    return list(_breaches(AT_USE, token, terms, occasion))


def at_issue(token: Token, terms: Terms, occasion: Occasion) -> list[Breach]:
    """What a token that is to be issued or changed would break; `code` is the field it is told at."""
    return list(_breaches(AT_ISSUE, token, terms, occasion))


def _breaches(
    rules: Mapping[Rule, tuple[str, Check]], token: Token, terms: Terms, occasion: Occasion
) -> Iterator[Breach]:
    if terms.maximum_lifetime_mode is None:
        return
    for rule, (code, check) in rules.items():
        mode = terms.mode(rule)
        if mode is not None and mode != Mode.OFF and (why := check(token, terms, occasion)):
            yield Breach(rule, mode, code, why)


def refusal(breaches: list[Breach]) -> Breach | None:
    """The first breach for which a use is refused."""
    return next((one for one in breaches if one.mode == Mode.ENFORCE and one.rule not in NARROWING), None)


def reported(breaches: list[Breach]) -> list[Rule]:
    """The rules that would refuse, were they enforced."""
    return [one.rule for one in breaches if one.mode == Mode.REPORT_ONLY]


def grantable(terms: Terms) -> frozenset[str] | None:
    """The canonical scopes that tokens may use here; None for all."""
    return held(terms.grantable_scopes or ()) if terms.enforces(Rule.GRANTABLE_SCOPES) else None


def expiry(token: Token, terms: Terms, now: datetime) -> datetime | None:
    """The earliest end that no use puts off; None for a token that has none."""
    return min(
        (end for end, what in endings(token, terms, now) if what != Rule.INACTIVITY_LIMIT), default=None
    )


def endings(token: Token, terms: Terms, now: datetime) -> Iterator[tuple[datetime, str]]:
    """Every moment at which this token would end by itself, and what ends it: a column or a rule."""
    if token.expires_at is not None:
        yield token.expires_at, "expires_at"
    if token.overlap_ends_at is not None:
        yield token.overlap_ends_at, "rotation"
    for rule, end in (
        (Rule.MAXIMUM_LIFETIME, longest_life(token, terms, now)),
        (Rule.INACTIVITY_LIMIT, patience_ends(token, terms, now)),
    ):
        if end is not None and terms.enforces(rule):
            yield end, rule
