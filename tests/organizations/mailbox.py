"""What was mailed, once its transaction committed."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.core import mail
from django.test import TestCase

T = TypeVar("T")


def committed(act: Callable[[], T]) -> T:
    """Do it, and what was to be done on commit."""
    with TestCase.captureOnCommitCallbacks(execute=True):
        return act()


def letters() -> list[Any]:
    return list(mail.outbox)


def link_secret(letter: Any = None) -> str:
    """The secret in the link of a mail, the last one if none is named."""
    found = re.search(r"/invite/([\w-]{43})/", (letter or mail.outbox[-1]).body)
    assert found is not None
    return found[1]
