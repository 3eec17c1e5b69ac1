"""`rotatetokens`: a successor for each of many tokens. Neighbour: rotation.rotate."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError
from django.db.models import Q

from tokens import rotation, secret, selection, services, tables
from tokens.console import ahead, duration, explained
from tokens.models import Token, TokenQuerySet
from tokens.rotation import Reason
from tokens.selection import Selection
from tokens.sweep import Sweep

SETTLED_AFTER = timedelta(days=1)
"""So long after an old value has ended a run that is repeated still belongs to the same rotation."""

HEADINGS = ("ID", "OUTCOME", "SUCCESSOR", "TOKEN", "HINT", "KIND", "OWNER", "NAME", "WHY")
WIDEST = (*("x" * width for width in (36, 11, 36, secret.LENGTH, secret.HINT_LENGTH, 8, 20, 20)), "")
ROTATED, PASSED_OVER, REFUSED, SELECTED = "rotated", "passed over", "refused", "selected"


class Outcome(NamedTuple):
    """What became of one token. `why`: nothing happened to it."""

    token: Any
    what: str
    successor: Any = None
    why: str | None = None


class Command(Sweep):
    help = (
        "Give every living token that meets all the conditions given a successor: a new value with the old\n"
        "one's rights. The old value works until the overlap ends. Each new value stands on standard output\n"
        "once, after its commit, and nowhere else: send it to where it is kept.\n"
        "It can be stopped and run again: what is rotated already is passed over and listed with its\n"
        "successor. What a rotation has made is passed over until a day after the end of the old value,\n"
        "unless --id or --leaked names it."
    )
    examples = (
        "  rotatetokens --organization acme --created-before 2025-01-01 --dry-run\n"
        "  rotatetokens --name deploy --overlap 2d --expires-in 90d > new-value.txt\n"
        "  rotatetokens --leaked paste.txt --reason leak --yes --json > new-values.json"
    )
    statuses = (
        "0 all were rotated (with --dry-run: some would be), 1 nothing was left to rotate, you\n"
        "  declined, or some were refused, each with its reason; 2 bad usage, 3 the database failed: run it\n"
        "  again."
    )
    verb, done, question = "rotate", "rotated", "Rotate {}?"
    nothing = "No living token that is not rotated yet meets all the conditions."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--reason",
            choices=("routine", "leak"),
            default="routine",
            help="after a leak the old value ends at once (default: routine)",
        )
        parser.add_argument(
            "--overlap",
            metavar="1h",
            help="how long the old value works on: 0, or a number and h, d or w (default 1h, at most 30d)",
        )
        parser.add_argument(
            "--expires-in",
            metavar="90d",
            help="how long the new value works: a number and h, d or w (default: as long as the old one was "
            "given, within the policy)",
        )

    def prepare(self, options: dict[str, Any]) -> None:
        self.how: dict[str, Any] = {"reason": Reason[options["reason"].upper()].value}
        if (overlap := options["overlap"]) is not None:
            length = timedelta() if overlap == "0" else duration(overlap, "--overlap")
            self.how["overlap_seconds"] = int(length.total_seconds())
        if (within := options["expires_in"]) is not None:
            self.how["expires_at"] = ahead(within, "--expires-in", self.now)
        rotation.overlap_of(self.how.get("overlap_seconds"), self.how["reason"])
        services.require_expiry(None, self.how.get("expires_at"), self.now)

    def hit(self, tokens: TokenQuerySet[Any], chosen: Selection) -> TokenQuerySet[Any]:
        before = tokens.filter(created_at__lte=self.now)  # none that this very run makes
        return before.living(self.now).filter(~self._is_made_lately(chosen) & ~self._is_rotated())

    def _is_rotated(self) -> Q:
        """After a leak only once the old value is over: until then somebody must hear that it still works."""
        if self.how["reason"] == Reason.LEAK:
            return Q(overlap_ends_at__isnull=False, overlap_ends_at__lte=self.now)
        return Q(overlap_ends_at__isnull=False)

    def _is_made_lately(self, chosen: Selection) -> Q:
        """Successors: among them those of an earlier run of this command, and those of this one."""
        if chosen.is_pinned:
            return Q(pk__in=())
        return Q(rotated_from__isnull=False, rotated_from__overlap_ends_at__gt=self.now - SETTLED_AFTER)

    def act(self, tokens: TokenQuerySet[Any]) -> Iterator[list[Any]]:
        for page in selection.pages(tokens):
            for token in page:
                yield [self._rotated(token)]
                self.stdout.flush()  # it is printed by now: no kill shall lose it in a buffer

    def _rotated(self, token: Token) -> Outcome:
        try:
            successor = rotation.rotate(self.principal, token, **self.how)
        except ValidationError as refused:
            return Outcome(token, REFUSED, why=explained(refused))
        except (PermissionDenied, ObjectDoesNotExist, IntegrityError):
            return Outcome(token, REFUSED, why="It was changed at this moment. Look at it, then repeat.")
        return Outcome(token, ROTATED, successor)

    def show(self, tokens: Iterable[Any], chosen: Selection, options: dict[str, Any]) -> None:
        known = [self._known(each, chosen) for each in chosen.querysets()]
        self.passed_over, self.rotated, self.refused = sum(each.count() for each in known), 0, 0
        before = chain.from_iterable(chain.from_iterable(map(selection.pages, known)))
        selected = (Outcome(token, SELECTED) for token in tokens) if options["dry_run"] else tokens
        outcomes = chain(map(_passed_over, before), self._counted(selected))
        if options["json"]:
            listed = (_described(outcome, self.now) for outcome in outcomes)
            self.answer(tables.json_list({"dry_run": options["dry_run"]}, "tokens", listed, self.counts), "")
        elif self.matched or self.passed_over:
            self.answer(tables.text(HEADINGS, map(_row, outcomes), like=WIDEST))
        if self.passed_over:
            self.note(f"Passed over, because of a rotation before: {self.passed_over}.")
        if self.refused:
            raise CommandError(f"Rotated {self.rotated}. Refused {self.refused}, each for the reason listed.")

    def counts(self) -> dict[str, int]:
        return {
            "matched": self.matched,
            "rotated": self.rotated,
            "passed_over": self.passed_over,
            "refused": self.refused,
        }

    def _known(self, tokens: TokenQuerySet[Any], chosen: Selection) -> TokenQuerySet[Any]:
        """What an earlier run has rotated or made."""
        is_rotated = self._is_rotated() & Q(overlap_ends_at__gt=self.now - SETTLED_AFTER)
        known = tokens.live().filter(is_rotated | self._is_made_lately(chosen), revoked_at__isnull=True)
        return known.select_related("rotated_to")

    def _counted(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        for outcome in outcomes:
            self.rotated += outcome.what == ROTATED
            self.refused += outcome.what == REFUSED
            yield outcome


def _passed_over(token: Any) -> Outcome:
    successor = getattr(token, "rotated_to", None)
    why = "Rotated already." if successor else "A rotation has made it lately. Name it with --id."
    return Outcome(token, PASSED_OVER, successor, why)


def _row(outcome: Outcome) -> tuple[Any, ...]:
    token, what, successor, why = outcome
    return (
        token.pk,
        what,
        successor and successor.pk,
        successor.token if what == ROTATED else None,
        successor and successor.hint,
        selection.kind_of(token),
        tables.short(str(token.owner)),
        tables.short(token.name),
        why or "",
    )


def _described(outcome: Outcome, now: datetime) -> dict[str, Any]:
    token, what, successor, why = outcome
    described = selection.described(token, now) | {"outcome": what, "why": why, "successor": None}
    if successor is not None:
        described["successor"] = {
            "id": successor.pk,
            "hint": successor.hint,
            "expires_at": successor.expires_at,
            "token": successor.token if what == ROTATED else None,
        }
    return described
