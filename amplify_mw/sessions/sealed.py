"""`SealedSession`: all tokens of a session in its cookie, encrypted. No store is needed.

Rules:
- A cookie's value opens only with a key for this cookie name and app client. Any other value gets
  the same refusal (`invalid_session`). See `seal` and `bundle`.
- A well-formed value under an unknown key signs nobody in, and is kept (`unknown_session_key`):
  during a change of keys another process may have that key. A sign-in overwrites it.
- A `sid` names the session through all refreshes. The coordinator knows about newer tokens and
  ends since a cookie was written. It is this process's own unless a shared one is given. A late
  request with an older cookie gets the newer cookie.
- A session too large for `max_bytes` of cookies is refused at its start. If a refresh makes it too
  large, it continues with its older cookie, and the operator is told once.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from ..effects import Flow, Notice, Unreachable
from ..errors import ConfigurationError, NotAuthorizedException, SessionTooLargeError, check_number
from ..naming import named_options
from ..web.cookie_policy import CookiePolicy
from ..web.cookies import MAX_COOKIE_BYTES, NewCookie, SessionCookie
from .base import Dependencies, NewSession, PartlyEnded, Postponed
from .bundle import MAX_PACKED, Bundle, pack, unpack
from .codec import LoadedSession, newest
from .lasting import INVALID, STORE_DOWN, Lasting, LastingForm
from .lifetimes import LastingSession, check_store
from .record import Record
from .refreshing import IV, REVOKED, Pair, revoked
from .seal import Seal, parse_key
from .store import Store
from .verdicts import NO_COOKIE, NO_SESSION, Refused, Resolution, SignedIn

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_Settle: TypeAlias = Callable[[LoadedSession, float], Flow[Resolution]]
_UNKNOWN_KEY: Final = Resolution(Refused(NotAuthorizedException, "unknown_session_key"))
_MAX_BYTES: Final = 12_000
_SHORTEST: Final = 2_500  # bytes: two of Cognito's tokens, sealed
_MAX_SEALED: Final = MAX_PACKED * 3 // 2  # characters: base64url takes 4 for 3 bytes


@named_options
@dataclass(frozen=True, kw_only=True)
class SealedSession(LastingSession):
    """The cookie holds all tokens, encrypted. No store is needed.

    Sessions are bound to the cookie's name and to the app client: they end when `client_id` changes
    from None to a client, or back.

    >>> SealedSession(keys=["not a key"])
    Traceback (most recent call last):
    amplify_mw.errors.ConfigurationError: keys: write 32 random bytes, base64url-encoded, as \
`amplify-mw keygen` prints them
    """

    keys: Sequence[str | bytes] = field(repr=False)
    """The keys, as `amplify-mw keygen` prints them. Required.

    The first one seals, all of them open. To change keys without signing anybody out, deploy three
    times, each time everywhere before the next: `keys=[old, new]`, then `[new, old]`, and `[new]`
    once the sessions sealed with `old` may end (after `idle`, those in use are sealed anew).
    """

    coordinator: Store | None = None
    """A `SessionStore` shared by all processes. Default: None.

    With it, tokens are refreshed once and the end of a session is seen everywhere. Without, both
    hold for each process by itself.
    """

    staleness: float = 60.0
    """Seconds that a session ended by another process may still be accepted, with a coordinator.

    Default: 60, at most 3,600.
    """

    max_bytes: int = _MAX_BYTES
    """The most bytes of cookies for a session. Default: 12,000; from 1,024 to 32,768.

    One cookie takes 4,096; a larger session is split over several.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.keys, str | bytes) or not self.keys:
            raise ConfigurationError("keys: write a list, keys=['...']; the first one seals")
        check_number("staleness", self.staleness, 0, 3600)
        check_number("max_bytes", self.max_bytes, 1024, 32_768)
        if self.coordinator is not None:
            check_store("coordinator", self.coordinator)
        object.__setattr__(self, "keys", tuple(parse_key(key) for key in self.keys))

    def cookies(self, policy: CookiePolicy, clients: tuple[str, ...] | None) -> SessionCookie:  # noqa: ARG002
        """Its one cookie, or several where it is too large for one."""
        return SessionCookie(policy, self.max_bytes, needs=_SHORTEST)

    def bind(self, around: Dependencies) -> "SealedSessions":
        """The kind at work."""
        return SealedSessions(self, around)


