"""An organization's token policy: held up when tokens are issued, changed, and previewed before it bites.

Neighbours: policy.py (the rules), models.TokenPolicy (the row), standing.py (the rules at each use).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from audit import context
from audit.actions import Action
from audit.services import record
from organizations.access import Principal, require, writing
from organizations.changes import require_known, rewrite
from organizations.models import Organization
from tokens import networks, policy
from tokens.models import APIToken, PersonalAccessToken, Token, TokenPolicy, TokenQuerySet, TokenUsage
from tokens.policy import Mode, Occasion, Rule, Terms
from tokens.standing import older_siblings

CHANGEABLE = (*Terms._fields, "tags")
MOST_LISTED = 1_000
PAGE_ROWS = 500


class Demand(NamedTuple):
    """What one organization demands of a token."""

    organization_id: UUID
    organization_name: str
    terms: Terms


class Policies:
    """The policies that tokens are issued under: each read once, however many tokens one call issues."""

    def __init__(self) -> None:
        self._of_organization: dict[UUID, list[Demand]] = {}
        self._drafted: Counter[UUID] = Counter()

    def of(self, token: Token, organizations: Collection[UUID] | None) -> list[Demand]:
        """What those it reaches demand. `organizations` None: all that a person is in."""
        if token.realm is None:
            is_reached = (
                Q(organization__members__user=token.owner_id, organization__deleted_at__isnull=True)
                if organizations is None
                else Q(organization__in=organizations)
            )
            return _demands(is_reached)
        if token.realm not in self._of_organization:
            self._of_organization[token.realm] = _demands(Q(organization=token.realm))
        return self._of_organization[token.realm]

    def require_issuable(self, token: Token, organizations: Collection[UUID] | None, now: datetime) -> None:
        """Raises ValidationError for what a policy forbids; what is report-only is kept for the event."""
        demands = self.of(token, organizations)
        older = 0
        if any(demand.terms.mode(Rule.LIVE_TOKENS) in (Mode.ENFORCE, Mode.REPORT_ONLY) for demand in demands):
            others: TokenQuerySet[Any] = TokenQuerySet(type(token)).counted(now).filter(owner=token.owner_id)
            older = others.exclude(pk=token.pk).count()
            older += self._drafted[token.owner_id]
        self._drafted[token.owner_id] += 1
        _refuse(token, list(_breaches(token, demands, Occasion(now, older=older))))


Found = tuple[Demand, policy.Breach]


def _demands(is_reached: Q) -> list[Demand]:
    rows = TokenPolicy.objects.filter(is_reached).values_list(
        "organization_id", "organization__name", *Terms._fields
    )
    return [Demand(key, name, Terms(*terms)) for key, name, *terms in rows]


def _breaches(token: Token, demands: Sequence[Demand], occasion: Occasion) -> Iterator[Found]:
    return (
        (demand, breach) for demand in demands for breach in policy.at_issue(token, demand.terms, occasion)
    )


def _refuse(token: Token, found: Sequence[Found]) -> None:
    """Raises ValidationError, at the fields concerned."""
    refused: dict[str, list[str]] = {}
    for demand, breach in found:
        if breach.mode == Mode.ENFORCE:
            refused.setdefault(breach.code, []).append(f"{demand.organization_name}: {breach.why}")
    if refused:
        raise ValidationError(refused)  # type: ignore[arg-type]  # the stubs know no list of texts
    vars(token)["reported"] = [
        {"organization": str(demand.organization_id), "rule": breach.rule} for demand, breach in found
    ]


class Watch:
    """What a policy says of a token before it is changed, so that only what the change breaks is refused."""

    def __init__(self, token: Token, organizations: Collection[UUID] | None, now: datetime) -> None:
        self._occasion = Occasion(now)
        self._before = {
            (demand.organization_id, breach.rule)
            for demand, breach in _breaches(token, Policies().of(token, organizations), self._occasion)
        }

    def require_changeable(self, token: Token, organizations: Collection[UUID] | None) -> None:
        """Raises ValidationError for a rule that held before."""
        found = _breaches(token, Policies().of(token, organizations), self._occasion)
        _refuse(
            token,
            [one for one in found if (one[0].organization_id, one[1].rule) not in self._before],
        )


# --- changing it ---------------------------------------------------------------------------------------


def update_policy(
    principal: Principal, organization_id: UUID, changes: Mapping[str, Any]
) -> tuple[TokenPolicy, list[str]]:
    """Change what an organization demands; made by the first change. The policy, and warnings to its maker.

    Raises ValidationError for a rule without its value, and as require().
    """
    require(principal, "admin:organization", organization_id)
    require_known(changes, CHANGEABLE)
    with writing(principal):
        # the organization's row, because of a policy that is yet to be made there is none to hold
        organization = Organization.objects.live().select_for_update(no_key=True).get(pk=organization_id)
        made, _ = TokenPolicy.objects.get_or_create(
            organization=organization, defaults={"created_by": principal.id, "updated_by": principal.id}
        )
        difference = rewrite(principal, made, changes)
        if difference:
            record(
                principal,
                Action.TOKEN_POLICY_UPDATED,
                made,
                organization_id=organization_id,
                changes=difference,
            )
    return made, list(_warnings(made.terms))


def _warnings(terms: Terms) -> Iterator[str]:
    """What is allowed and seldom meant: to shut oneself out (one may be about to move), rules that idle."""
    address = context.current().address
    if (
        address
        and terms.enforces(Rule.ALLOWED_ADDRESSES)
        and not networks.hold(terms.allowed_addresses or (), address)
    ):
        yield f"Your own address, {address}, is not among those allowed: tokens are refused from there now."
    lifetime, patience = terms.maximum_lifetime_days, terms.inactivity_limit_days
    both = terms.enforces(Rule.MAXIMUM_LIFETIME) and terms.enforces(Rule.INACTIVITY_LIMIT)
    if both and lifetime and patience and lifetime <= patience:
        yield f"The inactivity limit never applies: tokens end after {lifetime} days, used or not."


# --- seeing beforehand ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class PolicyEffect:
    """A token that would be refused, or would lose scopes. Of a personal one the name stays its owner's."""

    token_id: UUID
    kind: str
    name: str | None
    hint: str
    owner_id: UUID
    owner: str
    rule: str
    why: str


