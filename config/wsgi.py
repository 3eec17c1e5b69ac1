"""What the production server loads: `granian --interface wsgi config.wsgi:application`."""

import multiprocessing
import os
import signal
import threading

from django.core.wsgi import get_wsgi_application


def obey_the_parent_alone() -> None:
    """In a worker: be stopped by the parent process only, once, and at once while nothing is begun.

    Ctrl-C, and a kill of the process group, reach the workers as well as their parent, which then sends
    them SIGTERM. A granian worker that is told twice may wait for ever, and one that is told while it still
    loads forgets it; both end by the kill timeout only. And without its parent a worker would serve on.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until granian sets its own
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


if multiprocessing.parent_process() is not None:
    obey_the_parent_alone()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
