"""The questions of a `PostgresStore`, one statement each, and how their answers are read. Pure.

Rules:
- Each method of the store is one statement, and so one round trip and one transaction.
- The server's clock decides about expiry and leases. It may be set, so a lease that seems longer
  than any may be is held by nobody.
- A statement may be sent twice, after its connection broke. Writes recognise themselves: a record
  by its stamp, a lease by its holder. (A deletion that is sent twice says that nothing was found.)
- Values go and come in PostgreSQL's binary format.
"""

import secrets
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from ...sessions.record import ENDED, LONGEST_LEASE, Record, tombstone
from .table import Table

Row: TypeAlias = Sequence[bytes | None]

NOW: Final = "extract(epoch FROM clock_timestamp())::double precision"
_SWEEP_EVERY: Final = 16  # creations, each sweep removing
_SWEPT: Final = 64  # rows at most: more than were created since, so that none pile up

_BYTES, _INTEGER, _REAL = 17, 20, 701  # the types' numbers (pg_type.oid), fixed for ever
_INTEGERS: Final = struct.Struct(">q")
_REALS: Final = struct.Struct(">d")


class Question(NamedTuple):
    """A statement, its values, and how the rows of the answer are read.

    `types`: None for several statements without values.
    """

    statement: bytes
    values: list[bytes]
    types: list[int] | None
    read: Callable[[list[Row]], Any]


def look(table: Table) -> Question:
    """Whether the table is there, and its comment; None if it is not.

    `to_regclass` alone finds a table that is newer than what the statement sees, without a comment.
    """
    statement = (
        b"SELECT convert_to(coalesce(obj_description(oid, 'pg_class'), ''), 'UTF8')"
        b" FROM pg_class WHERE oid = to_regclass(convert_from($1, 'UTF8'))"
    )
    quoted = table.quoted.encode()
    return Question(statement, [quoted], [_BYTES], lambda rows: rows[0][0] if rows else None)


def make(table: Table) -> Question:
    """Makes the table, unless it is there."""
    return Question(table.making.encode(), [], None, lambda _: None)


class Questions:
    """The questions about one table, named as the methods of the store.

    `now`: the SQL of the present, in seconds since the epoch.
    """

    def __init__(self, table: Table, now: str = NOW) -> None:
        self._created = 0
        self._statements = _statements(table, now)

    def _ask(self, name: str, values: Sequence[Any], read: Callable[[list[Row]], Any]) -> Question:
        packed = [_packed(value) for value in values]
        return Question(
            self._statements[name], [data for data, _ in packed], [kind for _, kind in packed], read
        )

    def load(self, key: bytes) -> Question:
        """The record under a key, or None."""
        return self._ask("load", (key,), _record)

    def reload(self, key: bytes, known: Record) -> Question:
        """The record under a key; `known` if it is that one."""

        def read(rows: list[Row]) -> Record | None:
            is_known = rows and known.stamp and rows[0][7] == known.stamp
            return known if is_known else _record(rows)

        return self._ask("reload", (key, known.stamp), read)

    def create(self, key: bytes, record: Record) -> Question:
        """Keeps a record under a key without a record: whether it was kept."""
        self._created += 1
        name = "create" if self._created % _SWEEP_EVERY else "create_and_sweep"
        return self._ask(name, (key, *_values(record)), _whether)

    def replace(self, key: bytes, record: Record) -> Question:
        """Keeps a record in place of one of the same or a lower version: whether it was kept."""
        return self._ask("replace", (key, *_values(record)), _whether)

    def replace_and_release(self, key: bytes, record: Record, fence: int) -> Question:
        """The same, and gives the lease back."""
        return self._ask("replace_and_release", (key, *_values(record), fence), _whether)

    def delete(self, key: bytes) -> Question:
        """Forgets a record: whether there was one."""
        return self._ask("delete", (key,), _whether)

    def end(self, key: bytes, asks_again: bool = False) -> Question:
        """Ends a session: the record it had, or None."""
        if not asks_again:
            return self._ask("end", (key,), _record)
        left = (tombstone(0.0, asks_again=True).value, secrets.token_bytes(8))
        return self._ask("end_asking_again", (key, *left), _record)

    def end_of_user(self, user: str) -> Question:
        """Ends all sessions of a user: their keys."""
        left = (tombstone(0.0, asks_again=True).value, secrets.token_bytes(8))
        return self._ask("end_of_user", (_encoded(user), *left), lambda rows: [r[0] for r in rows])

    def of_user(self, user: str) -> Question:
        """The keys and records of a user, the latest seen first."""

        def read(rows: list[Row]) -> list[tuple[bytes, Record]]:
            found = [(row[0], _read(row[1:])) for row in rows]
            return [(key, record) for key, record in found if key is not None and record]

        return self._ask("of_user", (_encoded(user),), read)

    def acquire(self, key: bytes, seconds: float) -> Question:
        """Takes the lease on a record: its fence, or None."""
        return self._ask("acquire", _lease(key, seconds), _fence)

    def acquire_and_load(self, key: bytes, seconds: float) -> Question:
        """Takes the lease on a record: its fence or None, and the record."""

        def read(rows: list[Row]) -> tuple[int | None, Record | None]:
            return _fence(rows), _record([row[1:] for row in rows])

        return self._ask("acquire_and_load", _lease(key, seconds), read)

    def renew(self, key: bytes, fence: int, seconds: float) -> Question:
        """Holds a lease for longer: whether this fence still held it."""
        return self._ask("renew", (key, fence, float(seconds)), _whether)

    def release(self, key: bytes, fence: int) -> Question:
        """Gives a lease back."""
        return self._ask("release", (key, fence), lambda _: None)