class SealedCodec:
    """A sealed session is in its cookie; its record in the coordinator holds newer versions."""

    in_cookie: bool = True
    session: str = "sealed"

    def __init__(self, seal: Seal, sid: bytes, client: str) -> None:
        self.key: bytes = hashlib.sha256(b"amplify_mw sealed session\0" + sid).digest()
        self._seal = seal
        self._sid = sid
        self._client = client

    def close(self, bundle: Bundle, iv: bytes, expires_at: float) -> tuple[Record, bytes]:
        """The record for a bundle, and the cookie's value.

        A stolen record is useless: its key is derived from the `sid`, and only cookies hold that.
        """
        cookie = self._seal.seal(pack(bundle), self._client, iv)
        wrapped = iv + self._cipher().encrypt(iv, cookie, self._bound_to(bundle.turn))
        return Record(wrapped, bundle.turn, expires_at), cookie

    def open(self, record: Record) -> tuple[Bundle, bytes] | None:
        """The same two from a record; None if it belongs to another session."""
        from cryptography.exceptions import InvalidTag

        iv, wrapped = record.value[:IV], record.value[IV:]
        try:
            cookie = self._cipher().decrypt(iv, wrapped, self._bound_to(record.version))
        except (InvalidTag, ValueError):
            return None
        opened = open_bundle(self._seal, cookie)
        return (opened[0], cookie) if opened is not None and opened[0].sid == self._sid else None

    def _cipher(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._sid, b"amplify_mw coordinator record", "sha256"))

    def _bound_to(self, version: int) -> bytes:
        return self.key + b"%d" % version

    def cookie(self, sealed: bytes) -> bytes:
        """The cookie's value: the sealed bundle itself."""
        return sealed


def open_bundle(seal: Seal, value: bytes) -> tuple[Bundle, str | None] | None:
    """The bundle in a sealed value, and its client; None for a value that does not open."""
    opened = seal.open(value)
    if opened is None:
        return None
    try:
        return unpack(opened[0]), opened[1]
    except ValueError:
        return None


