"""`StoredSession`: the cookie holds an opaque id; the tokens are in a store.

Rules:
- The id has 256 random bits. The store knows only the id's hash, and holds the tokens encrypted
  under a key derived from the id: a stolen store yields no token and no cookie.
- User, handle, times and the device's name are visible in the store, and bound to the encrypted
  part: a record that was tampered with counts as absent.
- A client cannot choose an id: every sign-in makes a new one.
- A session that is not in the store is over, at once and for every process.
- The store is asked for each request; for a known session, only whether its record has changed.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ..cognito.verifier import MAX_TOKEN_BYTES
from ..effects import Draw, Flow, Unreachable
from ..errors import SessionTooLargeError, check_number
from ..models.session import SessionInfo
from ..naming import named_options
from ..web import base64url
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import NewCookie, SessionCookie
from .base import Dependencies, NewSession, PartlyEnded, Postponed, SessionList
from .bundle import Bundle, pack, unpack
from .codec import LoadedSession
from .lasting import INVALID, STORE_DOWN, Lasting, LastingForm
from .lifetimes import DEFAULT_TOKEN_BYTES, LastingSession, check_store
from .record import Record, has_ended
from .refreshing import IV, REVOKED, Pair, revoked
from .store import Store
from .verdicts import (
    NO_COOKIE,
    NO_SESSION,
    Refused,
    Resolution,
    SignedIn,
    user_key,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ID: Final = 32  # bytes
_ID_LENGTH: Final = 43  # characters of base64url
_TIMES: Final = struct.Struct(">Qddd")
_FORMAT: Final = b"\x01"


@named_options
@dataclass(frozen=True)
class StoredSession(LastingSession):
    """The cookie holds an id; the tokens are in a store. Sessions end at once for all its users."""

    store: Store = field(kw_only=False)
    """The `SessionStore`. Required.

    `MemoryStore()` for one process, `SQLiteStore(path)` for one machine, `PostgresStore(dsn)` or
    `RedisStore(url)` for many.
    """

    max_token_bytes: int = DEFAULT_TOKEN_BYTES
    """The most bytes of each token. Default: 65,536; from 4,096 to 262,144.

    Users in many groups, with roles of long names, have tokens of 10 kB and more.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_store("store", self.store)
        check_number("max_token_bytes", self.max_token_bytes, 4096, MAX_TOKEN_BYTES)

    @property
    def longest_token(self) -> float:
        """The largest token that a session takes, in bytes."""
        return self.max_token_bytes

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> SessionCookie:  # noqa: ARG002
        """Its one cookie."""
        return SessionCookie(policy, needs=_ID_LENGTH)

    def bind(self, around: Dependencies) -> "StoredSessions":
        """The kind at work."""
        return StoredSessions(self, around)


class StoredCodec:
    """A stored session is in the store, under the hash of its id."""

    in_cookie: bool = False
    session: str = "stored"

    def __init__(self, identifier: bytes, user: str = "", user_agent: str = "") -> None:
        self.key: bytes = store_key(identifier)
        self.value: bytes = base64url.encode(identifier)
        self._identifier = identifier
        self._user = user
        self._user_agent = user_agent

    def of(self, record: Record) -> "StoredCodec":
        """The same codec, for the session in `record`."""
        self._user, self._user_agent = record.user, record.user_agent
        return self

    def close(self, bundle: Bundle, iv: bytes, expires_at: float) -> tuple[Record, bytes]:
        """The record for a bundle, and the record's value."""
        bare = Record(
            value=b"",
            version=bundle.turn,
            expires_at=expires_at,
            user=self._user,
            handle=base64url.encode(bundle.sid).decode("ascii"),
            created_at=bundle.created_at,
            seen_at=bundle.seen_at,
            user_agent=self._user_agent,
        )
        sealed = self._cipher().encrypt(iv, pack(bundle), _visible(bare))
        value = _FORMAT + iv + sealed
        return replace(bare, value=value), value

    def open(self, record: Record) -> tuple[Bundle, bytes] | None:
        """The same two from a record; None if any part of it was changed."""
        from cryptography.exceptions import InvalidTag

        if record.value[:1] != _FORMAT:
            return None
        iv, sealed = record.value[1 : 1 + IV], record.value[1 + IV :]
        try:
            bundle = unpack(self._cipher().decrypt(iv, sealed, _visible(record)))
        except (InvalidTag, ValueError, struct.error):
            return None
        return bundle, record.value

    def cookie(self, sealed: bytes) -> bytes:  # noqa: ARG002
        """The cookie's value: always the id."""
        return self.value

    def _cipher(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._identifier, b"amplify_mw stored session", "sha256"))