# In order: each may use those before it. `t` and `now` come first, see `Questions`.
_PARTS: Final = {
    "columns": 'version, expires_at, "user", handle, created_at, seen_at, user_agent, stamp, value',
    "ended": str(ENDED),
    "longest": str(LONGEST_LEASE),
    "swept": str(_SWEPT),
    "live": "key = $1 AND expires_at > {now}",
    "of_user": '"user" = $1 AND "user" <> \'\' AND expires_at > {now}',
    "day": "least(greatest(ceil($3 / 86400), 0), 2147483647)::integer",
    "set": (
        'version = $2, expires_at = $3, removed_on = {day}, "user" = $4, handle = $5,'
        " created_at = $6, seen_at = $7, user_agent = $8, stamp = $9, value = $10"
    ),
    "insert": (
        'INSERT INTO {t} AS old (key, version, expires_at, removed_on, "user", handle, created_at,'
        " seen_at, user_agent, stamp, value)"
        " VALUES ($1, $2, $3, {day}, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT (key) DO UPDATE SET fence = 0, held_until = 0, {set}"
        " WHERE old.expires_at <= {now} OR old.stamp = $9 RETURNING true"
    ),
    "tomb": (
        "version = {ended}, \"user\" = '', handle = '', created_at = 0, seen_at = 0,"
        " user_agent = '', held_until = 0, value = $2, stamp = $3"
    ),
    "acquire": (
        "UPDATE {t} SET fence = greatest(fence, version) + 1, held_until = {now} + $2, holder = $3"
        " WHERE {live} AND greatest(fence, version) + 1 < {ended} AND (holder = $3"
        " OR NOT (held_until > {now} AND held_until <= {now} + greatest($2, {longest})))"
    ),
}
_STATEMENTS: Final = {
    "load": "SELECT {columns} FROM {t} WHERE {live}",
    "reload": (
        'SELECT version, expires_at, "user", handle, created_at, seen_at, user_agent, stamp,'
        " CASE WHEN stamp <> $2 THEN value END FROM {t} WHERE {live}"
    ),
    "of_user": "SELECT key, {columns} FROM {t} WHERE {of_user} ORDER BY seen_at DESC",
    "create": "{insert}",
    "create_and_sweep": (
        "WITH swept AS (DELETE FROM {t} WHERE key IN (SELECT key FROM {t}"
        " WHERE removed_on <= {now} / 86400 AND expires_at <= {now} AND key <> $1"
        " LIMIT {swept} FOR UPDATE SKIP LOCKED)) {insert}"
    ),
    "replace": "UPDATE {t} SET {set} WHERE {live} AND version <= $2 RETURNING true",
    "replace_and_release": (
        "WITH kept AS (UPDATE {t} SET {set},"
        " held_until = CASE WHEN fence = $11 THEN 0 ELSE held_until END"
        " WHERE {live} AND version <= $2 RETURNING true),"
        " freed AS (UPDATE {t} SET held_until = 0"
        " WHERE key = $1 AND fence = $11 AND NOT EXISTS (SELECT FROM kept))"
        " SELECT true FROM kept"
    ),
    "delete": "DELETE FROM {t} WHERE {live} RETURNING true",
    "end": "DELETE FROM {t} WHERE {live} AND version < {ended} RETURNING {columns}",
    "end_asking_again": (
        "UPDATE {t} AS new SET {tomb} FROM (SELECT key AS of_old, {columns} FROM {t}"
        " WHERE {live} AND version < {ended} FOR UPDATE) AS old WHERE new.key = of_old"
        ' RETURNING old.version, old.expires_at, old."user", old.handle, old.created_at,'
        " old.seen_at, old.user_agent, old.stamp, old.value"
    ),
    "end_of_user": (  # in one order, so that no two of them wait for each other
        "UPDATE {t} SET {tomb} WHERE key IN (SELECT key FROM {t}"
        " WHERE {of_user} AND version < {ended} ORDER BY key FOR UPDATE) RETURNING key"
    ),
    "acquire": "{acquire} RETURNING fence",
    "acquire_and_load": (
        "WITH taken AS ({acquire} RETURNING fence, {columns})"
        " SELECT fence, {columns} FROM taken UNION ALL"
        " SELECT NULL, {columns} FROM {t} WHERE {live} AND NOT EXISTS (SELECT FROM taken)"
    ),
    "renew": (
        "UPDATE {t} SET held_until = {now} + $3"
        " WHERE {live} AND fence = $2 AND held_until > {now} RETURNING true"
    ),
    "release": "UPDATE {t} SET held_until = 0 WHERE key = $1 AND fence = $2 AND held_until <> 0",
}


