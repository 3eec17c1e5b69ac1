"""The ring of peppers: the first signs, all verify. Neighbour: secret.digest, which takes one."""

from collections.abc import Iterator

from django.conf import settings

from tokens import secret


def signed(value: str) -> tuple[bytes, str]:
    """(digest, key id) of a value under the first pepper of the ring."""
    key_id, pepper = next(iter(settings.TOKEN_PEPPERS.items()))
    return secret.digest(value, pepper), key_id


def digests(value: str) -> list[bytes]:
    """The digests under which a value may be stored, one per pepper of the ring."""
    return [secret.digest(value, pepper) for pepper in settings.TOKEN_PEPPERS.values()]


def key_ids() -> Iterator[str]:
    return iter(settings.TOKEN_PEPPERS)


def current_key_id() -> str:
    return next(key_ids())
