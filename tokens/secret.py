"""The token string: mint, parse, find, digest. Pure: no Django, no database.

Layout, 51 characters, one double-click selects it:

    tola_ | 40 random base62 characters (238 bits) | 6 base62 characters of CRC-32 over what precedes
    prefix  entropy (RFC 4086, ASVS 5.0 11.5.1)      lets a scanner verify offline; a typo costs no query

Neighbours: models.py stores digests, authentication.py looks them up.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterator
from enum import StrEnum

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ENTROPY_LENGTH = 40
CHECKSUM_LENGTH = 6
MASK = "*" * 29
"""What every answer but the first shows in a token's place."""


class TokenKind(StrEnum):
    API = "tola"
    PERSONAL = "tolp"

    @property
    def prefix(self) -> str:
        return f"{self.value}_"


LENGTH = len(TokenKind.API.prefix) + ENTROPY_LENGTH + CHECKSUM_LENGTH
HINT_LENGTH = len(TokenKind.API.prefix) + 4

PATTERN = re.compile(r"tol[ap]_[0-9A-Za-z]{46}")
"""Any token in any text. What follows is not looked at: a leak may be glued to more text."""

_GLUED = re.compile(PATTERN.pattern + "[0-9A-Za-z_]*")
_OVERLAPPING = re.compile(f"(?=({PATTERN.pattern}))")  # a token cut short may be glued to a whole one


class Malformed(ValueError):
    """Not a token, and how one can tell. The message never holds the value."""


def mint(kind: TokenKind) -> str:
    """A new token, from the operating system's CSPRNG."""
    body = kind.prefix + "".join(secrets.choice(ALPHABET) for _ in range(ENTROPY_LENGTH))
    return body + checksum(body)


def parse(value: str) -> TokenKind:
    """The kind of a well-formed token. Raises Malformed, whose message says what is wrong."""
    kind = next((kind for kind in TokenKind if value.startswith(kind.prefix)), None)
    if kind is None:
        raise Malformed("Tokens start with tola_ (API token) or tolp_ (personal access token).")
    if len(value) != LENGTH:
        fault = "cut short" if len(value) < LENGTH else "too long"
        raise Malformed(
            f"The token is {fault}: {len(value)} characters instead of {LENGTH}. "
            "Copy it again, completely and without extra characters."
        )
    if not is_well_formed(value):
        raise Malformed("The token has a typo: its checksum does not match. Copy it again.")
    return kind


def is_well_formed(value: str) -> bool:
    """Whether it could have been issued, here or elsewhere."""
    return PATTERN.fullmatch(value) is not None and hmac.compare_digest(
        checksum(value[:-CHECKSUM_LENGTH]), value[-CHECKSUM_LENGTH:]
    )


def find(text: str) -> Iterator[str]:
    """Every well-formed token in a text, in order, each once."""
    seen: set[str] = set()
    for match in _OVERLAPPING.finditer(text):
        value = match.group(1)
        if value not in seen and checksum(value[:-CHECKSUM_LENGTH]) == value[-CHECKSUM_LENGTH:]:
            seen.add(value)
            yield value


def checksum(body: str) -> str:
    """Six base62 digits of the CRC-32 of the body, most significant first, padded with 0."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def digest(value: str, pepper: bytes) -> bytes:
    """HMAC-SHA-256, 32 bytes. At 238 bits of entropy a slow hash would add nothing but load."""
    return hmac.digest(pepper, value.encode(), hashlib.sha256)


def hint(value: str) -> str:
    """What may be shown of a token: its prefix and four characters."""
    return value[:HINT_LENGTH]


def redact(text: str) -> str:
    """The text with every token, real or not, and what is glued to it, cut back to a prefix."""
    return _GLUED.sub(lambda match: f"{match.group()[:5]}[redacted]", text)