def _statements(table: Table, now: str) -> dict[str, bytes]:
    parts = {"t": table.quoted, "now": now}
    for name, text in _PARTS.items():
        parts[name] = text.format(**parts)
    return {name: text.format(**parts).encode() for name, text in _STATEMENTS.items()}


def _lease(key: bytes, seconds: float) -> tuple[Any, ...]:
    return key, float(seconds), secrets.token_bytes(8)


def _packed(value: bytes | int | float) -> tuple[bytes, int]:
    """A value in PostgreSQL's binary format, and the number of its type."""
    if isinstance(value, bytes):
        return value, _BYTES
    if isinstance(value, float):
        return _REALS.pack(value), _REAL
    return _INTEGERS.pack(value), _INTEGER


def _values(record: Record) -> tuple[Any, ...]:
    """A record's columns from `version` on, with a new stamp."""
    return (
        record.version,
        float(record.expires_at),
        _encoded(record.user),
        _encoded(record.handle),
        float(record.created_at),
        float(record.seen_at),
        _encoded(record.user_agent),
        secrets.token_bytes(8),
        record.value,
    )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _whether(rows: list[Row]) -> bool:
    return bool(rows)


def _fence(rows: list[Row]) -> int | None:
    found = rows[0][0] if rows else None
    return None if found is None else int(_INTEGERS.unpack(found)[0])


def _record(rows: list[Row]) -> Record | None:
    return _read(rows[0]) if rows else None


def _read(row: Row) -> Record | None:
    """The record in a row of `columns`; None if it holds none."""
    if any(value is None for value in row):
        return None
    version, expires_at, user, handle, created_at, seen_at, user_agent, stamp, value = row
    try:
        return Record(
            value or b"",
            version=_version(version or b""),
            expires_at=_REALS.unpack(expires_at or b"")[0],
            user=_decoded(user),
            handle=_decoded(handle),
            created_at=_REALS.unpack(created_at or b"")[0],
            seen_at=_REALS.unpack(seen_at or b"")[0],
            user_agent=_decoded(user_agent),
            stamp=stamp or b"",
        )
    except (struct.error, ValueError):
        return None


def _version(packed: bytes) -> int:
    found: int = _INTEGERS.unpack(packed)[0]
    if not 0 <= found <= ENDED:
        raise ValueError
    return found


def _decoded(text: bytes | None) -> str:
    return (text or b"").decode("utf-8", "surrogatepass")
