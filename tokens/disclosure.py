"""Values that somebody shows us to be ended: whoever holds one, and scanners that found some.

Possession is enough (organizations/access.holder). Neighbours: views.py (what is sent), leaks.py (whose a
value is), services.py (the one way a token dies).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.views.decorators.debug import sensitive_variables

from audit import context
from organizations.access import holder, scanner
from tokens import leaks, secret, services

LONGEST_PLACE = 300
LONGEST_SOURCE = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """A value, and where a scanner found it; both texts may be empty."""

    value: str = field(repr=False)
    url: str
    source: str

    @property
    def reason(self) -> str:
        """What is kept with the token. The place may hold its value, or what would deceive a reader."""
        found = [("in", self.source, LONGEST_SOURCE), ("at", self.url, LONGEST_PLACE)]
        told = [f"{where} {readable(text, longest)}" for where, text, longest in found if text]
        return " ".join(["Leaked, and found by a secret scanner", *told])


def readable(text: str, longest: int) -> str:
    """A stranger's text, short, without tokens; refused for any character that is not for reading."""
    return secret.redact(text)[:longest] if text.isprintable() else "(unreadable)"


@sensitive_variables()
def surrender(value: str) -> None:
    """Revoke the token that has this value. Nothing happens for a value that nobody has, or a dead one."""
    for token in leaks.issued([value]).values():
        address = context.current().address
        services.revoke(holder(token), token, reason=f"Revoked by its holder, from {address or 'here'}")


@sensitive_variables()
def report(scanner_id: str, findings: Sequence[Finding]) -> list[bool]:
    """Revoke what is ours, each in a transaction of its own: sent again, a report goes on where it was.

    Whether each is ours, dead ones too, in the order of the findings.
    """
    ours = leaks.issued(finding.value for finding in findings)
    for finding in findings:
        token = ours.get(finding.value)
        if token is not None:
            services.revoke(scanner(scanner_id, token), token, reason=finding.reason)
    return [finding.value in ours for finding in findings]
