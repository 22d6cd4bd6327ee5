"""One sentence for each failure of a Redis server: its meaning, and the remedy.

Rules:
- Every sentence is written here. None quotes a request or an answer: no url, no key's name or
  value. The one exception is the name of a command refused by an ACL.
- The kind comes first: the server's own code (`READONLY`), or the name of the exception.
"""

import re
import socket
import ssl
from typing import Final, Literal, TypeAlias

Among: TypeAlias = Literal["", "cluster", "sentinels"]

CLUSTER: Final = "this is a node of a Redis Cluster: write RedisStore(url, cluster=True)"
NO_CLUSTER: Final = "this is a server of its own, and no cluster: write RedisStore(url) alone"
SENTINEL: Final = (
    "this is the port of a Sentinel, which keeps no data: write "
    "RedisStore.sentinel([(host, port)], service=...), or the primary's url"
)
OF_CLUSTERS: Final = frozenset(("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN", "TRYAGAIN"))
DEMOTED: Final = frozenset(("READONLY", "MASTERDOWN", "NOREPLICAS"))
"""Refusals by a server that is not, or no longer, the primary. They have changed nothing.

Only these commands are sent again elsewhere. `LOADING`, `OOM`, `MISCONF` and `BUSY` come from the
right server, which cannot serve now. A cluster's refusals, `NOPERM` and a wrong password last until
a configuration is changed.
"""

_CODES: Final = {  # redis-py's classes
    "AskError": "ASK",
    "BusyLoadingError": "LOADING",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "Demoted": "READONLY",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoCredentials": "CREDENTIALS",
    "NoOwner": "CLUSTERDOWN",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TooFewReplicas": "NOREPLICAS",
    "TooManyMoves": "MOVED",
    "TryAgainError": "TRYAGAIN",
}
_BY_CODE: Final = {
    "READONLY": "a replica takes no writes: write the primary's address, not the reader endpoint",
    "MASTERDOWN": "this is a replica that has lost its primary: write the primary's address",
    "NOREPLICAS": "it takes no writes while its replicas are away (min-replicas-to-write)",
    "LOADING": "it was started just now, and is loading its data",
    "OOM": "its memory is full: raise maxmemory",
    "MISCONF": "it takes no writes because it cannot save to disk: its own log says why",
    "BUSY": "somebody's script has been running there for seconds",
    "DENIED": "it is in protected mode: set a password there",
    "NOPERM": (
        "its ACL refuses a command or the keys ~PREFIX*: see Many machines in the documentation"
    ),
    **dict.fromkeys(OF_CLUSTERS, CLUSTER),
}
_IN_CLUSTER: Final = {
    "ASK": "its slot is being moved, and its nodes disagree about that",
    "CLUSTERDOWN": "nobody serves its slot: is a primary gone, without a replica in its place?",
    "CROSSSLOT": "a command with keys of several slots: is there a proxy that joins commands?",
    "MOVED": "its nodes disagree on who has the slot (redis-cli --cluster check)",
    "TRYAGAIN": "its slot is being moved, and the key is in neither place as yet",
}
_GONE: Final = {
    "cluster": "one of its nodes is gone, and no other has taken its place as yet",
    "sentinels": "the primary is gone, and the Sentinels name no other as yet",
}
_BY_CLASS: Final = {  # ours, where the kind alone does not say it
    "Demoted": "the Sentinels' word is old: they name a replica as the primary",
    "TooFewReplicas": (
        "fewer replicas than replicas= says have confirmed a write in time: bring them back, or "
        "write a smaller number"
    ),
}
_OWN_SENTENCES: Final = frozenset(("NoCredentials", "NoPrimary"))
_BY_TEXT: Final = (
    ("cluster support disabled", NO_CLUSTER),
    ("cluster mode", CLUSTER),
    ("in a cluster node", CLUSTER),
    (
        "invalid username-password",
        "wrong user name or password: redis://name:password@host:6379/0, or credentials=",
    ),
    ("invalid password", "wrong password: redis://:password@host:6379/0"),
    ("without any password", "it has no password: leave it out of the url, or set one there"),
    ("authenticat", "it wants a password: redis://:password@host:6379/0"),
    ("db index is out of range", "it has no such database: write a smaller number after the host"),
    ("max number of clients", "it has as many clients as it takes: raise its maxclients"),
    ("unknown command", "it lacks a command: is that Redis 7 or Valkey itself, and no Sentinel?"),
    ("no connection available", "all connections are in use: write ?max_connections=64"),
)
_ACL_IN_SCRIPTS: Final = (
    "ACL failure in script",
    "The user executing the script can't",  # Redis 7.0, which does not name the command
)
_ACL_COMMAND: Final = re.compile(r"permissions to run the '([a-z][a-z0-9_|-]{0,40})' command")
_BY_VERIFY_CODE: Final = {  # OpenSSL's
    9: "its certificate is not valid yet: is this machine's clock right?",
    10: "its certificate has expired",
    **dict.fromkeys(
        (2, 18, 19, 20, 21),
        "its certificate is of an unknown CA: name that, ?ssl_ca_certs=/path/to/ca.pem",
    ),
    **dict.fromkeys((62, 64), "its certificate is for another host name: write that one"),
}
_NO_TLS: Final = "no TLS is spoken there: a wrong port, or one without TLS (then write redis://)"
_NO_REDIS: Final = (
    "that is no answer of Redis: a wrong port, or one with TLS (then write rediss://)"
)
_NO_ANSWER: Final = "no answer in time: is the host right, and does a firewall let you through?"


