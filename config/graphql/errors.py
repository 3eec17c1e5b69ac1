"""From an exception to what the client reads: a message, a path, `extensions.code`. One table.

An exception of our own says its code itself, in `extensions`. What the table does not know is masked, and
logged once.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ObjectDoesNotExist, PermissionDenied, ValidationError
from django.db import IntegrityError, InterfaceError, OperationalError
from graphql import GraphQLError, TokenKind

from config.graphql.naming import camel

log = logging.getLogger(__name__)

BAD_REQUEST = "BAD_REQUEST"
INTERNAL = "INTERNAL_SERVER_ERROR"
UNAVAILABLE = "UNAVAILABLE"

TABLE: tuple[tuple[type[Exception], str], ...] = (
    (ValidationError, "VALIDATION_ERROR"),
    (ObjectDoesNotExist, "NOT_FOUND"),
    (PermissionDenied, "UNAUTHORIZED"),
    (IntegrityError, "CONFLICT"),
    (OperationalError, UNAVAILABLE),
    (InterfaceError, UNAVAILABLE),
)

VALIDATION_CODES = {
    "unique": "ALREADY_EXISTS",
    "unique_together": "ALREADY_EXISTS",
    "token_revoked": "TOKEN_REVOKED",
}
"""Django's code of a ValidationError -> ours, where it is not VALIDATION_ERROR."""


def code_of(error: Exception) -> str:
    """The stable code of an exception."""
    own = getattr(error, "extensions", None) or {}
    if "code" in own:
        return str(own["code"])
    if isinstance(error, ValidationError):
        return next(
            (VALIDATION_CODES[code] for code in _codes(error) if code in VALIDATION_CODES),
            "VALIDATION_ERROR",
        )
    return next((code for kind, code in TABLE if isinstance(error, kind)), INTERNAL)


def _codes(error: ValidationError) -> list[str]:
    """Every code inside, at whatever depth."""
    if hasattr(error, "error_dict"):
        return [code for errors in error.error_dict.values() for one in errors for code in _codes(one)]
    if len(error.error_list) > 1:
        return [code for one in error.error_list for code in _codes(one)]
    return [error.error_list[0].code or ""]


def formatted(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """What the client reads of an error."""
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return _about_the_query(error, cause)
    if error.path is None:
        return _about_the_query(GraphQLError("A value in the query cannot be read.", error.nodes), None)
    code = code_of(cause)
    extensions = {"code": code, **(getattr(cause, "extensions", None) or {})}
    if isinstance(cause, ValidationError) and code != "TOKEN_REVOKED":
        extensions["fields"] = fields_of(cause)
    if rows := getattr(cause, "rows", None):
        extensions["rows"] = [{"row": row, "fields": fields_of(fault)} for row, fault in rows.items()]
    if code in (INTERNAL, UNAVAILABLE):
        extensions["requestID"] = request_id
        log.error("%s at %s, request %s", type(cause).__name__, error.path, request_id, exc_info=cause)
    return {**error.formatted, "message": message_of(cause), "extensions": extensions}


def _about_the_query(error: GraphQLError, cause: GraphQLError | None) -> dict[str, Any]:
    """What graphql-core says of a document and its values, and what we raised in its words."""
    extensions = {"code": BAD_REQUEST, **((cause and cause.extensions) or {}), **(error.extensions or {})}
    if extensions["code"] == "VALIDATION_ERROR":
        extensions["fields"] = {_refused_key(error): [cause.message if cause else error.message]}
    return {**error.formatted, "extensions": extensions}


_IN_VARIABLE = re.compile(r"Variable '\$(\w+)' has invalid value(?: at \S*?(\w+)(?:\[\d+\])*)?: ")


def _refused_key(error: GraphQLError) -> str:
    """The key whose value a scalar refused, in a variable or in the document."""
    if variable := _IN_VARIABLE.match(error.message):
        return variable[2] or variable[1]
    for literal in error.nodes or ():
        colon = literal.loc and literal.loc.start_token.prev
        if colon and colon.prev and colon.kind is TokenKind.COLON:
            return str(colon.prev.value)
    return "input"


def fields_of(error: ValidationError) -> dict[str, list[str]]:
    """Wire name of a field -> what is wrong with it; what concerns no field stands under `input`."""
    found: dict[str, list[str]] = (
        error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    )
    return {
        "input" if name == NON_FIELD_ERRORS else camel(name): messages for name, messages in found.items()
    }


def message_of(error: Exception) -> str:
    """What the client reads of an exception."""
    code = code_of(error)
    if isinstance(error, ValidationError):
        return " ".join(
            f"{'' if name == 'input' else f'{name}: '}{' '.join(messages)}"
            for name, messages in fields_of(error).items()
        )
    if isinstance(error, ObjectDoesNotExist):
        return f"{type(error).__qualname__.partition('.')[0].lower()} not found"
    if isinstance(error, IntegrityError):
        return "Somebody else changed this at the same time. Read it again and retry."
    if code == UNAVAILABLE:
        return "The database cannot be reached. Try again in a few seconds."
    if code == INTERNAL:
        return "Something went wrong on our side. Quote the request id when you report it."
    return str(error)
