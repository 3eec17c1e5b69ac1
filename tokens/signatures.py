"""Whose report of leaked tokens is it? ECDSA on P-256 with SHA-256 over the body, as GitHub signs.

The scheme has no time in it and needs none: a report sent again finds its tokens revoked.
Neighbours: checks.py (keys that cannot be read), views.py.
"""

import base64

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from django.conf import settings
from django.views.decorators.debug import sensitive_variables

LONGEST_KEY_ID = 64


class NotSigned(Exception):
    """By nobody whose key we have."""


def public_key(text: str) -> EllipticCurvePublicKey:
    """The key of an entry of LEAK_REPORT_KEYS. Raises ValueError."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except UnsupportedAlgorithm as fault:
        raise ValueError(str(fault)) from fault
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ValueError("It is no key on the curve P-256.")  # noqa: TRY004 (the text is wrong)
    return key


@sensitive_variables("body")
def require_signed(body: bytes, key_id: str, signature: str) -> None:
    """`signature`: base64 of DER, under that key of the ring. Raises NotSigned, whichever is wrong."""
    text = settings.LEAK_REPORT_KEYS.get(key_id)
    if text is None:
        raise NotSigned
    try:
        public_key(text).verify(base64.b64decode(signature, validate=True), body, ECDSA(SHA256()))
    except (InvalidSignature, ValueError) as fault:
        raise NotSigned from fault
