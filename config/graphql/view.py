"""GraphQL over HTTP: POST, JSON in, JSON out (the GraphQL-over-HTTP draft).

Parsed and validated documents are kept, by their text: validating costs more than executing a small query.
Whoever is not authenticated learns nothing of the schema.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CsrfViewMiddleware
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    parse,
    validate,
)

from config.graphql import errors, limits, uploads

GRAPHQL_JSON = "application/graphql-response+json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
MISPLACED = "There is a token in the body. Send it in the header alone, and revoke it."
DOCUMENTS_KEPT = 500
LONGEST_KEPT = 4_000
"""Characters. A parsed document takes up to 200 times as many bytes."""

NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u(?:0000|\{0+\})")
"""As JSON and GraphQL escape it. PostgreSQL cannot store it."""


@dataclass(slots=True)
class Context:
    """What a resolver knows of its request. `refused`: parts of a mutation, by id, for the door."""

    principal: Any
    uses: list[Any]
    request_id: str = ""
    refused: list[tuple[str, Exception]] = field(default_factory=list)


class BadRequest(Exception):
    """Refused before GraphQL. `status` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.status = status
        super().__init__(message)


class Document(NamedTuple):
    """A parsed text, or what is wrong with it; the names of its operations."""

    ast: DocumentNode | None
    errors: list[GraphQLError]
    operations: frozenset[str] = frozenset()


@dataclass(eq=False)  # hashable: a view is looked up by itself when an address is reversed
class GraphQLView:
    """The endpoint.

    `unauthenticated` answers whoever has no credential, `refuse` makes a refusal's body out of status, code
    and message. `secret` finds what belongs in a header alone.
    """

    schema: GraphQLSchema
    unauthenticated: Callable[[], HttpResponse]
    refuse: Callable[[int, str, str], HttpResponse]
    secret: re.Pattern[str] | None = None
    csrf_exempt: bool = field(init=False)

    def __post_init__(self) -> None:
        # Checked here, for sessions alone. On the instance, because that is where wrappers of views look.
        self.csrf_exempt = True
        self._kept = functools.lru_cache(DOCUMENTS_KEPT)(self._document)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._answer(request)
        except BadRequest as fault:
            response = self.refuse(fault.status, errors.BAD_REQUEST, str(fault))
            if fault.status == 405:
                response["Allow"] = "POST"
            return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            raise BadRequest("Send a POST request.", 405)
        principal = request.principal  # type: ignore[attr-defined]
        if not principal.is_authenticated:
            return self.unauthenticated()
        has_bearer = principal.token is not None
        if not has_bearer:
            _require_no_form(request)
            _require_own_page(request)
        text, variables, operation = _parameters(self._body(request, has_bearer))
        document = self._kept(text) if len(text) <= LONGEST_KEPT else self._document(text)
        request_id = getattr(request, "request_id", "")
        if document.errors:
            return _response(request, {"errors": _formatted(document.errors, request_id)}, 400)
        _require_operation(document, operation)
        result = execute_sync(
            self.schema,
            document.ast,  # type: ignore[arg-type]
            context_value=Context(principal, getattr(request, "uses", []), request_id),
            variable_values=variables,
            operation_name=operation,
        )
        found = _formatted(result.errors or [], request_id)
        if found and result.data is None and "path" not in found[0]:
            return _response(request, {"errors": found}, 400)
        return _response(request, {"data": result.data} | ({"errors": found} if found else {}), 200)

    def _body(self, request: HttpRequest, has_bearer: bool) -> dict[str, Any]:
        """The JSON object that was sent, files in their places. Raises BadRequest."""
        if request.content_type == MULTIPART and has_bearer:
            return self._multipart(request)
        # curl -d without a header, as the seeds write it, says it sends a form
        if request.content_type != "application/json" and not (
            has_bearer and request.content_type in ("", FORM)
        ):
            raise BadRequest("Send Content-Type: application/json.", 415)
        most = settings.GRAPHQL_BODY_BYTES
        if _declared_length(request) > most or len(request.body) > most:
            raise BadRequest(f"The body is longer than {most} bytes. Split it.", 413)
        return self._object(request.body)

    def _object(self, raw: bytes) -> dict[str, Any]:
        """A JSON object without a secret in it. Raises BadRequest."""
        if raw.count(b"{") > limits.MOST_OBJECTS:
            raise BadRequest(f"The body holds more than {limits.MOST_OBJECTS} objects. Split it.")
        text, body = _json(raw)
        if self.secret is not None and self.secret.search(text):
            raise BadRequest(MISPLACED)
        if not isinstance(body, dict):
            raise BadRequest('The body must be a JSON object: {"query": "...", "variables": {...}}.')
        return body

    def _multipart(self, request: HttpRequest) -> dict[str, Any]:
        """The GraphQL multipart convention: `operations`, `map`, and files. Raises BadRequest."""
        most = settings.GRAPHQL_UPLOAD_BYTES
        if _declared_length(request) > most:
            raise BadRequest(f"The upload is longer than {most} bytes. Split it.", 413)
        request.encoding = "utf-8"  # its header may name one that nobody has
        try:
            parts, files = request.POST, request.FILES
        except MultiPartParserError:
            raise BadRequest("The upload is not well-formed multipart/form-data.") from None
        operations, places = self._part(parts, "operations"), self._part(parts, "map")
        if self.secret is not None and uploads.hold(files, self.secret):
            raise BadRequest(MISPLACED)
        try:
            uploads.place(operations, places, files)
        except uploads.Misplaced as fault:
            raise BadRequest(str(fault)) from None
        return operations

    def _part(self, parts: QueryDict, name: str) -> dict[str, Any]:
        """Raises BadRequest."""
        raw = parts.get(name)
        if raw is None:
            raise BadRequest(
                'Send "operations" and "map" first, then each file under the name "map" gives it.'
            )
        if len(raw) > settings.GRAPHQL_BODY_BYTES:
            raise BadRequest(f'"{name}" is longer than {settings.GRAPHQL_BODY_BYTES} bytes. Split it.', 413)
        return self._object(raw.encode())

    def _document(self, text: str) -> Document:
        """Raises nothing: what is wrong is part of the answer, and kept like it."""
        if NUL.search(text):
            return Document(None, [GraphQLError("The query holds a NUL character. Take it out.")])
        try:
            ast = parse(text, max_tokens=limits.MOST_TOKENS)
            faults = limits.check(ast) or validate(self.schema, ast, max_errors=20)
        except GraphQLError as fault:
            return Document(None, [fault.with_traceback(None)])
        except RecursionError:
            return Document(None, [GraphQLError("The query is nested too deeply. Split it.")])
        operations = (one for one in ast.definitions if isinstance(one, OperationDefinitionNode))
        return Document(ast, faults, frozenset(one.name.value if one.name else "" for one in operations))


