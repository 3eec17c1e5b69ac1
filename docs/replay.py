"""Sends the requests of docs/examples.md to a running server: the document must come out word for word.

    .venv/bin/python manage.py createdemo --json | .venv/bin/python -m docs.replay [--url URL] [--write]

A `graphql` block is posted to /query with the owner's token; its comments such as `# X-Organization-ID: ...`
are headers, a `csv` block below goes along as the file $input. An `sh` block is run by bash, and prints what
`curl -i` prints. The `json` or `http` block below is the answer; --write writes it. <NAME> stands for a value
that is another at every run: the first answer that shows it binds it, and it is the same from then on.

A run that was cut short leaves its organizations behind, and the next one says that they exist: delete them.
"""

import argparse
import difflib
import http.client
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from graphql import FieldNode, ObjectTypeDefinitionNode, OperationDefinitionNode, parse

from tokens import secret

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE / "examples.md"
SCHEMA = HERE.parent / "schema.graphql"
DOCUMENTED_URL = "http://127.0.0.1:8000"
PATIENCE_SECONDS = 20
WIDTH = 110

EXAMPLE = re.compile(
    r"(?P<asked>^```(?P<kind>graphql|sh)\n(?P<request>.*?)^```\n(?:```csv\n(?P<file>.*?)^```\n)?)"
    r"(?:```(?:json|http)\n(?P<answer>.*?)^```\n)?",
    re.M | re.S,
)
QUERY = re.compile(r'"query": ("(?:[^"\\]|\\.)*")')
HEADER = re.compile(r"^# ([A-Z][\w-]+): (.+)$", re.M)
PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]*)>")

ANY_TIME = "<TIME>"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HINT = re.compile(r"tol[ap]_[0-9A-Za-z]{4}")
OPAQUE_KEYS = frozenset({"cursor", "startCursor", "endCursor", "displayID", "requestID"})
TOLD_HEADERS = frozenset({"www-authenticate", "token-expires-at", "allow", "retry-after"})


class Failed(Exception):
    """A request that could not be made, or was answered with nothing to compare; the message says why."""


