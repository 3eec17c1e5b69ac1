"""Values that somebody shows us to be ended: whoever holds one, and scanners that found some.

Possession is enough (organizations/access.holder). Neighbours: views.py (what is sent), leaks.py (whose a
value is), services.py (the one way a token dies).
"""

from django.views.decorators.debug import sensitive_variables

from audit import context
from organizations.access import holder
from tokens import leaks, services


@sensitive_variables()
def surrender(value: str) -> None:
    """Revoke the token that has this value. Nothing happens for a value that nobody has, or a dead one."""
    for token in leaks.issued([value]).values():
        address = context.current().address
        services.revoke(holder(token), token, reason=f"Revoked by its holder, from {address or 'here'}")
