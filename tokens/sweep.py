"""What the commands share that do one thing to every selected token: look, ask, do, print, count.

Neighbours: selection.py (which tokens), console.py (statuses), management/commands (revoketokens,
rotatetokens, expiretokens).
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, ClassVar

from django.core.management.base import CommandParser
from django.utils import timezone

from tokens import selection, tables
from tokens.console import BadUsage, ConsoleCommand, NothingMatched
from tokens.models import TokenQuerySet
from tokens.selection import Selection

PREVIEW_ROWS = 20


class Sweep(ConsoleCommand):
    """A command that says which tokens it is about (`hit`) and does it to them in batches (`act`)."""

    verb: ClassVar[str]
    done: ClassVar[str]
    question: ClassVar[str]
    nothing: ClassVar[str]
    """What to say when none is hit."""

    def add_arguments(self, parser: CommandParser) -> None:
        selection.add_arguments(parser)
        parser.add_argument(
            "--all", action="store_true", help="every token there is, if no condition is given"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help=f"say what would be {self.done}, write nothing"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask when it is more than one")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def prepare(self, options: dict[str, Any]) -> None:
        """Refuse what the service would, before anything is done. Raises BadUsage, ValidationError."""

    def hit(self, tokens: TokenQuerySet[Any], chosen: Selection) -> TokenQuerySet[Any]:
        """Those of the selected tokens to which there is something to do."""
        raise NotImplementedError

    def act(self, tokens: TokenQuerySet[Any]) -> Iterator[list[Any]]:
        """Do it, yielding what is committed."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """What a JSON answer begins with."""
        return {}

    def handle(self, **options: Any) -> None:
        self.now, self.count = timezone.now(), 0
        self.prepare(options)
        chosen = self._chosen(options)
        hit = [self.hit(tokens, chosen) for tokens in chosen.querysets()]
        self.matched = sum(tokens.count() for tokens in hit)
        if options["dry_run"]:
            tokens = self._looked_at(hit)
        else:
            self._ask(hit, options)
            tokens = self._act(hit)
        self.show(tokens, chosen, options)
        if not self.matched:
            raise NothingMatched(self.nothing)
        if options["dry_run"]:
            self.note(f"Dry run: {_tokens(self.matched)} would be {self.done}. Nothing was changed.")
        else:
            self.note(f"{self.done.capitalize()} {_tokens(self.count)}.")

    def show(self, tokens: Iterable[Any], chosen: Selection, options: dict[str, Any]) -> None:
        if options["json"]:
            leak = chosen.leak and {"found": chosen.leak.found, "ours": len(chosen.leak.ours)}
            before = {"dry_run": options["dry_run"], **self.facts(), "leaked": leak}
            listed = (selection.described(token, self.now) for token in tokens)
            self.answer(tables.json_list(before, "tokens", listed, self.counts), ending="")
        elif self.matched:
            rows = (selection.row(token, self.now) for token in tokens)
            self.answer(tables.text(selection.HEADINGS, rows))

    def counts(self) -> dict[str, int]:
        return {"matched": self.matched, self.done: self.count}

    def _chosen(self, options: dict[str, Any]) -> Selection:
        chosen = selection.chosen(options, self.now)
        if chosen.is_empty and not options["all"]:
            raise BadUsage("Say which tokens: give at least one condition, or --all.")
        if chosen.leak is not None:
            found, ours = chosen.leak.found, len(chosen.leak.ours)
            self.note(f"The text holds {_tokens(found)}, {ours} of them issued here.")
        return chosen

    def _act(self, hit: Iterable[TokenQuerySet[Any]]) -> Iterator[Any]:
        for tokens in hit:
            for batch in self.act(tokens):
                self.count += len(batch)
                if self.matched > len(batch):
                    self._advance()
                yield from batch

    def _advance(self) -> None:
        """A bar, unless the rows go to the same terminal; else a line."""
        if self.stderr.isatty() and not self.stdout.isatty():
            self.progress(self.done, self.count, self.matched)
        else:
            self.note(f"{self.done} {self.count} of {self.matched}")

    def _ask(self, hit: list[TokenQuerySet[Any]], options: dict[str, Any]) -> None:
        """Before more than one, unless --yes. Raises BadUsage when nobody is there to answer."""
        if self.matched <= 1 or options["yes"]:
            return
        if options["leaked"] == "-" or not sys.stdin.isatty():
            raise BadUsage(
                f"This would {self.verb} {_tokens(self.matched)}, and nobody is at the terminal to confirm "
                "it. Look with --dry-run, then add --yes."
            )
        first = islice(self._looked_at(hit), PREVIEW_ROWS)
        for line in tables.text(selection.HEADINGS, (selection.row(token, self.now) for token in first)):
            self.stderr.write(line, str)
        if self.matched > PREVIEW_ROWS:
            self.stderr.write(f"... and {self.matched - PREVIEW_ROWS} more; --dry-run shows all.", str)
        self.stderr.write(f"{self.question.format(_tokens(self.matched))} [y/N] ", str, ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise NothingMatched(f"Declined. Nothing was {self.done}.")

    def _looked_at(self, hit: Iterable[TokenQuerySet[Any]]) -> Iterator[Any]:
        return chain.from_iterable(chain.from_iterable(map(selection.pages, hit)))


def add_batch_size(parser: CommandParser) -> None:
    parser.add_argument(
        "--batch-size", type=int, default=200, metavar="N", help="tokens per transaction (default 200)"
    )


def require_batches(options: Mapping[str, Any]) -> None:
    """Raises BadUsage."""
    if options["batch_size"] < 1:
        raise BadUsage("--batch-size must be 1 or more.")


def _tokens(count: int) -> str:
    return "1 token" if count == 1 else f"{count} tokens"
