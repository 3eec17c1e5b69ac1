"""What the management commands share: how they are asked, how they answer, with what status they exit.

Answers go to stdout, with --json one object and nothing else; progress, questions and errors go to stderr.
Exit statuses: 0 done, 1 nothing matched, 2 bad usage, 3 the database failed, 130 stopped from the keyboard.
Neighbours: selection.py (which tokens), tables.py (how rows look).
"""

import functools
import os
import pwd
import re
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, NoReturn
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import DatabaseError

from accounts.models import User
from organizations.access import Principal, command
from organizations.models import Organization

NOTHING_MATCHED, BAD_USAGE, DATABASE_FAILED, STOPPED, READER_GONE = 1, 2, 3, 130, 141
BAR_WIDTH = 40

_DURATION = re.compile(r"([1-9][0-9]{0,5})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class BadUsage(CommandError):
    """What was asked for cannot be done as asked; the message says what to change."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=BAD_USAGE)


class NothingMatched(CommandError):
    """There was nothing to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=NOTHING_MATCHED)


class _HelpFormatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Leaves the line breaks of our examples alone."""


class ConsoleCommand(BaseCommand):
    """A command with the statuses of this module, whether called from a shell or by call_command()."""

    statuses: ClassVar[str] = "0 done, 2 bad usage, 3 the database failed."
    examples: ClassVar[str] = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("formatter_class", _HelpFormatter)
        kwargs.setdefault("epilog", f"examples:\n{self.examples}\n\nexit status:\n  {self.statuses}")
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if not parser.called_from_command_line:
            parser.error = _refuse  # type: ignore[method-assign]
        return parser

    def execute(self, *args: Any, **options: Any) -> None:
        self.is_quiet = options["verbosity"] == 0
        try:
            super().execute(*args, **options)
            self.stdout.flush()
        except ValidationError as refused:
            raise BadUsage(explained(refused)) from refused
        except DatabaseError as failed:
            reason = str(failed).partition("\n")[0] or type(failed).__name__
            raise CommandError(f"The database failed: {reason}", returncode=DATABASE_FAILED) from failed
        except BrokenPipeError:  # | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(READER_GONE)
        except KeyboardInterrupt:
            raise CommandError("Stopped. What was done stays done.", returncode=STOPPED) from None

    @property
    def principal(self) -> Principal:
        """The actor: this command, and in its label who ran it."""
        name = type(self).__module__.rpartition(".")[2]
        return replace(command(name), label=f"manage.py {name}, run by {_os_user()}")

    def note(self, text: str) -> None:
        """Say something to the person watching; silent with --verbosity 0."""
        if not self.is_quiet:
            self.stderr.write(text, str)

    def progress(self, verb: str, done: int, total: int) -> None:
        """Redraw a bar on the watching person's terminal; nothing where nobody watches."""
        if self.is_quiet or not self.stderr.isatty():
            return
        share = min(1.0, done / max(total, 1))
        bar = "#" * int(BAR_WIDTH * share)
        line = f"\r{verb} {done} of {total} [{bar:-<{BAR_WIDTH}}] {share:4.0%}"
        self.stderr.write(line, str, ending="\n" if done >= total else "")
        self.stderr.flush()

    def answer(self, pieces: Iterable[str], ending: str = "\n") -> None:
        for piece in pieces:
            self.stdout.write(piece, ending=ending)


def _refuse(message: str) -> NoReturn:
    raise BadUsage(f"Error: {message}")


def _os_user() -> str:
    """From the user id: unlike the environment, nobody sets that."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container run under a number without a name
        return f"uid {os.getuid()}"


def explained(refused: ValidationError) -> str:
    """A service's refusal on one line: which field, and why."""
    if hasattr(refused, "error_dict"):
        return " ".join(f"{name}: {' '.join(why)}" for name, why in refused.message_dict.items())
    return " ".join(refused.messages)


def duration(text: str, option: str) -> timedelta:
    """`90d`, `36h` or `2w`. Raises BadUsage."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise BadUsage(f"{option} {text!r} is no duration. Write a number and h, d or w: 36h, 90d, 2w.")
    return int(found[1]) * _UNITS[found[2]]


def ago(text: str, option: str, now: datetime) -> datetime:
    """The moment a duration before `now`. Raises BadUsage."""
    try:
        return now - duration(text, option)
    except OverflowError:
        raise BadUsage(f"{option} {text!r} is before the year 1. Write a shorter duration.") from None


def ahead(text: str, option: str, now: datetime) -> datetime:
    """The moment a duration after `now`. Raises BadUsage."""
    try:
        return now + duration(text, option)
    except OverflowError:
        raise BadUsage(f"{option} {text!r} is after the year 9999. Write a shorter duration.") from None


def expiry(now: datetime, at: tuple[str, str | None], within: tuple[str, str | None]) -> datetime | None:
    """The end that one of two options names, if any; each is (its name, its value). Raises BadUsage."""
    for (option, text), read in ((at, moment), (within, functools.partial(ahead, now=now))):
        if text is not None:
            return read(text, option)
    return None


def moment(text: str, option: str) -> datetime:
    """An ISO 8601 date, which begins at midnight UTC, or a time with its zone. Raises BadUsage."""
    try:
        return datetime.combine(date.fromisoformat(text), time.min, UTC)
    except ValueError:
        pass  # not a date alone
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # said below
    raise BadUsage(f"{option} {text!r} is no date or time. Write 2025-01-31 or 2025-01-31T12:00:00Z.")


def identifier(text: str, option: str) -> UUID:
    """Raises BadUsage."""
    found = _uuid(text)
    if found is None:
        raise BadUsage(f"{option} {text!r} is no id. Copy it from listtokens.")
    return found


def find_organization(text: str, option: str = "--organization") -> Organization:
    """By id, deleted ones too, or by the name of a live one. Raises BadUsage."""
    by_id = _uuid(text)
    found = Organization.objects.filter(id=by_id).first() if by_id else None
    found = found or Organization.objects.live().filter(name__iexact=text).first()
    if found is None:
        raise BadUsage(f"{option} {text!r}: there is no such organization. Give its name or id.")
    return found


def find_user(text: str, option: str = "--user") -> User:
    """By id or e-mail address. Raises BadUsage."""
    by_id = _uuid(text)
    found = (
        User.objects.filter(id=by_id).first() if by_id else User.objects.filter(email=text.lower()).first()
    )
    if found is None:
        raise BadUsage(f"{option} {text!r}: there is no such person. Give their e-mail address or id.")
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
