"""`flushtokenusage`: take in what server processes could not write before they ended.

Neighbours: usage.take_in, which does it; spool.py, the files.
"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from tokens import spool, tables, usage
from tokens.console import ConsoleCommand

HEADINGS = ("FILE", "SPILLED", "ROWS", "REQUESTS", "RESULT")


class Command(ConsoleCommand):
    help = (
        "Write the token usage that waits in files into the database.\n"
        "Servers count uses in memory and write them once a second; a process that ends while the database\n"
        "is away leaves its remainder in USAGE_SPOOL_DIR. The next server process takes such files in by\n"
        "itself; this command does it now. Each file counts once, however often and wherever this runs."
    )
    examples = "  flushtokenusage --dry-run\n  flushtokenusage --json"
    statuses = "0 nothing waits any more, 1 a file could not be read, 2 bad usage, 3 the database failed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what waits, write nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, **options: Any) -> None:
        done = [self._taken_in(path, options["dry_run"]) for path in spool.waiting()]
        if options["json"]:
            self.answer([tables.json_object({"dry_run": options["dry_run"], "files": done})])
        elif done:
            self.answer(tables.text(HEADINGS, [tuple(each.values()) for each in done]))
        else:
            self.note(f"Nothing waits in {settings.USAGE_SPOOL_DIR}.")
        unreadable = [each["file"] for each in done if each["result"] == "unreadable"]
        if unreadable:
            raise CommandError(f"No usage files: {', '.join(unreadable)}. Look at them, and remove them.")

    def _taken_in(self, path: Path, is_dry_run: bool) -> dict[str, Any]:
        try:
            spilled = spool.read(path)
            gathered = usage.spooled(spilled)
        except spool.Unreadable:
            return _line(path.name, None, 0, 0, "unreadable")
        result = "waits"
        if not is_dry_run:
            result = "written" if usage.take_in(spilled) else "was written before"
        requests = sum(tally.count for tally in gathered.uses.values())
        return _line(path.name, spilled.spilled_at, len(gathered.rollup), requests, result)


def _line(file: str, spilled_at: Any, rows: int, requests: int, result: str) -> dict[str, Any]:
    return {"file": file, "spilled_at": spilled_at, "rows": rows, "requests": requests, "result": result}
