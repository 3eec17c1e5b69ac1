"""What makes the audit table append-only: triggers, on whichever database."""

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "audit_event"

_SQLITE = """
CREATE TRIGGER {table}_no_{name} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END
"""

_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit events are append-only'; END $$
"""

_POSTGRESQL = """
CREATE TRIGGER {table}_no_{name} BEFORE {event} ON {table}
FOR EACH ROW EXECUTE FUNCTION {table}_refuse()
"""

# SQLite's INSERT OR REPLACE deletes without asking the triggers for DELETE.
_SQLITE_REPLACE = """
CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END
"""

_EVENTS = {"update": "UPDATE", "delete": "DELETE"}


def install(schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(_POSTGRESQL_FUNCTION.format(table=TABLE))
        trigger = _POSTGRESQL
    else:
        schema_editor.execute(_SQLITE_REPLACE.format(table=TABLE))
        trigger = _SQLITE
    for name, event in _EVENTS.items():
        schema_editor.execute(trigger.format(table=TABLE, name=name, event=event))


def remove(schema_editor: BaseDatabaseSchemaEditor) -> None:
    on_table = f" ON {TABLE}" if schema_editor.connection.vendor == "postgresql" else ""
    for name in (*_EVENTS, "replace"):
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {TABLE}_no_{name}{on_table}")
    if on_table:
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {TABLE}_refuse()")
