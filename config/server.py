"""The production server: granian, a worker per core, each with one thread that runs Python.

`python -m config.server`; PORT and WORKERS are the environment's. SIGTERM and Ctrl-C let the requests under
way finish and the counted uses be written. Neighbours: serve.py, which prepares and ends in this; wsgi.py,
which each worker loads; docs/architecture.md, which tells why WSGI and one thread.
"""

import os
from typing import Any

from granian import Granian
from granian.constants import Interfaces

KILL_TIMEOUT_SECONDS = 30


class Server(Granian):  # type: ignore[misc,valid-type]  # granian chooses the class when it is imported
    """Granian that can be told to stop twice."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Only the first signal is passed on: a second may find the main thread holding the lock it needs.

        `make` forwards the SIGTERM that the whole process group has got already, so two are usual.
        """
        if not self.interrupt_signal:
            super().signal_handler_interrupt()


def options() -> dict[str, Any]:
    return {
        "port": int(os.environ.get("PORT") or 8000),
        "workers": int(os.environ.get("WORKERS") or len(os.sched_getaffinity(0))),
        "interface": Interfaces.WSGI,
        "websockets": False,
        "blocking_threads": 1,
        "respawn_failed_workers": True,
        "workers_kill_timeout": KILL_TIMEOUT_SECONDS,
    }


if __name__ == "__main__":
    Server("config.wsgi:application", **options()).serve()
