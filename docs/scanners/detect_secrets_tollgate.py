"""Tollgate's tokens, for detect-secrets: detect-secrets scan --plugin detect_secrets_tollgate.py

Copy it anywhere: it needs nothing of Tollgate. A token is tola_ or tolp_, 40 random base62 characters and 6
more, the CRC-32 of all that precedes. Values that do not add up are passed over, so a finding is no accident;
whether it is alive, the server knows. It is found glued to other text, too.
"""

import re
import string
import zlib
from collections.abc import Generator

from detect_secrets.plugins.base import BasePlugin

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
# Overlapping, for a token cut short may be glued to a whole one.
CANDIDATE = re.compile(r"(?=(tol[ap]_[0-9A-Za-z]{40})([0-9A-Za-z]{6}))")


class TollgateTokenDetector(BasePlugin):  # type: ignore[misc, unused-ignore]
    secret_type = "Tollgate token"  # noqa: S105

    def analyze_string(self, string: str) -> Generator[str, None, None]:
        for match in CANDIDATE.finditer(string):
            body, checksum = match.groups()
            if zlib.crc32(body.encode()) == _number(checksum):
                yield body + checksum


def _number(digits: str) -> int:
    """What base62 digits stand for, the most significant first."""
    number = 0
    for digit in digits:
        number = number * len(ALPHABET) + ALPHABET.index(digit)
    return number