def _require_no_form(request: HttpRequest) -> None:
    """Of a session: Django's check would read the whole upload for the token's sake. Raises BadRequest."""
    if request.content_type == MULTIPART:
        raise BadRequest(
            "Files are taken with a bearer token alone. Send Content-Type: application/json.", 415
        )


class _Csrf(CsrfViewMiddleware):
    """Django's check, which answers None or why it refuses."""

    def _reject(self, request: HttpRequest, reason: str) -> str:  # type: ignore[override]
        return reason


def _require_own_page(request: HttpRequest) -> None:
    """Of a session; a bearer header proves by itself that no foreign page sent it. Raises BadRequest."""
    check = _Csrf(_unexempted)
    check.process_request(request)
    if reason := check.process_view(request, _unexempted, (), {}):
        raise BadRequest(f"{reason} Send the X-CSRFToken header with a session, or use a bearer token.", 403)


def _unexempted(request: HttpRequest) -> HttpResponse:
    """Stands for a view that is not exempt; never called."""
    raise NotImplementedError


def _declared_length(request: HttpRequest) -> float:
    """Of the body, in bytes, before any of it is read; what is no number is too long.

    Raises BadRequest for none at all where a body follows in chunks: WSGI has no way to read those.
    """
    if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
        raise BadRequest("Send a Content-Length, not the body in chunks.", 411)
    declared = request.META.get("CONTENT_LENGTH") or "0"
    return int(declared[:20]) if declared.isdecimal() else math.inf


def _json(raw: bytes) -> tuple[str, Any]:
    """JSON with its escapes undone, and what it says. Raises BadRequest."""
    try:
        text = raw.decode()
        body = json.loads(text, parse_constant=_refuse_constant)
        if "\\u" in text:
            if NUL.search(text):
                raise BadRequest("The body holds a NUL character. Take it out.")
            text = json.dumps(body, ensure_ascii=False)
            text.encode()  # escapes can smuggle in half a character
    except UnicodeError:
        raise BadRequest("The body is not valid UTF-8.") from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    return text, body


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _parameters(body: dict[str, Any]) -> tuple[str, dict[str, Any] | None, str | None]:
    """query, variables and operationName. Raises BadRequest."""
    text = body.get("query")
    if not isinstance(text, str):
        raise BadRequest('"query" must be a string with a GraphQL document.')
    variables = body.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest('"variables" must be an object or null.')
    operation = body.get("operationName")
    if operation is not None and not isinstance(operation, str):
        raise BadRequest('"operationName" must be a string or null.')
    extensions = body.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadRequest('"extensions" must be an object or null.')
    return text, variables, operation or None


def _require_operation(document: Document, name: str | None) -> None:
    """Raises BadRequest where GraphQL could not know which operation is meant."""
    if name is None and len(document.operations) != 1:
        raise BadRequest('Several operations: name one with "operationName".')
    if name is not None and name not in document.operations:
        raise BadRequest("No operation of this operationName is in the query.")


def _formatted(faults: list[GraphQLError], request_id: str) -> list[dict[str, Any]]:
    return [errors.formatted(fault, request_id) for fault in faults]


def _response(request: HttpRequest, answer: dict[str, Any], status: int) -> HttpResponse:
    """In the media type that was asked for; who names plain JSON expects 200 even then."""
    accept = request.META.get("HTTP_ACCEPT", "")
    if GRAPHQL_JSON not in accept and "application/json" in accept:
        status = 200
    if any(one["extensions"]["code"] == errors.UNAVAILABLE for one in answer.get("errors", ())):
        status = 503
    response = JsonResponse(answer, status=status)
    if GRAPHQL_JSON in accept:
        response["Content-Type"] = f"{GRAPHQL_JSON}; charset=utf-8"
    if status == 503:
        response["Retry-After"] = "5"
    response["Cache-Control"] = "no-store"
    return response