class SealedSessions:
    """Sealed sessions at work."""

    in_cookie: bool = True
    listed: None = None
    nobody: Refused = NO_SESSION

    def __init__(self, kind: SealedSession, around: Dependencies) -> None:
        memory = around.memory()
        is_shared = kind.coordinator is not None
        keys = [parse_key(key) for key in kind.keys]
        self._kind = kind
        self._verdicts = around.verdicts
        self._seal = Seal(keys, around.cookie_name, around.client_ids, _MAX_SEALED)
        self._cookie = kind.cookies(CookiePolicy(name=around.cookie_name), None)
        self._form = LastingForm(kind, around.verifier, self._too_large)
        self._lasting = Lasting(
            kind,
            self._form,
            around,
            memory if kind.coordinator is None else kind.coordinator,
            memory,
            staleness=kind.staleness if is_shared else None,
        )
        self._store = self._lasting.store
        self._has_told_key = False

    def at_once(self, value: bytes, now: float) -> None:
        """None: it is looked up whether the session has ended."""

    def resolve(self, value: bytes, now: float) -> Flow[Resolution]:
        """The resolution of a cookie's value."""
        return (yield from self._resolve(value, now, self._lasting.settle))

    def look(self, value: bytes, now: float) -> Flow[Resolution]:
        """The same without a refresh, and without an extension."""
        return (yield from self._resolve(value, now, self._lasting.look))

    def _resolve(self, value: bytes, now: float, settle: _Settle) -> Flow[Resolution]:
        """The resolution of a cookie's value. `settle`: of a session with something due."""
        loaded = None if len(value) > MAX_COOKIE_BYTES else self._open(value)
        if loaded is None:
            return (yield from self._unopened(value))
        known: SignedIn | None = self._verdicts.get(value)
        held = None if known is None else known.held
        seen = None if held is None else held.record
        try:
            if seen is None:
                record, now = yield from self._store.ask(Store.load, loaded.codec.key)
            else:
                record, now = yield from self._store.ask(Store.reload, loaded.codec.key, seen)
        except Unreachable:
            return STORE_DOWN
        latest = newest(loaded, record)
        if latest is None:
            return Resolution(revoked(record))
        is_kept = self._verdicts.get(value) is known
        if is_kept and not latest.is_newer and known and held and now < held.due_at:
            held = held._replace(record=latest.record)
            return Resolution(self._lasting.settler.believed(known, held, now))
        return (yield from settle(latest, now))

    def whose(self, value: bytes, now: float) -> Flow[str | None]:
        """The `user_key` of the session. Raises `Unreachable`."""
        loaded = self._open(value)
        if loaded is None:
            return None
        record, now = yield from self._store.ask(Store.load, loaded.codec.key)
        return self._lasting.owner(newest(loaded, record), now)

    def refresh(self, verdict: SignedIn, now: float) -> Flow[Resolution | Postponed | None]:
        """The session with fresh tokens; None if it holds no refresh token."""
        loaded = self._open(verdict.cookie) or REVOKED
        return (yield from self._lasting.settler.refresh(loaded, now))

    def _unopened(self, value: bytes) -> Flow[Resolution]:
        """The resolution of a value that no key here opens."""
        if len(value) > MAX_COOKIE_BYTES or not self._seal.is_of_another_key(value):
            return INVALID
        if not self._has_told_key:
            self._has_told_key = True
            yield Notice(
                "a session is sealed with a key that this process does not have; it is kept. To "
                "change keys, give all processes keys=[old, new] first, then [new, old], then [new]"
            )
        return _UNKNOWN_KEY

    def _open(self, value: bytes) -> LoadedSession | None:
        opened = open_bundle(self._seal, value)
        if opened is None:
            return None
        bundle, client = opened
        return LoadedSession(SealedCodec(self._seal, bundle.sid, client or ""), bundle, value)

    def _too_large(self, loaded: LoadedSession) -> SessionTooLargeError | None:
        size = self._cookie.size(NewCookie(loaded.sealed.decode("ascii")))
        limit = self._kind.max_bytes
        return SessionTooLargeError(size, limit) if size > limit else None

    def start(self, new_session: NewSession, now: float) -> Flow[Resolution]:
        """A new session. Raises `SessionTooLargeError`."""
        bundle, iv = yield from self._lasting.begin(new_session, now)
        codec = SealedCodec(self._seal, bundle.sid, new_session.id_token.client)
        _, cookie = codec.close(bundle, iv, now)
        loaded = LoadedSession(codec, bundle, cookie, is_newer=True)
        if too_large := self._too_large(loaded):
            raise too_large
        pair = Pair(new_session.id_token, new_session.access_token)
        return self._lasting.settler.resolution(loaded, pair, now)

    def unless_ended(self, cookie: NewCookie, now: float) -> Flow[NewCookie | None]:
        """A cookie that is to be set, if its session has not ended since; else None."""
        loaded = self._open(cookie.value.encode("ascii"))
        codec = None if loaded is None else loaded.codec
        return (yield from self._lasting.unless_ended(codec, cookie, now))

    def own(self, verdict: SignedIn) -> tuple[bytes, NewCookie]:
        """The value of a verdict's session alone, and what clears its cookies."""
        return verdict.cookie, NO_COOKIE

    def contents(self, value: bytes) -> list[Bundle]:
        """The bundle in the cookie itself, if the value can be opened."""
        loaded = self._open(value)
        return [] if loaded is None else [loaded.bundle]

    def end(
        self,
        value: bytes,
        now: float,
        keep: bytes = b"",  # noqa: ARG002
        *,
        asks_again: bool = False,
    ) -> Flow[list[Bundle]]:
        """End the session; its newest bundle, if it had not ended before."""
        loaded = self._open(value)
        if loaded is None:
            return []
        codec, bundle, gone_at = loaded.codec, loaded.bundle, self._kind.gone_at(loaded.bundle)
        if now >= gone_at:
            return []
        # Even a session past `idle`: another process may have extended it since.
        record, has_ended = yield from self._store.take(
            codec, bundle, gone_at, now, asks_again=asks_again
        )
        latest = None if has_ended else newest(loaded, record)
        if latest is None:
            return []
        if record is not None:
            try:
                yield from self._store.leave_tombstone(
                    codec, bundle, gone_at, now, asks_again=asks_again
                )
            except Unreachable as error:
                raise PartlyEnded(str(error), [latest.bundle]) from error
        return [latest.bundle] if now < self._kind.ends_at(latest.bundle) else []
