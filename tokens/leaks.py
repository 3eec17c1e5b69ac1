"""Finding our tokens in anything that leaked: a log, a dump, a repository, a paste.

Found by prefix and checksum, then looked up by digest; the text is read in pieces, and no value is kept.
Neighbours: secret.find (the pattern), selection.py, for which a leak is one more condition, disclosure.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from tokens import peppers, secret
from tokens.models import Token, TokenQuerySet
from tokens.usage import MODELS

PIECE_BYTES = 1_048_576
LOOKED_UP_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Leak:
    """How many different well-formed tokens a text holds, and which of them are ours."""

    found: int
    ours: frozenset[UUID]


@sensitive_variables()
def search(stream: IO[bytes]) -> Leak:
    """Memory grows with the number of tokens found, not with the text. Raises OSError."""
    seen: set[bytes] = set()
    ours: set[UUID] = set()
    values = _each_once(_values(stream), seen)
    while batch := list(islice(values, LOOKED_UP_AT_ONCE)):
        ours.update(token.pk for token in issued(batch).values())
    return Leak(len(seen), frozenset(ours))


def _values(stream: IO[bytes]) -> Iterator[str]:
    """Every token in the stream, repeated ones too, also those that lie across two pieces."""
    tail = ""
    while piece := stream.read(PIECE_BYTES):
        # Without its NULs, UTF-16 (what PowerShell's > writes) is the ASCII a token is made of.
        text = tail + piece.replace(b"\0", b"").decode("latin-1")
        yield from secret.find(text)
        tail = text[-(secret.LENGTH - 1) :]


def _each_once(values: Iterable[str], seen: set[bytes]) -> Iterator[str]:
    for value in values:
        digest, _ = peppers.signed(value)
        if digest not in seen:
            seen.add(digest)
            yield value


@sensitive_variables()
def issued(values: Iterable[str]) -> dict[str, Token]:
    """Those of the values that are tokens of ours, dead ones too. A malformed one costs no query."""
    value_of = {
        digest: value for value in values if secret.is_well_formed(value) for digest in peppers.digests(value)
    }
    found: dict[str, Token] = {}
    digests = iter(value_of)
    while some := list(islice(digests, LOOKED_UP_AT_ONCE)):
        for model in MODELS.values():
            rows: TokenQuerySet[Any] = TokenQuerySet(model).filter(digest__in=some)
            found.update((value_of[bytes(token.digest)], token) for token in rows)
    return found
