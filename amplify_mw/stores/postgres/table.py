"""The table of sessions in PostgreSQL: its name, its SQL, and whose it is.

Rules:
- The table's comment says that it is ours, and the version of its schema.
- Texts are `bytea`: `text` takes neither NUL nor half a surrogate pair.
- An update that changes no indexed column leaves the indexes alone (HOT), if its page has room.
  So expiry is indexed by the day (`removed_on`), and each page keeps a part free.
- A user is found by a hash, since an index takes no more than 2,704 bytes.
"""

import re
from typing import Final

from ...errors import ConfigurationError

_SCHEMA: Final = 1
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")  # so that its indexes' names fit
_COMMENT: Final = "sessions of amplify_mw, schema "
_MAKING: Final = 7_093_006_113_907_231_571  # the advisory lock of all who make a table
_SQL: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
    key bytea PRIMARY KEY,
    version bigint NOT NULL,
    fence bigint NOT NULL DEFAULT 0,
    held_until double precision NOT NULL DEFAULT 0,
    holder bytea NOT NULL DEFAULT '',
    expires_at double precision NOT NULL,
    removed_on integer NOT NULL,
    "user" bytea NOT NULL,
    handle bytea NOT NULL,
    created_at double precision NOT NULL,
    seen_at double precision NOT NULL,
    user_agent bytea NOT NULL,
    stamp bytea NOT NULL,
    value bytea NOT NULL
) WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.05,
    toast.autovacuum_vacuum_scale_factor = 0.05
);
ALTER TABLE {table} ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS {by_user} ON {table} USING hash ("user") WHERE "user" <> '';
CREATE INDEX IF NOT EXISTS {by_day} ON {table} (removed_on);
COMMENT ON TABLE {table} IS '{comment}';
"""


class Table:
    """A table by its name, such as `amplify_mw_sessions` or `auth.sessions`."""

    def __init__(self, name: str) -> None:
        parts = name.split(".") if isinstance(name, str) else []
        if not parts or len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts):
            raise ConfigurationError(
                "table: write the name of a table, or schema.table: letters, digits and _, "
                "50 characters at most"
            )
        self.name: str = name
        self.quoted: str = ".".join(f'"{part}"' for part in parts)
        self.schema: str | None = f'"{parts[0]}"' if len(parts) == 2 else None
        made = _SQL.format(
            table=self.quoted,
            by_user=f'"{parts[-1]}_by_user"',
            by_day=f'"{parts[-1]}_by_day"',
            comment=f"{_COMMENT}{_SCHEMA}",
        )
        self.making: str = f"SELECT pg_advisory_xact_lock({_MAKING});\n{made}"
        """Makes the table: one transaction, for one process at a time."""
        self.sql: str = (
            f"DO $making$ BEGIN\nPERFORM pg_advisory_xact_lock({_MAKING});\n{made}END $making$;\n"
        )
        """The same as one statement, for a program that begins no transaction, or has begun one."""

    @property
    def why_missing(self) -> str:
        """What to do if it is missing, and this user may not make it."""
        return (
            f"the table {self.name} is missing, and this user may not create it: as another user "
            f"run `amplify-mw postgres-sql --table {self.name} --user THIS_USER | psql`"
        )

    def sql_for(self, user: str | None) -> str:
        """The SQL that makes it, and lets a user use it."""
        if user is None:
            return self.sql
        name = user.replace('"', '""')
        grants = f'GRANT SELECT, INSERT, UPDATE, DELETE ON {self.quoted} TO "{name}";\n'
        if self.schema is not None:  # which its owner has to let the user into
            grants += f'GRANT USAGE ON SCHEMA {self.schema} TO "{name}";\n'
        return self.sql + grants

    def why_foreign(self, comment: bytes | None) -> str | None:
        """Why a table with this comment must be left alone; None if it is ours."""
        said = (comment or b"").decode("utf-8", "replace")
        schema = said.removeprefix(_COMMENT)
        if not said.startswith(_COMMENT) or not schema.isdecimal():
            return (
                f"the table {self.name} is not one of amplify_mw's, by its comment: write "
                "PostgresStore(..., table='another_name')"
            )
        if int(schema) > _SCHEMA:
            return (
                f"the table {self.name} was made by a newer amplify_mw (its schema is {schema}, "
                f"this one knows {_SCHEMA}): install that version, or write table='another_name'"
            )
        return None
