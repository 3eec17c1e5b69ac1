"""Keeps token values out of logs and error reports, whoever tries to write them."""

import logging
from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from tokens import secret


class RedactTokens(logging.Filter):
    """Cuts every token in a log record back to its prefix: in the message, its arguments, the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: logging would print them raw
            message = f"{record.msg} {record.args}"
            record.msg, record.args = message, None
        if secret.PATTERN.search(message):
            record.msg, record.args = secret.redact(message), None
        if record.exc_info:
            record.exc_text = secret.redact(logging.Formatter().formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = secret.redact(record.stack_info)
        return True


class TokenReporter(ExceptionReporter):
    """Django's error pages and mails, without tokens in what its filter does not see: messages, URLs, GET."""

    def get_traceback_html(self) -> SafeString:
        return SafeString(secret.redact(super().get_traceback_html()))

    def get_traceback_text(self) -> SafeString:
        return SafeString(secret.redact(super().get_traceback_text()))


class TokenReporterFilter(SafeExceptionReporterFilter):
    """Django's own masks settings and headers; this one also masks tokens, before long values are cut."""

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        return {key: _clean(value) for key, value in super().get_safe_request_meta(request).items()}

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return {key: _clean(value) for key, value in super().get_post_parameters(request).items()}

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, _clean(value)) for name, value in variables]


def _clean(value: Any) -> Any:
    """The value itself, or its text without the token when its text shows one."""
    text = value if isinstance(value, str) else repr(value)
    return secret.redact(text) if secret.PATTERN.search(text) else value