def kind(error: BaseException) -> str:
    """The kind of a failure: the server's own code, or the exception's name."""
    name = type(error).__name__
    if name != "ResponseError":
        return _CODES.get(name, name)
    if any(said in str(error) for said in _ACL_IN_SCRIPTS):
        return "NOPERM"
    word = str(error).partition(" ")[0]
    is_code = word.isascii() and word.isalpha() and word.isupper()
    return word if is_code and getattr(error, "status_code", None) != "ERR" else name


def may_be_the_lists(failure: BaseException, *, is_apart: bool) -> bool:
    """Whether a batch may have failed for its user's list alone: what is left may be sent again.

    `is_apart`: the list may be on another node. On one node only a refusal tells them apart.
    """
    cause = type(failure.__cause__)
    is_refusal = any(each.__name__ == "ResponseError" for each in cause.__mro__)
    return is_refusal or (is_apart and cause.__name__ != "TooFewReplicas")


def told(error: BaseException, *, is_tls: bool, was_reached: bool, among: Among = "") -> str:
    """The kind of a failure, and its meaning if that is known.

    `was_reached`: this server has answered before, so the url is right. `among`: what the
    server belongs to.
    """
    sentence = _sentence(error, is_tls=is_tls, was_reached=was_reached, among=among)
    return f"{kind(error)}: {sentence}" if sentence else kind(error)


def _sentence(error: BaseException, *, is_tls: bool, was_reached: bool, among: Among) -> str | None:
    name = kind(error)
    if among == "cluster" and name in _IN_CLUSTER:
        return _IN_CLUSTER[name]
    if (sentence := _of_answer(error, name)) is not None:
        return sentence
    for cause in _causes(error):
        found_cause = _of_cause(cause, is_tls=is_tls)
        is_gone = among in _GONE and was_reached and isinstance(cause, ConnectionRefusedError)
        if found_cause is not None and not is_gone:
            return found_cause
    if was_reached:
        return _GONE.get(among) if name == "ConnectionError" else None
    if is_tls:
        return _NO_TLS
    return _NO_ANSWER if name == "TimeoutError" else _NO_REDIS


def _of_answer(error: BaseException, name: str) -> str | None:
    """The meaning of an answer, by its class, code or text."""
    own, text = type(error).__name__, str(error)
    if own in _OWN_SENTENCES:
        return text
    if own in _BY_CLASS:
        return _BY_CLASS[own]
    if name == "NOPERM" and (found := _ACL_COMMAND.search(text)):
        return f"its ACL refuses '{found[1]}': allow +{found[1]} for the keys ~PREFIX*"
    if name in _BY_CODE:
        return _BY_CODE[name]
    for part, sentence in _BY_TEXT:
        if part in text.lower():
            return sentence
    return None


def _causes(error: BaseException | None) -> list[BaseException]:
    """A failure and its causes, the outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _of_cause(cause: BaseException, *, is_tls: bool) -> str | None:
    match cause:
        case ssl.SSLCertVerificationError(verify_code=code):
            return _BY_VERIFY_CODE.get(code, "its certificate was not accepted")
        case ssl.SSLError() if "CERTIFICATE_REQUIRED" in str(cause.reason):
            return "it wants a certificate of yours: ?ssl_certfile=...&ssl_keyfile=..."
        case ssl.SSLError():
            return _NO_TLS
        case socket.gaierror():
            return "its host name is not known here"
        case ConnectionRefusedError():
            return "nothing listens there: does it run, and is the port right?"
        case FileNotFoundError() | PermissionError() | IsADirectoryError():
            if is_tls:
                return "a file that the url names (ssl_ca_certs, ssl_certfile) cannot be read"
            return "there is no socket at that path, or it may not be opened"
    return None
