"""What a PostgreSQL server says of itself and of the table, compared with what sessions need. Pure.

Rules:
- One statement asks for everything, with no more rights than sessions need.
- The server's clock is beside this machine's before and after the statement.
- No text holds an address's password, a user's name, or a row.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

from ...models.check import Check
from ...web.origins import is_loopback
from ..examination import clock
from .questions import Question, Row
from .table import Table

_OLDEST: Final = 15
_RIGHTS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_ASKED: Final[Mapping[str, str]] = {
    "version": "current_setting('server_version')",
    "number": "current_setting('server_version_num')",
    "clock": "extract(epoch FROM clock_timestamp())",
    "fsync": "current_setting('fsync')",
    "commit": "current_setting('synchronous_commit')",
    "standbys": "current_setting('synchronous_standby_names')",
    "autovacuum": "current_setting('autovacuum')",
    "persistence": "c.relpersistence",
    "indexes": "(SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid)",
    **{right: f"has_table_privilege(c.oid, '{right}')" for right in _RIGHTS},
}
_MODES: Final = {
    "disable": "sslmode=disable: the network to {} sees who is signed in, and may see the password",
    "allow": "sslmode=allow: there is no TLS to {} unless it insists",
    "prefer": "sslmode=prefer: there is TLS to {} only if it offers it, with any certificate",
    "verify-ca": "sslmode=verify-ca: the certificate of {} may be another host's",
}
_INDEXES: Final = 3  # the primary key's, and two


def question(table: Table) -> Question:
    """Asks for everything: is answered by a mapping; None if the table is not there."""
    columns = ", ".join(f"coalesce(({asked})::text, '')" for asked in _ASKED.values())
    quoted = table.quoted.replace("'", "''")
    statement = f"SELECT {columns} FROM pg_class c WHERE c.oid = to_regclass('{quoted}')"  # noqa: S608
    return Question(statement.encode(), [], [], _read)


def _read(rows: list[Row]) -> dict[str, str] | None:
    if not rows:
        return None
    return {
        name: (value or b"").decode("utf-8", "replace")
        for name, value in zip(_ASKED, rows[0], strict=True)
    }


def may_make(table: Table) -> Question:
    """Asks whether this user may make the table."""
    schema = "quote_ident(current_schema())" if table.schema is None else f"'{table.schema}'"
    right = f"has_schema_privilege(to_regnamespace({schema})::oid, 'CREATE')"
    statement = f"SELECT coalesce({right}, false)::text"
    return Question(statement.encode(), [], [], lambda rows: rows[0][0] == b"true")


def absent(table: Table, *, may_make: bool) -> Check:
    """The line about a missing table, which is made by its first use."""
    if may_make:
        found = f"there is no table {table.name} yet: its first use makes it, and this user may"
        return Check("store", "ok", found)
    return Check(
        "store",
        "wrong",
        f"there is no table {table.name}, and this user may not make it",
        mend=f"as another user: amplify-mw postgres-sql --table {table.name} --user THIS_USER | "
        "psql",
    )


def tls(given: Mapping[str, Any]) -> Iterator[Check]:
    """Whether the way to the server is safe. `given`: the words of the dsn, and libpq's own.

    (The server itself cannot tell: pgbouncer may stand between.)
    """
    hosts = str(given.get("host") or given.get("hostaddr") or "").split(",")
    away = [host for host in hosts if host and host[0] not in "/@" and not _is_here(host)]
    mode = given.get("sslmode") or "prefer"
    if not away and given.get("service"):
        return  # its file knows
    if not away or mode == "verify-full":
        yield Check("store_tls", "ok", "certificate and host are checked" if away else "this host")
        return
    named = ", ".join(away)
    yield Check(
        "store_tls",
        "warning",
        _MODES.get(mode, f"sslmode={mode}: the certificate of {{}} is not checked").format(named),
        "sslmode=verify-full",
        "write ?sslmode=verify-full&sslrootcert=/path/to/ca.pem in the dsn, unless this network is "
        "private",
    )


def checks(told: Mapping[str, str], table: Table, asked: float, answered: float) -> Iterator[Check]:
    """The lines. `asked`, `answered`: this machine's clock before and after."""
    yield _version(told)
    yield _rights(told, table)
    yield _table(told, table)
    yield _durability(told)
    yield _vacuum(told)
    yield clock(float(told["clock"]), asked, answered)


def _version(told: Mapping[str, str]) -> Check:
    version = f"PostgreSQL {told['version']}"
    if int(told["number"]) // 10_000 < _OLDEST:
        return Check(
            "store_server",
            "wrong",
            version,
            f"PostgreSQL {_OLDEST} or newer",
            "upgrade it, or keep sessions elsewhere",
        )
    return Check("store_server", "ok", version)


def _rights(told: Mapping[str, str], table: Table) -> Check:
    missing = [right for right in _RIGHTS if told[right] != "true"]
    if missing:
        return Check(
            "store_rights",
            "wrong",
            f"no {', '.join(missing)} on {table.name}",
            ", ".join(_RIGHTS),
            f"as its owner: GRANT {', '.join(missing)} ON {table.quoted} TO this_user",
        )
    return Check("store_rights", "ok", "all that sessions need")


def _table(told: Mapping[str, str], table: Table) -> Check:
    if told["persistence"] != "p":
        return Check(
            "store_table",
            "wrong",
            f"{table.name} is unlogged: a crash ends all sessions, and a standby has none",
            "a table that is logged",
            f"ALTER TABLE {table.quoted} SET LOGGED",
        )
    if int(told["indexes"]) < _INDEXES:
        return Check(
            "store_table",
            "warning",
            f"{table.name} lacks an index: lists, and removing expired sessions, read all of it",
            "its indexes by user and by day",
            f"amplify-mw postgres-sql --table {table.name} | psql",
        )
    return Check("store_table", "ok", table.name)


def _durability(told: Mapping[str, str]) -> Check:
    if told["fsync"] == "off":
        return Check(
            "store_persistence",
            "wrong",
            "fsync = off: a power cut may corrupt all data",
            "on",
            "ALTER SYSTEM SET fsync = on, and reload it",
        )
    if told["commit"] == "off" or (told["commit"] == "local" and told["standbys"]):
        return Check(
            "store_persistence",
            "warning",
            f"synchronous_commit = {told['commit']}: the last sign-outs may come back after a crash"
            + (" or a failover" if told["standbys"] else ""),
            "on",
            "ALTER ROLE this_user SET synchronous_commit = on",
        )
    standby = "a synchronous standby has each write"
    alone = "no synchronous standby: a failover may lose the last writes, sign-outs among them"
    return Check("store_persistence", "ok", standby if told["standbys"] else alone)


def _vacuum(told: Mapping[str, str]) -> Check:
    if told["autovacuum"] == "off":
        return Check(
            "store_autovacuum",
            "warning",
            "off: the table grows with each write",
            "on",
            "ALTER SYSTEM SET autovacuum = on",
        )
    return Check("store_autovacuum", "ok", "on")


def _is_here(host: str) -> bool:
    if is_loopback(host):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