@dataclass(frozen=True)
class PolicyPreview:
    """`effects`: at most MOST_LISTED of `total`. `tokens`, `owners`: how many different ones are hit."""

    total: int
    tokens: int
    owners: int
    effects: list[PolicyEffect]


def preview(principal: Principal, organization_id: UUID, changes: Mapping[str, Any]) -> PolicyPreview:
    """Which living tokens these changes, enforced, would hit now. Raises as update_policy()."""
    require(principal, "admin:organization", organization_id)
    require_known(changes, CHANGEABLE)
    organization = Organization.objects.live().get(pk=organization_id)
    supposed = TokenPolicy.objects.filter(organization=organization).first() or TokenPolicy(
        organization=organization
    )
    for name, value in changes.items():
        setattr(supposed, name, value)
    supposed.full_clean(validate_unique=False, validate_constraints=False)
    total, tokens, owners = 0, set(), set()
    listed: list[PolicyEffect] = []
    for effect in _effects(organization, supposed.terms, timezone.now()):
        total += 1
        tokens.add(effect.token_id)
        owners.add(effect.owner_id)
        if len(listed) < MOST_LISTED:
            listed.append(effect)
    return PolicyPreview(total, len(tokens), len(owners), listed)


def _effects(organization: Organization, terms: Terms, now: datetime) -> Iterator[PolicyEffect]:
    elsewhere = terms.mode(Rule.ALLOWED_ADDRESSES) != Mode.OFF
    for page in _pages(_reaching(organization, now)):
        addresses = TokenUsage.objects.recent_addresses([one.pk for one in page]) if elsewhere else {}
        for token in page:
            here = Occasion(now, older=token.older or 0)
            for breach in policy.at_use(token, terms, here):
                yield _effect(token, breach.rule, breach.why)
            outside = [
                one["address"]
                for one in addresses.get(token.pk, ())
                if not networks.hold(terms.allowed_addresses or (), one["address"])
            ]
            if outside:
                yield _effect(token, Rule.ALLOWED_ADDRESSES, f"Used from {', '.join(outside)}.")


def _effect(token: Any, rule: Rule, why: str) -> PolicyEffect:
    name = token.name if token.realm else None
    return PolicyEffect(
        token.pk, token.kind.name, name, token.hint, token.owner_id, str(token.owner), rule, why
    )


def _reaching(organization: Organization, now: datetime) -> Iterator[models.QuerySet[Any]]:
    """The living tokens that reach an organization, of either kind."""
    yield APIToken.objects.living(now).filter(owner=organization)
    chosen = Q(covers_all_organizations=False, organizations=organization)
    every = Q(covers_all_organizations=True) & ~Q(lost_organizations=organization)
    yield PersonalAccessToken.objects.living(now).filter(
        chosen | every, owner__is_active=True, owner__org_memberships__organization=organization
    )


def _pages(querysets: Iterator[models.QuerySet[Any]]) -> Iterator[list[Any]]:
    for tokens in querysets:
        ordered = tokens.select_related("owner").annotate(older=older_siblings(tokens.model)).order_by("pk")
        page = list(ordered[:PAGE_ROWS])
        while page:
            yield page
            page = list(ordered.filter(pk__gt=page[-1].pk)[:PAGE_ROWS])