@dataclass
class Run:
    """One reading of the document. `values`: what each <NAME> stands for, in the order learnt."""

    url: str
    directory: Path
    values: dict[str, str]
    sent: int = 0
    faults: list[str] = field(default_factory=list)

    def example(self, found: re.Match[str]) -> str:
        """The example, with the answer the server gives now."""
        self.values["IN_A_SECOND"] = _rfc3339(datetime.now(UTC) + timedelta(seconds=1))
        self.sent += 1
        try:
            request, file = self.filled(found["request"]), self.filled(found["file"] or "")
            head, body = self.execute(request) if found["kind"] == "sh" else self.post(request, file)
        except Failed as fault:
            self.faults.append(str(fault))
            return f"{found['asked']}```http\n{fault}\n```\n"
        named = layout(self.named(body, _body(found["answer"] or "")))
        answer = f"json\n{named}" if head is None else f"http\n{self.told(head)}\n\n{named}"
        return f"{found['asked']}```{answer}\n```\n"

    def filled(self, text: str) -> str:
        """Raises Failed."""
        if unknown := [name for name in PLACEHOLDER.findall(text) if name not in self.values]:
            raise Failed(f"not sent: no answer has shown <{unknown[0]}>")
        return PLACEHOLDER.sub(lambda name: self.values[name[1]], text)

    def post(self, document: str, file: str) -> tuple[str | None, Any]:
        """Head, where the status is not 200, and body. The file goes into $input."""
        headers = {"Authorization": f"Bearer {self.values['OWNER_TOKEN']}", **dict(HEADER.findall(document))}
        # Blanked, not dropped: an answer counts the lines. A token in a body is refused.
        query = {"query": HEADER.sub("#", document)}
        content_type, sent = multipart(query, file) if file else ("application/json", json.dumps(query))
        address = urlsplit(self.url)
        secure = address.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(address.netloc, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", "/query", sent.encode(), {**headers, "Content-Type": content_type})
            answer = connection.getresponse()
            body = self._read(answer.read().decode())
        finally:
            connection.close()
        if answer.status == http.client.OK:
            return None, body
        head = [f"{name}: {value}" for name, value in answer.getheaders()]
        return telling([f"HTTP/1.1 {answer.status} {answer.reason}", *head]), body

    def execute(self, script: str) -> tuple[str, Any]:
        """Head and body. Raises Failed."""
        command = ["bash", "-euo", "pipefail", "-c", script.replace(DOCUMENTED_URL, self.url)]
        ran = subprocess.run(  # noqa: S603 (the document is ours)
            command, cwd=self.directory, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        if ran.returncode != 0:
            raise Failed(f"exit status {ran.returncode}: {self.told(ran.stderr.strip())}")
        head, _, body = ran.stdout.partition("\n\n")
        return telling(head.splitlines()), self._read(body)

    def _read(self, body: str) -> Any:
        """Raises Failed."""
        try:
            return json.loads(body)
        except ValueError:
            raise Failed(f"answered with what is no JSON: {self.told(body[:200])}") from None

    # --- from values to names ---------------------------------------------------------------------

    def named(self, value: Any, documented: Any, path: tuple[str, ...] = ("value",)) -> Any:
        """The value with names in the place of what is another at every run: the document's, or new ones.

        Keys come in the document's order, where it has them: PostgreSQL keeps those of JSON in its own.
        """
        if isinstance(value, dict):
            known = documented if isinstance(documented, dict) else {}
            keys = [*(key for key in known if key in value), *(key for key in value if key not in known)]
            return {key: self.named(value[key], known.get(key), (*path, key)) for key in keys}
        if isinstance(value, list):
            rows = documented if isinstance(documented, list) else []
            rows = [*rows, *[None] * (len(value) - len(rows))]
            return [self.named(below, row, path) for below, row in zip(value, rows, strict=False)]
        if isinstance(value, str):
            return self._learnt(value, documented, path)
        return value

    def _learnt(self, value: str, documented: Any, path: tuple[str, ...]) -> str:
        if TIME.fullmatch(value) and value not in self.values.values():
            return ANY_TIME
        is_opaque = (
            any(shape.fullmatch(value) for shape in (ID, HINT, secret.PATTERN)) or path[-1] in OPAQUE_KEYS
        )
        if is_opaque and value not in self.values.values():
            name = PLACEHOLDER.fullmatch(documented) if isinstance(documented, str) else None
            self.values[name[1] if name and name[1] not in self.values else self._new_name(path)] = value
        return self.told(value)

    def _new_name(self, path: tuple[str, ...]) -> str:
        *above, key = [part for part in path if part not in ("edges", "node")]
        words = above[-1].removesuffix("s") if key == "id" and above else key
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", words).upper()
        count = sum(re.fullmatch(rf"{name}(_\d+)?", known) is not None for known in self.values)
        return f"{name}_{count + 1}" if count else name

    def told(self, text: str) -> str:
        """The text with every known value by its name."""
        for name, value in sorted(self.values.items(), key=lambda known: -len(known[1])):  # whole before part
            text = text.replace(value, f"<{name}>")
        return secret.PATTERN.sub("<A_TOKEN>", text)


def main() -> int:
    options = arguments()
    try:
        demo = json.load(options.demo)
    except ValueError:
        raise SystemExit("No demo to play with. See what createdemo --json said.") from None
    text = DOCUMENT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        run = Run(options.url.rstrip("/"), Path(directory), names_of(demo))
        try:
            played = EXAMPLE.sub(run.example, text)
        except OSError as fault:
            raise SystemExit(f"{run.url} does not answer: {fault}") from None
    if secret.PATTERN.search(played):
        raise SystemExit(f"{DOCUMENT.name} would hold the value of a token.")
    missing = sorted(root_fields() - set(asked(played)))
    if missing:
        print(f"Without an example in {DOCUMENT.name}: {', '.join(missing)}")
    if options.write and not run.faults:
        DOCUMENT.write_text(played, encoding="utf-8")
        print(f"{run.sent} answers written to {DOCUMENT.name}")
    elif played != text:
        print(*difference(text, played), sep="\n")
    else:
        print(f"{run.sent} requests of {DOCUMENT.name} are answered as it says")
    return int(bool(missing or run.faults or (played != text and not options.write)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="docs.replay", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default=DOCUMENTED_URL, help="the server, %(default)s unless told")
    parser.add_argument("--write", action="store_true", help="write the answers into the document")
    parser.add_argument(
        "demo",
        nargs="?",
        type=argparse.FileType(encoding="utf-8"),
        default=sys.stdin,
        help="what `manage.py createdemo --json` printed; standard input unless told",
    )
    return parser.parse_args()


def names_of(demo: Mapping[str, Any]) -> dict[str, str]:
    """What the document may name from the start: the demo's people, organizations and tokens."""
    values = {"NEXT_YEAR": _rfc3339(datetime.now(UTC) + timedelta(days=365), "seconds")}
    values |= {"UNKNOWN_TOKEN": secret.mint(secret.TokenKind.PERSONAL)}
    values |= {name.upper(): place for name, place in demo["organizations"].items()}
    for name, person in demo["users"].items():
        values |= {name.upper(): person["id"], f"{name.upper()}_PASSWORD": person["password"]}
    for name, token in (demo["api_tokens"] | demo["personal_access_tokens"]).items():
        values |= {f"{name.upper()}_TOKEN": token["token"], f"{name.upper()}_TOKEN_ID": token["id"]}
    return values


def root_fields() -> set[str]:
    """Every query and mutation there is."""
    return {
        root.name.value
        for definition in parse(SCHEMA.read_text(encoding="utf-8")).definitions
        if isinstance(definition, ObjectTypeDefinitionNode) and definition.name.value in ("Query", "Mutation")
        for root in definition.fields or ()
    }


def asked(text: str) -> Iterator[str]:
    """The root fields that the examples ask for."""
    for example in EXAMPLE.finditer(text):
        is_shell = example["kind"] == "sh"
        documents = map(json.loads, QUERY.findall(example["request"])) if is_shell else [example["request"]]
        for document in documents:
            for operation in parse(document).definitions:
                if isinstance(operation, OperationDefinitionNode):
                    roots = operation.selection_set.selections
                    yield from (root.name.value for root in roots if isinstance(root, FieldNode))


def multipart(query: Mapping[str, Any], file: str) -> tuple[str, str]:
    """Content type and body of a request with a file, by the GraphQL multipart convention."""
    fields = {"operations": {**query, "variables": {"input": None}}, "map": {"0": ["variables.input"]}}
    parts = [f'name="{name}"\r\n\r\n{json.dumps(value)}' for name, value in fields.items()]
    parts.append(f'name="0"; filename="rows.csv"\r\nContent-Type: text/csv\r\n\r\n{file}')
    boundary = "the-end-of-a-part"
    body = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
    return f"multipart/form-data; boundary={boundary}", f"{body}--{boundary}--\r\n"


def telling(head: Sequence[str]) -> str:
    """The status line and the headers that are worth showing."""
    status, *headers = head
    return "\n".join([status, *(line for line in headers if line.partition(":")[0].lower() in TOLD_HEADERS)])


def layout(value: Any, indent: str = "", key: str = "") -> str:
    """JSON, behind its key where it has one, with every object and list that fits on one line."""
    line = key + json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) < WIDTH or not isinstance(value, dict | list) or not value:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [layout(below, deeper, f"{json.dumps(name)}: ") for name, below in value.items()]
    else:
        parts = [layout(below, deeper) for below in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{key}{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"


def difference(documented: str, played: str) -> Iterator[str]:
    lines = documented.splitlines(), played.splitlines()
    return difflib.unified_diff(*lines, "documented", "answered", n=8, lineterm="")


def _body(answer: str) -> Any:
    """The JSON of an answer as documented, below its head where it has one; None for none."""
    try:
        return json.loads(answer.partition("\n\n")[2] if answer.startswith("HTTP/") else answer)
    except ValueError:
        return None


def _rfc3339(time: datetime, precision: str = "milliseconds") -> str:
    return time.isoformat(timespec=precision).replace("+00:00", "Z")


if __name__ == "__main__":
    sys.exit(main())
