"""One sentence for each failure of a PostgreSQL server: its meaning, and the remedy. Pure.

Rules:
- Every sentence is written here. None quotes a statement, an answer or the address.
- The kind comes first: the server's own code (SQLSTATE, such as `28P01`), or a word of ours.
"""

from typing import Final

from ..base import StoreUnavailable

READ_ONLY: Final = "25006"
NO_TABLE: Final = "42P01"
NOT_ALLOWED: Final = "42501"
STARTUP_PARAMETER: Final = "startup"
AGAIN: Final = frozenset(("40001", "40P01"))
"""Refusals because of somebody else's transaction. They have changed nothing."""

LOST: Final = "lost"
TIMEOUT: Final = "timeout"
BUSY: Final = "busy"
FOREIGN: Final = "foreign"

_BY_CODE: Final = {
    "28P01": "wrong user name or password: postgresql://name:password@host/database",
    "28000": "its pg_hba.conf lets this user in from here with another method, or not at all",
    "3D000": "it has no such database: write its name after the host",
    NOT_ALLOWED: (
        "this user may not do that: as another user run what `amplify-mw postgres-sql --user "
        "THIS_USER` prints, with the GRANT"
    ),
    "3F000": "it has no such schema: create it, or write another one, table='schema.table'",
    NO_TABLE: "the table has just been dropped",
    "42703": "a column is missing: was the table changed by hand?",
    READ_ONLY: (
        "it takes no writes: if it is a standby, write the primary's address, or those of all, "
        "host=a,b"
    ),
    "53300": "it has as many connections as it takes: lower connections=, or use pgbouncer",
    "53100": "its disk is full",
    "53200": "its memory is full",
    "57014": "a statement took longer than timeout=: is something locked there?",
    "55P03": "something is locked there",
    "57P01": "it is shutting down",
    "57P02": "it has crashed, and is starting again",
    "57P03": "it is starting up or shutting down",
    "57P05": "it has closed an idle connection",
    "40001": "other transactions came in between, twice",
    "40P01": "it had to end a deadlock, twice",
    "58030": "its disk failed to read or write",
    "XX001": "its data are corrupt: its own log says where",
    "XX002": "an index is corrupt: REINDEX the table",
    "connect": "this user may not connect to that database: GRANT CONNECT ON DATABASE ... TO ...",
    "login": "this user may not log in: ALTER ROLE ... LOGIN",
    LOST: "the connection broke",
    TIMEOUT: "no answer in time: are host and port right, and does a firewall let you through?",
    BUSY: "all connections are in use: write connections=20, or see why answers take so long",
    "refused": "nothing listens there: does it run, and are host and port right?",
    "host": "its host name is not known here (in a password @ is written %40)",
    "socket": (
        "there is no socket at that path: name a host, postgresql://user:password@host/database"
    ),
    "service": "the connection service is not defined: see libpq's pg_service.conf",
    "certificate": "its certificate is not accepted: name its CA, sslrootcert=/path/to/ca.pem",
    "certificate-host": "its certificate is for another host name: write that one",
    "certificate-file": "a file that the address names (sslrootcert, sslcert, sslkey) is missing",
    "no-tls": "it speaks no TLS: leave sslmode out, or turn TLS on there",
    "no-postgresql": "that is no answer of PostgreSQL: is the port right?",
}
_BY_TEXT: Final = (  # a failure to connect has no code, only libpq's words
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("pg_hba.conf rejects", "28000"),
    ("authentication failed", "28000"),
    ("permission denied for database", "connect"),
    ("not permitted to log in", "login"),
    ("too many clients", "53300"),
    ("too many connections", "53300"),
    ("remaining connection slots", "53300"),
    ("no more connections allowed", "53300"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("not yet accepting", "57P03"),
    ("recovery mode", "57P03"),
    ("session is read-only", READ_ONLY),
    ("session is not read-only", READ_ONLY),
    ("hot standby", READ_ONLY),
    ("unsupported startup parameter", STARTUP_PARAMETER),
    ("certificate verify failed", "certificate"),
    ("does not match host name", "certificate-host"),
    ("root certificate file", "certificate-file"),
    ("certificate file", "certificate-file"),
    ("private key file", "certificate-file"),
    ("does not support ssl", "no-tls"),
    ("definition of service", "service"),
    ("connection refused", "refused"),
    ("no such file or directory", "socket"),
    ("failed to resolve host", "host"),
    ("could not translate host name", "host"),
    ("timeout expired", TIMEOUT),
    ("invalid response to ssl", "no-postgresql"),
    ("expected authentication request", "no-postgresql"),
    ("server closed the connection", LOST),
    ("connection reset", LOST),
)


class Failed(Exception):
    """A question failed. `sentence`: what to say of it, if not what the code says.

    `is_lost`: its connection is of no use any more. `was_kept`: it was an older connection, which
    had broken meanwhile. It holds no word of the server's.
    """

    def __init__(self, code: str, *, is_lost: bool, sentence: str | None = None) -> None:
        super().__init__(code)
        self.code: str = code
        self.is_lost: bool = is_lost
        self.was_kept: bool = False
        self.sentence: str | None = sentence

    def told(self) -> StoreUnavailable:
        """The error to raise."""
        sentence = self.sentence or _BY_CODE.get(self.code) or _by_class(self.code)
        return StoreUnavailable(f"PostgreSQL: {self.code}: {sentence}")


def code_of_connecting(text: str) -> str:
    """The code of a failure to connect, by libpq's words, which may be a server's."""
    words = text.lower()
    for part, code in _BY_TEXT:
        if part in words:
            return code
    if "database" in words and "does not exist" in words:
        return "3D000"
    if "role" in words and "does not exist" in words:
        return "28000"
    return "connecting"


def _by_class(code: str) -> str:
    """The meaning of a code by its first two characters."""
    if code.startswith("08"):
        return "the connection broke"
    if code == "connecting":
        return "it could not be reached: `psql` with the same address says why"
    return "the statement failed: the server's own log says why"
