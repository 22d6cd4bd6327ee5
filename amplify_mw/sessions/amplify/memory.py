"""The process's memory of sessions in Amplify's cookies: newer tokens, and ends.

A browser may send the cookies from before a refresh or a sign-out. Two tables lead on from them:

    places  user and refresh token -> the tokens of the next refresh, or a tombstone
    ends    sign-in                -> a tombstone

Rules:
- An end is remembered by the sign-in named in all its tokens, so that it holds with any refresh
  token beside them. Ends have a table of their own: a client can make up any number of refresh
  tokens, and must not push out the ends of others.
- Older tokens never replace newer ones, nor others of the same second: the front end refreshes,
  too.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Container, Iterable
from contextlib import suppress
from typing import Final

from ...cognito.verifier import InvalidToken, VerifiedToken
from ...effects import Cache, Flow, Forget
from ..base import Dependencies
from ..bundle import Bundle
from ..client import StoreClient
from ..codec import LoadedSession
from ..record import Record, has_ended
from ..refreshing import revoked
from ..store import Memory
from ..verdicts import Refused, user_key
from .codec import LABEL, AmplifyCodec
from .tokens import AmplifyTokens, claimed_issue, issued_at
from .wire import AmplifySet, sets_in

_MAX_NOTED: Final = 10_000


class SessionMemory:
    """Remembers sessions for all middlewares of this process."""

    def __init__(self, around: Dependencies, tokens: AmplifyTokens) -> None:
        places, ends = around.places(), around.memory()
        self.places: StoreClient[Memory] = StoreClient(places, places, around.all_verdicts)
        self._ends: StoreClient[Memory] = StoreClient(ends, ends, around.all_verdicts)
        self._load_place, self._load_end = places.load, ends.load
        self._all_verdicts: Callable[[], list[Cache]] = around.all_verdicts
        self._tokens = tokens
        self._newest = Newest()

    # A live session.

    def begin(self, codec: AmplifyCodec, access: VerifiedToken) -> Flow[float]:
        """Forget the end of a session that starts again. Gives the time."""
        yield from self.places.ask(Memory.delete, codec.key)
        _, now = yield from self._ends.ask(Memory.delete, sign_in_key(access))
        return now

    def latest(
        self, loaded: LoadedSession, access: VerifiedToken, now: float
    ) -> Flow[LoadedSession | Refused]:
        """A session after all refreshes since, or its end. `access`: its verified access token."""
        record, now = yield from self._ends.ask(Memory.load, sign_in_key(access))
        if record is not None:
            return revoked(record)
        known = {loaded.codec.key}
        while True:
            record, now = yield from self.places.ask(Memory.load, loaded.codec.key)
            if record is None:
                return loaded
            if has_ended(record):
                return revoked(record)
            found, successor = _successor(loaded, record, now)
            if successor is None or successor.key in known:
                return found
            known.add(successor.key)
            loaded = successor.loaded(is_newer=True)

    def knows_more(self, key: bytes, sign_in: bytes) -> bool:
        """Whether `latest` has more to say of a session than its cookies have.

        `sign_in`: the key of its sign-in. (Both tables are this process's own: they are read as a
        cache is, without a flow.)
        """
        return self._load_end(sign_in) is not None or self._load_place(key) is not None

    def note(self, access: VerifiedToken, sign_in: bytes | None = None) -> None:
        """Note an access token that signs a user in. `sign_in`: its sign-in's key, if known."""
        key = sign_in_key(access) if sign_in is None else sign_in
        self._newest.note(access.encoded, key, claimed_issue(access.claims))

    def is_outdated(self, mine: AmplifySet, now: float) -> Flow[bool]:
        """Whether cookies must not be written any more: the session ended, or has newer tokens."""
        if self._newest.is_overtaken(mine.access_token):
            return True
        with suppress(InvalidToken):  # the key was withdrawn meanwhile, which ends no session
            access = self._tokens.read(mine.access_token, now)
            codec = AmplifyCodec(mine, user_key(access.pool, access.sub), None, now)
            for store, key in ((self._ends, sign_in_key(access)), (self.places, codec.key)):
                record, now = yield from store.ask(Memory.load, key)
                if has_ended(record):
                    return True
        return False

    def is_ended(self, access: VerifiedToken) -> Flow[bool]:
        """Whether the sign-in of an access token was ended."""
        record, _ = yield from self._ends.ask(Memory.load, sign_in_key(access))
        return record is not None

    # The end of a session.

    def end(
        self, loaded: LoadedSession, tombstone: Record, keep: Collection[AmplifySet], now: float
    ) -> Flow[LoadedSession | None]:
        """End a session with all refreshes of it: its newest version; None if it had ended before.

        `keep`: the sets of a session just started in its place.
        """
        kept = {_codec(loaded).successor(mine, now).key for mine in keep}
        ended = yield from self._end_places(loaded, tombstone, kept, now)
        tokens = [loaded.bundle.access_token, *(one.bundle.access_token for one in ended)]
        going_on = self._sign_ins((mine.access_token for mine in keep), now)
        for key in self._sign_ins(tokens, now) - going_on:
            yield from self._ends.ask_quietly(Memory.exchange, key, tombstone)
        return ended[-1] if ended else None

    def _end_places(
        self, loaded: LoadedSession, tombstone: Record, kept: Container[bytes], now: float
    ) -> Flow[list[LoadedSession]]:
        """Put a tombstone in each place of a session; its versions, if it had not ended before.

        The tombstone is swapped in atomically; the record it replaces is the last one written.
        """
        found, known = [loaded], {loaded.codec.key}
        while True:
            if loaded.codec.key in kept:
                return found[:-1]
            key = loaded.codec.key
            record, now = yield from self.places.ask_quietly(Memory.exchange, key, tombstone)
            if has_ended(record):
                return found[1:]
            opened = None if record is None else loaded.codec.open(record)
            if opened is None:
                return found
            (newer,) = sets_in(opened[1])
            codec = _codec(loaded).successor(newer, now)
            found.append(codec.loaded())
            if codec.key in known:
                return found
            known.add(codec.key)
            loaded = found[-1]

    def _sign_ins(self, access_tokens: Iterable[bytes], now: float) -> set[bytes]:
        """The sign-ins of access tokens, verified before."""
        found = set[bytes]()
        for token in access_tokens:
            with suppress(InvalidToken):  # another configuration refreshed it, and takes others
                found.add(sign_in_key(self._tokens.read(token, now)))
        return found

    def forget(self, access_token: bytes | None) -> Flow[None]:
        """Drop the cached verdicts of this access token."""
        yield Forget(self._all_verdicts(), lambda known: known.access_token == access_token)

    def forget_user(self, access: VerifiedToken) -> Flow[None]:
        """Drop the cached verdicts of this user."""
        owner = access.pool, access.sub
        yield Forget(
            self._all_verdicts(),
            lambda known: known.user and (known.pool, known.user.user_id) == owner,  # no machine
        )