def store_key(identifier: bytes) -> bytes:
    """The key in the store of the session with this id."""
    return hashlib.sha256(b"amplify_mw session id\0" + identifier).digest()


def _visible(record: Record) -> bytes:
    """The associated data of the encrypted part: all other fields of the record."""
    times = _TIMES.pack(record.version, record.expires_at, record.created_at, record.seen_at)
    texts = [text.encode() for text in (record.user, record.handle, record.user_agent)]
    return times + b"".join([struct.pack(">I", len(text)) + text for text in texts])


def identifier_in(value: bytes) -> bytes | None:
    """The id in a cookie's value, in its one spelling."""
    if len(value) != _ID_LENGTH:
        return None
    try:
        return base64url.decode(value)
    except ValueError:
        return None


class StoredSessions:
    """Stored sessions at work."""

    in_cookie: bool = False
    nobody: Refused = NO_SESSION

    def __init__(self, kind: StoredSession, around: Dependencies) -> None:
        form = LastingForm(kind, around.verifier)
        self.listed: SessionList = self
        self._kind = kind
        self._verdicts = around.verdicts
        self._lasting = Lasting(kind, form, around, kind.store, around.memory(), staleness=0.0)
        self._store = self._lasting.store

    def at_once(self, value: bytes, now: float) -> None:
        """None: the store is asked."""

    def resolve(self, value: bytes, now: float) -> Flow[Resolution]:
        """The resolution of a cookie's value."""
        known: SignedIn | None = self._verdicts.get(value)
        held = None if known is None else known.held
        seen = None if held is None else held.record
        try:
            if held is not None and seen is not None:  # the same value led to the same key before
                record, now = yield from self._store.ask(Store.reload, held.key, seen)
            elif (codec := _codec(value)) is not None:
                record, now = yield from self._store.ask(Store.load, codec.key)
            else:
                return INVALID
        except Unreachable:
            return STORE_DOWN
        if record is None:
            return INVALID
        if has_ended(record):
            return Resolution(revoked(record))
        is_kept = self._verdicts.get(value) is known
        if is_kept and known and held and now < held.due_at:
            if record is seen:
                return Resolution(known)
            if record == seen:  # with another mark
                return Resolution(replace(known, held=held._replace(record=record)))
        codec = _codec(value)
        loaded = None if codec is None else _loaded(codec, record)
        if loaded is None:
            return INVALID
        return (yield from self._lasting.settle(loaded, now))

    def look(self, value: bytes, now: float) -> Flow[Resolution]:
        """The same: the cookie is only an id, and the store keeps new tokens."""
        return self.resolve(value, now)

    def whose(self, value: bytes, now: float) -> Flow[str | None]:
        """The `user_key` of the session. Raises `Unreachable`."""
        codec = _codec(value)
        if codec is None:
            return None
        record, now = yield from self._store.ask(Store.load, codec.key)
        return self._lasting.owner(None if record is None else _loaded(codec, record), now)

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """The session with fresh tokens; None if it holds no refresh token."""
        loaded = yield from self._load_again(verdict)
        return (yield from self._lasting.settler.refresh(loaded, now))

    def _load_again(self, verdict: SignedIn) -> Flow[LoadedSession | Refused]:
        """The session as it is now, or its end."""
        codec = _codec(verdict.cookie)
        if codec is None:
            return REVOKED
        seen = None if verdict.held is None else verdict.held.record
        if seen is None:
            record, _ = yield from self._store.ask(Store.load, codec.key)
        else:
            record, _ = yield from self._store.ask(Store.reload, codec.key, seen)
        loaded = None if record is None else _loaded(codec, record)
        return loaded or revoked(record)

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A new session. Raises `Unreachable` and `SessionTooLargeError`."""
        token, limit = new_session.id_token, self._kind.longest_token
        size = max(map(len, new_session.tokens))
        if size > limit:
            raise SessionTooLargeError(size, int(limit), of="token")
        bundle, iv = yield from self._lasting.begin(new_session, now)
        identifier, now = yield Draw(_ID)
        codec = StoredCodec(identifier, user_key(token.pool, token.sub), new_session.user_agent)
        record, sealed = codec.close(bundle, iv, self._kind.ends_at(bundle))
        yield from self._store.ask(Store.create, codec.key, record)
        loaded = LoadedSession(codec, bundle, sealed, is_newer=True, record=record)
        pair = Pair(token, new_session.access_token)
        return self._lasting.settler.resolution(loaded, pair, now)

    def unless_ended(self, cookie: NewCookie, now: float) -> Flow[NewCookie | None]:
        """A cookie that is to be set, if its session has not ended since; else None."""
        codec = _codec(cookie.value.encode("ascii"))
        return (yield from self._lasting.unless_ended(codec, cookie, now))

    def own(self, verdict: SignedIn) -> tuple[bytes, NewCookie]:
        """The value of a verdict's session alone, and what clears its cookies."""
        return verdict.cookie, NO_COOKIE

    def contents(self, value: bytes) -> list[Bundle]:  # noqa: ARG002
        """Nothing: the cookie holds only an id."""
        return []

    def end(
        self,
        value: bytes,
        now: float,
        keep: bytes = b"",  # noqa: ARG002
        *,
        asks_again: bool = False,
    ) -> Flow[list[Bundle]]:
        """End the session; its bundle, if there was one."""
        codec = _codec(value)
        if codec is None:
            return []
        known: SignedIn | None = self._verdicts.get(value)
        try:
            record = yield from self._store.end(
                codec.key, now, asks_again=asks_again, is_known=known is not None
            )
        except Unreachable as error:
            held = None if known is None else known.held
            left = [held.bundle] if held else (yield from self._left(codec))
            raise PartlyEnded(str(error), left) from error
        loaded = None if record is None else _loaded(codec, record)
        return [] if loaded is None else [loaded.bundle]

    def _left(self, codec: StoredCodec) -> Flow[list[Bundle]]:
        """The bundle of a session that could not be ended, if its store can be read."""
        try:
            record, _ = yield from self._store.ask_quietly(Store.load, codec.key)
        except Unreachable:
            return []
        loaded = None if record is None else _loaded(codec, record)
        return [] if loaded is None else [loaded.bundle]

    def of_user(self, user: str, current: SignedIn | None) -> Flow[dict[bytes, SessionInfo]]:
        """A user's sessions by their keys, the one seen last first."""
        own = None if current is None else _codec(current.cookie)
        found, _ = yield from self._store.ask(Store.of_user, user)
        found.sort(key=lambda pair: (pair[1].seen_at, pair[1].created_at), reverse=True)
        own_key = None if own is None else own.key
        return {key: _info(record, is_current=key == own_key) for key, record in found}

    def end_by_key(self, key: bytes, now: float) -> Flow[bool]:
        """End a session from elsewhere; False if there is none."""
        return (yield from self._store.end(key, now, asks_again=True)) is not None

    def end_of_user(self, user: str, now: float) -> Flow[None]:
        """End all sessions of a user from elsewhere."""
        keys, now = yield from self._store.ask(Store.end_of_user, user)
        for key in keys:
            yield from self._store.note(key, now)


def _codec(value: bytes) -> StoredCodec | None:
    """The codec of the session in a cookie's value; None if the value is no id."""
    identifier = identifier_in(value)
    return None if identifier is None else StoredCodec(identifier)


def _loaded(codec: StoredCodec, record: Record) -> LoadedSession | None:
    """The session in a record; None if it has ended, or the record was tampered with."""
    if has_ended(record):
        return None
    opened = codec.of(record).open(record)
    return None if opened is None else LoadedSession(codec, *opened, record=record)


def _info(record: Record, *, is_current: bool) -> SessionInfo:
    return SessionInfo(
        handle=record.handle,
        created_at=record.created_at,
        seen_at=record.seen_at,
        expires_at=record.expires_at,
        user_agent=record.user_agent,
        is_current=is_current,
    )
