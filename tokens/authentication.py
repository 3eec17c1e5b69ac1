"""From an Authorization header to a Principal: one SELECT, no write, no cache.

A malformed value stops before the database. A revocation holds on the very next request, because nothing
about a token is remembered between two. Neighbours: secret.py (the string), usage.py (what is counted),
organizations/access.py (what a Principal is).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.views.decorators.debug import sensitive_variables

from accounts.receivers import LOGGED_IN_AT
from audit import context
from organizations.access import ANONYMOUS, Barred, Kind, Principal, grants_of
from organizations.models import Organization
from tokens import peppers, secret, throttling, usage
from tokens.models import Token
from tokens.policy import Rule
from tokens.secret import Malformed, TokenKind
from tokens.standing import READINGS, BadCredential, Standing
from tokens.throttling import Tally
from tokens.usage import Use

REALM = "tollgate"
RATE_LIMITED = "RATE_LIMITED"
WOULD_REFUSE = "WOULD_REFUSE"
"""The outcome, in the rollup, of a use that a report-only rule would have refused."""
MISPLACED = (
    "A token anywhere but in the Authorization header ends up in logs. "
    "Send it as Authorization: Bearer, and revoke this one."
)


UNKNOWN = (
    "TOKEN_UNKNOWN",
    "No such token exists here. Check that it belongs to this server, or issue a new one.",
)


@sensitive_variables()
def identify(value: str, now: datetime) -> Principal:
    """Who sent this token? One SELECT, or none for a malformed value. Raises BadCredential."""
    try:
        kind = secret.parse(value)
    except Malformed as fault:
        raise BadCredential("TOKEN_MALFORMED", str(fault)) from None
    standing = _standing(kind, value)
    if standing is None:
        raise BadCredential(*UNKNOWN)
    token, address = standing.token, context.current().address
    try:
        principal = standing.admitted(now, address)
    except BadCredential as fault:
        usage.refused(token, fault.code, address, now)
        raise
    for organization_id, bar in principal.barred.items():
        if bar.extensions.get("policy") == Rule.INACTIVITY_LIMIT:
            usage.lose(token, organization_id)
    if token.pepper_id != peppers.current_key_id():
        usage.redigest(token, *peppers.signed(value))
    return principal


class Statement:
    """A SELECT compiled once by the ORM and executed by digest ever after.

    Building the same query through the ORM costs more than the database takes to answer it. The
    compiler's own converters turn the columns into Python values, on whichever database. Parameters are
    named, because Django searches a text for %s at every execution on SQLite; columns have no aliases, which
    nobody reads, because psycopg remembers how to send texts of up to 4,096 characters.
    """

    def __init__(self, queryset: models.QuerySet[Any], columns: Sequence[str]) -> None:
        query = queryset.order_by().values_list(*columns).query
        compiler = query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        table, column = queryset.model._meta.db_table, queryset.model._meta.get_field("digest").column
        quote = connection.ops.quote_name
        for _, _, alias in compiler.select:
            sql = sql.replace(f" AS {quote(alias)}", "", 1) if alias else sql
        self.params = {f"p{number}": value for number, value in enumerate(params)}
        names = iter(self.params)
        named = re.sub("%%|%s", lambda mark: mark[0] if mark[0] == "%%" else f"%({next(names)})s", sql)
        self.sql = f"{named} WHERE {quote(table)}.{quote(column)} IN "
        self.converters = compiler.get_converters([selected[0] for selected in compiler.select])
        self.compiler = compiler

    def rows(self, digests: Sequence[bytes]) -> list[Sequence[Any]]:
        asked = {f"digest{number}": value for number, value in enumerate(digests)}
        marks = ", ".join(f"%({name})s" for name in asked)
        with connection.cursor() as cursor:
            cursor.execute(f"{self.sql}({marks})", self.params | asked)
            found = cursor.fetchall()
        return list(self.compiler.apply_converters(found, self.converters))


@functools.cache
def _statement(kind: type[Token]) -> Statement:
    reading = READINGS[kind]
    return Statement(reading.queryset(), reading.columns())


@sensitive_variables()
def _standing(kind: TokenKind, value: str) -> Standing | None:
    model = usage.MODELS[kind]
    rows = _statement(model).rows(peppers.digests(value))
    return READINGS[model].standing.read(rows) if rows else None


def person(user: AbstractBaseUser, *, is_fresh: bool = True) -> Principal:
    """Somebody with a session. One query, for what their memberships grant."""
    return Principal(
        Kind.SESSION,
        id=str(user.pk),
        label=str(user),
        grants=grants_of([user.pk])[user.pk],
        user=user,
        is_fresh=is_fresh,
    )


class TokenBackend(BaseBackend):
    """`authenticate(request, token=...)`: the person a personal access token stands for.

    API tokens stand for no person; ask `identify` for their Principal.
    """

    @sensitive_variables()
    def authenticate(self, request: HttpRequest | None, token: str | None = None, **_: Any) -> Any:
        if token is None:
            return None
        try:
            return identify(token, timezone.now()).user
        except BadCredential:
            return None

    def get_user(self, user_id: Any) -> Any:
        return get_user_model().objects.filter(pk=user_id, is_active=True).first()


class TokenRequest(HttpRequest):
    """What a request is below PrincipalMiddleware. `uses`: what a bearer request asked for, one by one."""

    principal: Principal
    uses: list[Use]


class PrincipalMiddleware:
    """Gives each request its `principal`, or answers 401.

    A bearer header wins: the session is then ignored, so that no page and no admin opens to a token.
    """

    # Where a person may paste a token into a search; everywhere else a token in a URL is refused.
    SEARCH_PREFIX: ClassVar[str] = "/admin/tokens/"
    # Where the body says all: clients send their own credentials along (RFC 7009), or the dead token again.
    HEADLESS: ClassVar[frozenset[str]] = frozenset({"/v1/tokens/revoke"})

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    @sensitive_variables()
    def __call__(self, request: TokenRequest) -> HttpResponse:
        if self._is_misplaced(request):
            return refuse(400, "BAD_REQUEST", MISPLACED)
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None or request.path in self.HEADLESS:
            request.principal = cast(Principal, SimpleLazyObject(functools.partial(_of_session, request)))
            return self._in_organization(request)
        now = timezone.now()
        try:
            principal = identify(_bearer(header), now)
        except BadCredential as fault:
            refusals = throttling.count_refusal(context.current().address, now)
            return too_many(refusals) if refusals.is_exceeded else unauthenticated(fault)
        requests = throttling.count_request(principal.token.pk, now)
        if requests.is_exceeded:
            usage.refused(principal.token, RATE_LIMITED, context.current().address, now)
            return too_many(requests)
        request.principal = principal
        request.user = AnonymousUser()
        request.uses = []
        response = self._in_organization(request)
        uses = request.uses or [Use(_page(request), "", str(response.status_code))]
        uses += [Use("policy", rule, WOULD_REFUSE) for rule in principal.reported]
        usage.accepted(principal.token, uses, context.current().address, now)
        if principal.expires_at is not None:
            response["Token-Expires-At"] = principal.expires_at.isoformat().replace("+00:00", "Z")
        for name, value in requests.headers.items():
            response[name] = value
        return response

    def _is_misplaced(self, request: HttpRequest) -> bool:
        """Whether a token stands where logs and the audit trail would keep it."""
        told = ["PATH_INFO", "HTTP_USER_AGENT", "HTTP_X_REQUEST_ID"]
        if not request.path.startswith(self.SEARCH_PREFIX):
            told.append("QUERY_STRING")
        return any(secret.PATTERN.search(request.META.get(place, "")) for place in told)

    def _in_organization(self, request: TokenRequest) -> HttpResponse:
        chosen = request.META.get("HTTP_X_ORGANIZATION_ID")
        if chosen is not None and request.principal.is_authenticated:
            try:
                request.principal = request.principal.within(Organization._meta.pk.to_python(chosen))
            except (Organization.DoesNotExist, ValueError, ValidationError):
                return refuse(404, "NOT_FOUND", "organization not found")
            except Barred as why:
                return refuse(403, why.extensions["code"], str(why))
        return self.get_response(request)


def _page(request: HttpRequest) -> str:
    """What was asked for, as the URL configuration spells it: anything may stand in a path itself."""
    return f"/{request.resolver_match.route}" if request.resolver_match else "nowhere"


def _of_session(request: HttpRequest) -> Principal:
    if not request.user.is_authenticated:
        return ANONYMOUS
    age = timezone.now().timestamp() - request.session.get(LOGGED_IN_AT, 0)
    return person(request.user, is_fresh=age < settings.STEP_UP_MINUTES * 60)


def _bearer(header: str) -> str:
    """The credential of an RFC 6750 header; the scheme is case-insensitive. Raises BadCredential."""
    scheme, _, credential = header.partition(" ")
    if scheme.lower() != "bearer":
        raise BadCredential(
            "TOKEN_MALFORMED", "Send the token as: Authorization: Bearer tola_... or tolp_..."
        )
    return credential.strip(" ")


def unauthenticated(fault: BadCredential | None = None) -> JsonResponse:
    """401 as RFC 6750 has it: no error code when no credential was sent. 403 for what none would mend."""
    challenge = f'Bearer realm="{REALM}"'
    if fault is None:
        code, message = "UNAUTHENTICATED", "Send a token: Authorization: Bearer tola_... or tolp_..."
    else:
        code, message = fault.code, str(fault)
        if fault.status != HTTPStatus.UNAUTHORIZED:
            return refuse(fault.status, code, message)
        challenge += f', error="invalid_token", error_description="{message}"'
    response = refuse(401, code, message)
    response["WWW-Authenticate"] = challenge
    return response


def too_many(tally: Tally) -> JsonResponse:
    """429, with the time to wait."""
    message = f"Too many requests. Wait {tally.resets_in} seconds, as Retry-After says."
    response = refuse(HTTPStatus.TOO_MANY_REQUESTS, RATE_LIMITED, message)
    for name, value in tally.headers.items():
        response[name] = value
    return response


def refuse(status: int, code: str, message: str) -> JsonResponse:
    """The body of every refusal before GraphQL."""
    return JsonResponse(
        {
            "success": False,
            "error": message,
            "errors": [{"message": message, "extensions": {"code": code}}],
        },
        status=status,
    )