class Newest:
    """The newest access token of each sign-in, of those seen or made by this process.

    Of several tokens of one second, the last one noted counts.
    """

    def __init__(self) -> None:
        self._noted: dict[bytes, tuple[bytes, float]] = {}  # sign-ins and times, by tokens' hashes
        self._newest: dict[bytes, tuple[float, bytes]] = {}

    def note(self, token: bytes, sign_in: bytes, issued_at: float) -> None:
        """Note a verified token. `sign_in`: the key of its sign-in."""
        if len(self._noted) >= _MAX_NOTED:
            self._noted.clear()
            self._newest.clear()
        name = hashlib.sha256(token).digest()
        self._noted[name] = sign_in, issued_at
        if issued_at >= self._newest.get(sign_in, (-math.inf, b""))[0]:
            self._newest[sign_in] = issued_at, name

    def is_overtaken(self, token: bytes) -> bool:
        """Whether a token was noted, and a newer one of its sign-in since."""
        name = hashlib.sha256(token).digest()
        noted = self._noted.get(name)
        newest = self._newest.get(noted[0]) if noted is not None else None
        return newest is not None and newest[1] != name


def sign_in_key(access: VerifiedToken) -> bytes:
    """The key of a sign-in, the same for all of its tokens.

    Cognito names the sign-in in all of its tokens, unless the app client has revocation off: an
    access token then stands for itself.
    """
    origin = access.claims.get("origin_jti")
    named = origin.encode() if isinstance(origin, str) else access.encoded
    owner = user_key(access.pool, access.sub)
    return hashlib.sha256(LABEL + f"sign-in {access.client} {owner} ".encode() + named).digest()


def _successor(
    loaded: LoadedSession, record: Record, now: float
) -> tuple[LoadedSession, AmplifyCodec | None]:
    """The newer of a session and its record, and where newer ones may be; None: nowhere."""
    opened, codec = loaded.codec.open(record), _codec(loaded)
    if opened is None or not _is_newer(opened[0], loaded.bundle):
        return loaded._replace(bundle=loaded.bundle._replace(turn=record.version)), None
    bundle, sealed = opened
    (newer,) = sets_in(sealed)
    return LoadedSession(codec, bundle, sealed, is_newer=True), codec.successor(newer, now)


def _codec(loaded: LoadedSession) -> AmplifyCodec:
    assert isinstance(loaded.codec, AmplifyCodec)  # noqa: S101  # so are all of this kind
    return loaded.codec


def _is_newer(known: Bundle, sent: Bundle) -> bool:
    """Whether a remembered version replaces the one sent by the browser.

    Both name one refresh token, unless the remembered one was rotated since. Of two in the same
    second the one sent stays: the browser may have refreshed as well, and later.
    """
    is_rotated = known.refresh_token != sent.refresh_token
    by = issued_at(known.access_token) - issued_at(sent.access_token)
    return known.access_token != sent.access_token and (by > 0 or (by == 0 and is_rotated))
