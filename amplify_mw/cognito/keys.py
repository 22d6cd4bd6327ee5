"""A user pool's key set: importing, caching and refetching it.

Rules:
- Keys come from the configured address or file only. Other keys than RSA keys for RS256 are
  skipped. An RSA key for RS256 that is malformed or under 2048 bits makes the whole set a bad
  answer. Key ids are unique.
- One fetch at a time per pool. A bad or empty answer never replaces good keys.
- Of several addresses the first is asked first, and the next if it is down or its answer is bad.
  Each has its share of the time. Another address may lag behind: it adds keys and removes none,
  and a key that it lacks is not *unknown*. (After `STALE_LIMIT` without the first, its keys are
  the set.)
- After a fetch there is none for `COOL_DOWN` seconds (after a failed one, `RETRY_PAUSE`).
- A missing key id is *unknown* only if the set was fetched after the token was issued. Otherwise
  the token cannot be checked now, so that a rotation signs nobody out.
- Keys older than `MAX_AGE` are refetched in the background and stay in use meanwhile. After
  `STALE_LIMIT` without a good answer they are used no more.
- When a key leaves the set, the cached verdicts are dropped.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..effects import (
    Cache,
    Flight,
    Flow,
    ForgetAll,
    Join,
    Launch,
    Operation,
    Outage,
    Request,
    Response,
    Unreachable,
)

if TYPE_CHECKING:
    from .rsa import RSAKey

COOL_DOWN: Final = 10.0
RETRY_PAUSE: Final = 2.0
MAX_AGE: Final = 3600.0
STALE_LIMIT: Final = 24 * 3600.0
_WAITED: Final = 2.0  # how many times the configured timeout callers wait for a flight
MAX_KEY_SET_BYTES: Final = 256 * 1024
FOREVER: Final = float("inf")
_KEPT: Final = "sessions are kept meanwhile"
_NO_KEYS: Final[Mapping[str, Any]] = MappingProxyType({})


class BadKeySet(ValueError):
    """These bytes are not a usable key set. The message does not quote them."""


class UnknownKey(Exception):
    """The pool has no such key. `known`: the ids of its keys."""

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__("the pool has no such key")
        self.known: tuple[str, ...] = tuple(known)


class KeysUnavailable(Exception):
    """The key is not available now. `retry_after`: in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("the key set cannot be fetched now")
        self.retry_after = retry_after


def import_key_set(document: bytes | str) -> "dict[str, RSAKey]":
    """The usable keys of a JWK Set (RFC 7517), by key id. Raises `BadKeySet`."""
    try:
        members = json.loads(document)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadKeySet("it is no JSON object with a 'keys' member") from error
    if not isinstance(members, list):
        raise BadKeySet("its 'keys' member is no list")
    keys: dict[str, RSAKey] = {}
    for jwk in members:
        if not _is_for_rs256(jwk):
            continue
        if jwk["kid"] in keys:
            raise BadKeySet("two of its keys have one kid")
        keys[jwk["kid"]] = _import_key(jwk)
    if not keys:
        raise BadKeySet("it holds no RSA key for RS256 with a kid")
    return keys


def _is_for_rs256(jwk: object) -> bool:
    return (
        isinstance(jwk, dict)
        and jwk.get("kty") == "RSA"
        and jwk.get("use", "sig") == "sig"
        and jwk.get("alg", "RS256") == "RS256"
        and isinstance(jwk.get("kid"), str)
        and bool(jwk["kid"])
    )


def _import_key(jwk: Mapping[str, Any]) -> "RSAKey":
    from .rsa import import_key  # 16 ms: loaded for the first key

    try:
        key = import_key(jwk)
    except ValueError as error:
        raise BadKeySet("one of its RSA keys is malformed") from error
    if key.bits < 2048:
        raise BadKeySet("one of its RSA keys is shorter than 2048 bits")
    return key


class KeyState(NamedTuple):
    """A key set at one moment. The one flight replaces it as a whole."""

    keys: "Mapping[str, RSAKey]" = _NO_KEYS
    fetched_at: float = -FOREVER  # when the request for `keys` left
    next_fetch: float = -FOREVER  # nothing is fetched before this
    told: frozenset[str] = frozenset()  # the outages that were told
    own_at: float | None = None  # when the first address was asked with success; None: for `keys`

    def __repr__(self) -> str:
        return f"<KeyState of {len(self.keys)} keys>"

    @property
    def is_preloaded(self) -> bool:
        """Whether `keys` are never fetched."""
        return self.fetched_at == FOREVER

    @property
    def owned_at(self) -> float:
        """When the request left to which the first address gave its keys."""
        return self.fetched_at if self.own_at is None else self.own_at

    def rules_out(self, issued_by: float, now: float) -> bool:
        """Whether a key id missing from `keys` is unknown, for a token issued by `issued_by`.

        A fetch in the future was timed before the clock was set back, and rules out nothing.
        """
        return self.owned_at > issued_by and (self.owned_at <= now or self.is_preloaded)

    def is_paused(self, now: float) -> bool:
        """Whether a fetch has to wait. A clock that was set back does not prolong the wait."""
        return self.is_preloaded or self.next_fetch - COOL_DOWN <= now < self.next_fetch


