"""The tokens of an Amplify front end's cookies: verifying them, and choosing between two sets.

Rules:
- Both tokens must be of one user and pool, and of the client in the cookies' names.
- The access token is needed. A missing or invalid ID token counts as missing, as in Amplify; the
  access token then names the user.
- An expired token must pass all the other checks before it may lead to a refresh.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...cognito.verifier import (
    MAX_TOKEN_BYTES,
    InvalidToken,
    NotYetValid,
    TokenUse,
    VerifiedToken,
    Verifier,
    agree,
    parse_segment,
)
from ...effects import Cache, Flow
from ..refreshing import Pair
from ..token import MAX_SENT
from ..verdicts import SignedIn
from .wire import AmplifySet


class DifferentUsers(Exception):
    """The browser sent sets of different users."""


class AmplifyTokens:
    """Verifies sets of Amplify's cookies. `verdicts`: the cache of good ones."""

    def __init__(self, verifier: Verifier, verdicts: Cache) -> None:
        self._verifier = verifier
        self._verdicts = verdicts

    def choose(self, sets: Sequence[AmplifySet], now: float) -> Flow[AmplifySet | None]:
        """The set to use: Next's view, unless js-cookie's has newer tokens. None: none was sent.

        Raises `DifferentUsers` and `KeysUnavailable`.
        """
        if len(sets) < 2:
            return sets[0] if sets else None
        good: list[AmplifySet] = []
        users: set[str] = set()
        for mine in sets:
            user = yield from self._user(mine, now)
            if user is not None:
                good.append(mine)
                users.add(user)
        if len(users) > 1:
            raise DifferentUsers
        return max(good or sets[:1], key=lambda mine: issued_at(mine.access_token))

    def _user(self, mine: AmplifySet, now: float) -> Flow[str | None]:
        """The user of a set; None if its tokens are invalid."""
        known: SignedIn | None = self._verdicts.get(mine.value)
        if known is not None and now < known.fresh_until:
            return known.user.user_id
        try:
            pair = yield from self.verify_sent(mine, now)
        except InvalidToken:
            return None
        return pair.access_token.sub

    def at_once(self, mine: AmplifySet, now: float) -> Pair | None:
        """Tokens from a browser that are good in every way; None: `verify_sent` decides.

        Raises `InvalidToken` if the access token is refused, or the two do not agree.
        """
        if len(mine.access_token) > MAX_SENT or not 0 < len(mine.id_token) <= MAX_SENT:
            return None
        access = self._verifier.at_once(mine.access_token, now)
        if access is None or not _is(access, "access", mine.client):
            return None
        try:
            identity = self._verifier.at_once(mine.id_token, now)
        except InvalidToken:
            return None
        if identity is None or not _is(identity, "id", mine.client):
            return None
        agree(identity, access)
        return Pair(identity, access)

    def verify_sent(self, mine: AmplifySet, now: float) -> Flow[Pair]:
        """Verify tokens from a browser. Raises `InvalidToken` and `KeysUnavailable`."""
        return self._verify(mine, MAX_SENT, now)

    def verify_kept(self, mine: AmplifySet, now: float) -> Flow[Pair]:
        """Verify tokens from Cognito: they may be longer than a browser would send."""
        return self._verify(mine, MAX_TOKEN_BYTES, now)

    def _verify(self, mine: AmplifySet, max_bytes: int, now: float) -> Flow[Pair]:
        if len(mine.access_token) > max_bytes:
            raise InvalidToken("malformed_token")
        access, is_good = yield from self._check(mine.access_token, "access", mine.client, now)
        if not 0 < len(mine.id_token) <= max_bytes:
            return Pair(access, access, is_good)
        try:
            identity, counts = yield from self._check(mine.id_token, "id", mine.client, now)
        except InvalidToken:  # as if it had not been sent
            return Pair(access, access, is_good)
        agree(identity, access)
        return Pair(identity, access, is_good and counts)

    def _check(
        self, token: bytes, use: TokenUse, client: str, now: float
    ) -> Flow[tuple[VerifiedToken, bool]]:
        """The token, and whether it has not expired; it passed all other checks."""
        counts, early = True, None
        try:
            verified = yield from self._verifier.verify(token, now)
        except NotYetValid as error:
            verified, early = error.token, error
        except InvalidToken as error:
            if error.reason != "token_expired":  # the last check: all others passed
                raise
            verified, counts = self._verifier.read(token, now), False
        if verified.token_use != use:
            raise InvalidToken("wrong_token_use")
        if verified.client != client:
            raise InvalidToken("wrong_client", verified.client)
        if early is not None:
            raise early
        return verified, counts

    def read(self, access_token: bytes, now: float) -> VerifiedToken:
        """Read an access token again, without its signature. Raises `InvalidToken`."""
        return self._verifier.read(access_token, now)


def _is(token: VerifiedToken, use: TokenUse, client: str) -> bool:
    return token.token_use == use and token.client == client


def issued_at(access_token: bytes) -> float:
    """The time of issue in an access token, verified or not; the earliest if there is none."""
    try:
        return claimed_issue(parse_segment(access_token.split(b".")[1]))
    except (InvalidToken, IndexError):
        return -math.inf


def claimed_issue(claims: Mapping[str, Any]) -> float:
    """The same in a token's claims."""
    claimed = claims.get("iat")
    if isinstance(claimed, int | float) and abs(claimed) < 2**53:
        return float(claimed)
    return -math.inf
