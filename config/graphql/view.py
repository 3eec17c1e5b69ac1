"""GraphQL over HTTP: POST, JSON in, JSON out (the GraphQL-over-HTTP draft).

Parsed and validated documents are kept, by their text: validating costs more than executing a small query.
Whoever is not authenticated learns nothing of the schema.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
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

from config.graphql import errors, limits

GRAPHQL_JSON = "application/graphql-response+json"
DOCUMENTS_KEPT = 1_000
LONGEST_KEPT = 20_000


@dataclass(slots=True)
class Context:
    """What a resolver knows of its request."""

    principal: Any
    uses: list[Any]
    request_id: str = ""


class BadRequest(Exception):
    """Refused before GraphQL. `status` is HTTP's."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.status = status
        super().__init__(message)


class Document(NamedTuple):
    """A parsed text, and what is wrong with it; the operations by name."""

    ast: DocumentNode | None
    errors: list[GraphQLError]
    operations: dict[str, OperationDefinitionNode]


@dataclass
class GraphQLView:
    """The endpoint. `unauthenticated` answers whoever has no credential; `refuse` makes a refusal's body."""

    schema: GraphQLSchema
    unauthenticated: Callable[[], HttpResponse]
    refuse: Callable[[int, str, str], HttpResponse]
    csrf_exempt: bool = field(default=True, init=False)  # checked here, for sessions alone

    def __post_init__(self) -> None:
        self._kept = functools.lru_cache(DOCUMENTS_KEPT)(self._document)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            return self._answer(request)
        except BadRequest as fault:
            code = "BAD_REQUEST"
            response = self.refuse(fault.status, code, str(fault))
            if fault.status == 405:
                response["Allow"] = "POST"
            return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            raise BadRequest("Send a POST request.", 405)
        principal = request.principal  # type: ignore[attr-defined]
        if not principal.is_authenticated:
            return self.unauthenticated()
        if principal.token is None and (fault := _csrf_fault(request)):
            return self.refuse(403, "BAD_REQUEST", fault)
        body = _body(request, has_bearer=principal.token is not None)
        text, variables, operation = _parameters(body)
        document = self._kept(text) if len(text) <= LONGEST_KEPT else self._document(text)
        request_id = getattr(request, "request_id", "")
        if document.errors:
            return _response(request, {"errors": _formatted(document.errors, request_id)}, 400)
        _require_operation(document, operation)
        context = Context(principal, getattr(request, "uses", []), request_id)
        result = execute_sync(
            self.schema,
            document.ast,  # type: ignore[arg-type]
            context_value=context,
            variable_values=variables,
            operation_name=operation,
        )
        if result.data is None and result.errors and result.errors[0].path is None:
            return _response(request, {"errors": _formatted(result.errors, request_id)}, 400)
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = _formatted(result.errors, request_id)
        return _response(request, answer, 200)

    def _document(self, text: str) -> Document:
        """Raises nothing: what is wrong is part of the answer, and kept like it."""
        try:
            ast = parse(text, max_tokens=limits.MOST_TOKENS, no_location=False)
        except GraphQLError as fault:
            return Document(None, [fault], {})
        except RecursionError:
            return Document(None, [GraphQLError("The query is nested too deeply. Split it.")], {})
        operations = {
            one.name.value if one.name else "": one
            for one in ast.definitions
            if isinstance(one, OperationDefinitionNode)
        }
        try:
            faults = limits.check(ast) or validate(self.schema, ast, max_errors=20)
        except RecursionError:
            faults = [GraphQLError("The query is nested too deeply. Split it.")]
        return Document(ast, faults, operations)


def _csrf_fault(request: HttpRequest) -> str | None:
    """A session's requests must come from our own pages; a bearer header proves as much by itself."""

    class Check(CsrfViewMiddleware):
        def _reject(self, request: HttpRequest, reason: str) -> str:  # type: ignore[override]
            return f"{reason} Send the X-CSRFToken header with a session, or use a bearer token."

    check = Check(lambda _: HttpResponse())
    check.process_request(request)
    return check.process_view(request, _unexempted, (), {})  # type: ignore[return-value, arg-type]


def _unexempted() -> None:
    """Stands for a view that is not exempt."""


def _body(request: HttpRequest, has_bearer: bool) -> dict[str, Any]:
    """The JSON object that was sent. Raises BadRequest."""
    kind = request.content_type
    # curl -d without a header, as the seeds write it, says it sends a form
    if kind != "application/json" and not (has_bearer and kind in ("", "application/x-www-form-urlencoded")):
        raise BadRequest("Send Content-Type: application/json.", 415)
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.GRAPHQL_BODY_BYTES:
        raise BadRequest(f"The body is longer than {settings.GRAPHQL_BODY_BYTES} bytes. Split it.", 413)
    raw = request.body
    if len(raw) > settings.GRAPHQL_BODY_BYTES:
        raise BadRequest(f"The body is longer than {settings.GRAPHQL_BODY_BYTES} bytes. Split it.", 413)
    try:
        body = json.loads(raw.decode(), parse_constant=_refuse_constant)
        if b"\\u" in raw:
            _require_text(body)
    except UnicodeError:
        raise BadRequest("The body is not valid UTF-8.") from None
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest('The body must be a JSON object: {"query": "...", "variables": {...}}.')
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _require_text(body: Any) -> None:
    """Escapes can smuggle in what UTF-8 cannot: lone surrogates. And NUL, which PostgreSQL cannot store."""
    text = json.dumps(body, ensure_ascii=False)
    text.encode()
    if "\\u0000" in text:
        raise ValueError("NUL")


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
    if not isinstance(body.get("extensions") or {}, dict):
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