class KeySource:
    """The key set at one of `urls`, fetched when needed; or `preloaded` keys, never fetched."""

    def __init__(
        self,
        urls: tuple[str, ...],
        verdicts: Cache,
        *,
        preloaded: "Mapping[str, RSAKey] | None" = None,
    ) -> None:
        operation = Operation("key_fetch", lambda _: self._failure)
        self._failure: str | None = None  # of the last fetch
        self._flight = Flight(("keys", urls), self._fetch, "keys", operation)
        self._urls = urls
        self._verdicts = verdicts
        self.state: KeyState = (
            KeyState() if preloaded is None else KeyState(preloaded, FOREVER, FOREVER)
        )

    def fresh_until(self, now: float) -> float:
        """The end of a verdict made now: then the key set is consulted again."""
        state = self.state
        return max(state.fetched_at + MAX_AGE, state.next_fetch, now)

    def at_hand(self, kid: str, now: float) -> "RSAKey | None":
        """The key, if it is cached and the set is fresh; else see `key_for`."""
        state = self.state
        return state.keys.get(kid) if now - state.fetched_at <= MAX_AGE else None

    def key_for(self, kid: str, issued_by: float, now: float) -> "Flow[tuple[RSAKey, float]]":
        """The key, and the time. Raises `UnknownKey` or `KeysUnavailable`.

        `issued_by`: the latest possible time of the token's issue.
        """
        state = self.state
        if now - state.fetched_at <= STALE_LIMIT:
            key = state.keys.get(kid)
            if key is not None:
                if now - state.fetched_at > MAX_AGE and not state.is_paused(now):
                    with suppress(Unreachable):  # out of threads: these keys stay in use
                        yield Launch(self._flight)
                return key, now
            if state.rules_out(issued_by, now):
                raise UnknownKey(state.keys)
        if not state.is_paused(now):
            try:
                state, now = yield Join(self._flight)
            except Unreachable as error:
                raise KeysUnavailable(RETRY_PAUSE) from error
            key = state.keys.get(kid)
            if key is not None and now - state.fetched_at <= STALE_LIMIT:
                return key, now
            if key is None and state.keys and state.rules_out(issued_by, now):
                raise UnknownKey(state.keys)
        raise KeysUnavailable(max(state.next_fetch - now, 1.0))

    def _fetch(self, now: float) -> Flow[KeyState]:
        """The flight: one fetch, unless another has ended while this one waited to start."""
        before = self.state
        if before.is_paused(now):
            self._failure = None
            return before
        whys: list[str] = []
        for url in self._urls:
            departed = now
            patience = min(1.0, _WAITED / len(self._urls))
            try:
                response, now = yield Request("GET", url, {}, b"", MAX_KEY_SET_BYTES, patience)
                keys = _read_answer(response)
            except Unreachable as error:
                whys.append(str(error))
                now = max(error.now or now, departed)
            except BadKeySet as error:
                whys.append(f"bad answer: {error}")
                now = max(now, departed)
            else:
                yield from self._replace(keys, whys, departed, now)
                return self.state
        self._failure = "keys_unavailable"
        self.state = before._replace(next_fetch=now + RETRY_PAUSE)
        yield from self._tell_outage(" and ".join(self._urls), whys[0])
        return self.state

    def _replace(
        self, new: "dict[str, RSAKey]", whys: list[str], departed: float, now: float
    ) -> Flow[None]:
        """Use new keys. `whys`: how the addresses before have failed."""
        before, own_at, self._failure = self.state, None, None
        if whys:
            own_at = before.owned_at
            new = {**before.keys, **new} if departed - own_at <= STALE_LIMIT else new
        self.state = KeyState(new, departed, now + COOL_DOWN, before.told, own_at)
        if any(new.get(kid) != key for kid, key in before.keys.items()):
            yield ForgetAll(self._verdicts)
        own, all_of_them = self._urls[0], " and ".join(self._urls)
        for name in {all_of_them} if whys else {own, all_of_them}:
            if name in self.state.told:
                self.state = self.state._replace(told=self.state.told - {name})
                yield Outage(name, over=True, dependency="key_fetch")
        if whys:
            yield from self._tell_outage(own, whys[0], "another address is asked meanwhile")

    def _tell_outage(self, name: str, why: str, meanwhile: str = _KEPT) -> Flow[None]:
        if name not in self.state.told:
            self.state = self.state._replace(told=self.state.told | {name})
            yield Outage(name, why, False, meanwhile, "key_fetch")


def _read_answer(response: Response) -> "dict[str, RSAKey]":
    if response.status != 200:
        raise BadKeySet(f"HTTP status {response.status}")
    return import_key_set(response.content)
