"""Several who act at the same moment, each on a connection of their own."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import IntegrityError, connection

from tests.organizations.people import outcome

PATIENCE_SECONDS = 20


def together(*acts: Callable[[], Any]) -> list[str]:
    """What came of each, sorted: as outcome(), or conflict."""
    ready = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> str:
        try:
            connection.ensure_connection()
            ready.wait(PATIENCE_SECONDS)
            return outcome(act)
        except IntegrityError:
            return "conflict"
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        futures = [pool.submit(run, act) for act in acts]
        return sorted(future.result(PATIENCE_SECONDS) for future in futures)
