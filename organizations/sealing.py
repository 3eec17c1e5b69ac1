"""Secrets that must be read back one day, and are shown to nobody: encrypted under the ring FIELD_KEYS.

The first key of the ring encrypts, all decrypt (Fernet: AES-128-CBC and HMAC-SHA-256). A ring of its own, so
that it rotates without SECRET_KEY. Neighbours: fields.py, whose SealedField holds such a secret in a column;
the command `resealsecrets`, which moves all of them to the first key.
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.views.decorators.debug import sensitive_variables

MASK = "*" * 29
"""What is shown of a secret, as long as the mask of a token."""

LONGEST = 1_000


class Unreadable(Exception):
    """No key of the ring opens this secret."""


class Sealed:
    """A secret, encrypted. It prints as the mask; only reveal() tells it."""

    __slots__ = ("ciphertext",)

    def __init__(self, ciphertext: str) -> None:
        self.ciphertext = ciphertext

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return "Sealed(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sealed) and self.ciphertext == other.ciphertext

    def __hash__(self) -> int:
        return hash(self.ciphertext)

    @classmethod
    @sensitive_variables()
    def of(cls, secret: str) -> Sealed:
        """Raises ValidationError for the mask, for what is too long, and where there is no key."""
        if not settings.FIELD_KEYS:
            raise ValidationError("This server keeps no secrets before its operator sets FIELD_KEYS.")
        if secret == MASK:
            raise ValidationError("This is the mask. Send the secret itself, or leave the field out.")
        if len(secret) > LONGEST or not secret.isprintable():
            raise ValidationError(f"Give at most {LONGEST} printable characters.")
        return cls(ring().encrypt(secret.encode()).decode())

    def reveal(self) -> str:
        """The secret. Raises Unreadable."""
        try:
            return ring().decrypt(self.ciphertext).decode()
        except (InvalidToken, ImproperlyConfigured) as fault:
            raise Unreadable from fault

    def resealed(self) -> Sealed:
        """The same secret under the first key. Raises Unreadable."""
        try:
            return Sealed(ring().rotate(self.ciphertext).decode())
        except (InvalidToken, ImproperlyConfigured) as fault:
            raise Unreadable from fault

    @property
    def is_current(self) -> bool:
        """Whether the first key opens it."""
        try:
            Fernet(settings.FIELD_KEYS[0]).decrypt(self.ciphertext)
        except (InvalidToken, IndexError):
            return False
        return True


def ring() -> MultiFernet:
    """Raises ImproperlyConfigured where there is no key."""
    if not settings.FIELD_KEYS:
        raise ImproperlyConfigured("FIELD_KEYS is empty.")
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])
