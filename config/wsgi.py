"""What the production server loads: `granian --interface wsgi config.wsgi:application`."""

import multiprocessing
import os
import signal

from django.core.wsgi import get_wsgi_application


def leave_signals_to_the_parent() -> None:
    """In a worker: be stopped by the parent process alone, and at once while there is nothing yet to finish.

    Ctrl-C, and a kill of the process group, reach the workers as well as their parent, which then sends
    them SIGTERM. A granian worker that is told twice may wait for ever, and one that is told while it still
    loads forgets it; both end by the kill timeout only.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until granian sets its own


if multiprocessing.parent_process() is not None:
    leave_signals_to_the_parent()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
