"""Where a token's value could be left behind: log lines and rows, searched for what this suite has minted."""

import logging
from collections.abc import Iterable, Iterator

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection

from tokens import secret
from tokens.redaction import RedactTokens


class Minted(set[str]):
    """Every value minted while the suite runs."""

    def shown_in(self, texts: Iterable[str]) -> list[str]:
        """The texts that hold one of them."""
        return [text for text in texts if "tol" in text and not self.isdisjoint(secret.find(text))]


class Listener(logging.Handler):
    """Hears what the configured handler would write, and keeps the lines that hold a minted value."""

    def __init__(self, minted: Minted) -> None:
        super().__init__()
        self.minted = minted
        self.leaks: list[str] = []
        self.addFilter(RedactTokens())
        line = settings.LOGGING["formatters"]["line"]
        self.setFormatter(logging.Formatter(line["format"], style=line["style"]))

    def emit(self, record: logging.LogRecord) -> None:
        self.leaks += self.minted.shown_in([self.format(record)])


def rows(*labels: str) -> Iterator[str]:
    """Every row of these apps, or of all, as text. Nothing where a test has left its transaction broken."""
    try:
        with connection.cursor() as cursor:
            for model in apps.get_models(include_auto_created=True):
                if labels and model._meta.app_label not in labels:
                    continue
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(model._meta.db_table)}")  # noqa: S608
                yield from (f"{model.__name__}: {' '.join(map(_text, row))}" for row in cursor.fetchall())
    except DatabaseError:
        return


def _text(value: object) -> str:
    return str(bytes(value)) if isinstance(value, memoryview) else str(value)
