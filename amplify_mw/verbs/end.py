"""`end_session`: sign the user of a request out.

Rules:
- The user is signed out here at once. Cognito is told too, but not waited for.
- If the cookie came with several values, all their sessions end, since a copy of one would stay
  valid. Their users are unknown, so none of them is signed out everywhere.
- A session ended by another browser leaves a tombstone saying so: its browser has to enter the
  password at the next sign-in.
- A request that is cancelled meanwhile has signed its user out all the same.
"""

from collections.abc import Callable, Iterable
from typing import Literal

from ..authenticator import Authenticator, Visit
from ..cognito.verifier import VerifiedToken
from ..effects import Flight, Flow, Join, Remember, Report, Unreachable
from ..engine.context import current_visit, refuse_on_event_loop
from ..engine.reporting import signed_out, signed_out_unread
from ..sessions.base import PartlyEnded
from ..sessions.bundle import Bundle
from ..sessions.verdicts import (
    NO_COOKIE,
    STORE_UNAVAILABLE,
    CookieValue,
    Refused,
    Resolution,
    SignedIn,
    user_key,
)
from .change import (
    present_cookie,
    present_cookies,
    readable,
    refuse_bearer,
    refuse_foreign,
    refuse_late,
    refuse_speculative,
    sent_cookie,
)


def end_session(*, everywhere: bool = False, allow_cross_site: bool = False) -> None:
    """Sign the user out; the response clears the session's cookie.

    The refresh token is revoked, and with it the single sign-on session of a pool that tracks
    sessions, so that its sign-in page asks again. `everywhere`: Cognito ends all sign-ins of the
    user (`GlobalSignOut`), and all of the user's sessions in the store end. Their browsers, and
    this one, have to enter the password at their next sign-in by the sign-in routes. Sealed
    sessions and tokens in other browsers stay valid until they expire or need a refresh. Cognito is
    not waited for, and cannot be told at all if a `TokenSession` holds an ID token. Without a
    session this does nothing. If the cookies name different users (`different_users`), the sessions
    of this browser end, and no others.
    `allow_cross_site`: accept requests from pages of any origin; do a check of your own instead.

    Raises `ForbiddenException` (`cross_site`; and `speculative_request`, for a prefetch or a
    prerender, even with `allow_cross_site`), `ResponseStartedError`, and `NetworkError`
    (`store_unavailable`) if the store could not be told: the cookie is cleared all the same.
    """
    refuse_on_event_loop("end_session")
    visit = current_visit()
    flow = ending(visit, everywhere=everywhere, allow_cross_site=allow_cross_site)
    visit.run(flow)


def ending(visit: Visit, *, everywhere: bool, allow_cross_site: bool) -> Flow[None]:
    """The flow behind `end_session`. The call itself raises the errors that need no waiting."""
    refuse_late(visit, "end_session")
    refuse_bearer(visit, "end_session")
    refuse_speculative(visit, "end_session")
    refuse_foreign(visit, "end_session", allow_cross_site=allow_cross_site)
    return end_here(visit, everywhere=everywhere, asks_again=everywhere)


def end_here(
    visit: Visit, *, everywhere: bool, asks_again: bool, how: Literal["here", "handle"] = "here"
) -> Flow[None]:
    """Sign the user of this request out. `asks_again`: the next sign-in asks for the password.

    `how`: for the event.
    """
    before, value, values = visit.verdict, present_cookie(visit), present_cookies(visit)
    known = before if isinstance(before, SignedIn) else None
    if isinstance(before, Refused):
        asks_again = asks_again or before.asks_again
        everywhere = everywhere and before.reason != "different_users"  # this browser's only
    if value is None and visit.writes is None and not (known or sent_cookie(visit)):
        return
    event = signed_out(visit, before, "everywhere" if everywhere else how)
    nobody = visit.home.nobody._replace(clears=True, asks_again=asks_again)
    visit.decide(Resolution(nobody, NO_COOKIE), "end_session")
    if not values:  # a test's pinned user has none
        return
    end = _Ending(visit.home, value, known, everywhere=everywhere, asks_again=asks_again)
    flight = Flight(
        ("end", values, everywhere, asks_again), lambda now: end.all(values, event, now), "ends"
    )
    try:
        yield Join(flight)
    except Unreachable as error:
        raise STORE_UNAVAILABLE.exception() from error


def end_unread(visit: Visit) -> Flow[bool]:
    """Sign out whoever this request's cookie names, unread; False, and no change, if it names none.

    Raises `NetworkError` if the store could not be told: the cookie is cleared all the same.
    """
    value = present_cookie(visit)
    if value is None:
        return False
    event = signed_out_unread(visit)
    end = _Ending(visit.home, value, None, everywhere=False, asks_again=False)
    flight = Flight(("end unread", value), lambda now: end.unread(value, event, now), "ends")
    nobody = Resolution(visit.home.nobody._replace(clears=True), NO_COOKIE)
    try:
        has_ended, _ = yield Join(flight)
    except Unreachable as error:
        visit.decide(nobody, "end_session")
        raise STORE_UNAVAILABLE.exception() from error
    if has_ended:
        visit.decide(nobody, "end_session")
    return bool(has_ended)


class _Ending:
    """The flight that ends the sessions of one browser. `own`: the cookie value of `known`."""

    def __init__(
        self,
        home: Authenticator,
        own: CookieValue | None,
        known: SignedIn | None,
        *,
        everywhere: bool,
        asks_again: bool,
    ) -> None:
        self._home = home
        self._own = own
        self._known = known
        self._everywhere = everywhere
        self._asks_again = asks_again
        self._ended: list[Bundle] = []

    def unread(
        self, value: CookieValue, event: Callable[[VerifiedToken, bytes], Report], now: float
    ) -> Flow[bool]:
        """End a session that nobody has looked at; False if there is none. Raises `Unreachable`."""
        yield from self.all((value,), None, now)
        for bundle in self._ended:
            access_token = readable(self._home, bundle.access_token, now)
            if access_token is not None:
                yield event(access_token, bundle.sid)
        return bool(self._ended)

    def all(self, values: Iterable[CookieValue], event: Report | None, now: float) -> Flow[None]:
        """End every session, even if one fails. Raises `Unreachable` in the end.

        `event`: for the time after the end.
        """
        failure: Unreachable | None = None
        for value in values:
            failure = (yield from self._end(value, now)) or failure
        if failure is not None:
            raise failure
        if event is not None:
            yield event

    def _end(self, value: CookieValue, now: float) -> Flow[Unreachable | None]:
        """End a session here, then tell Cognito; returns the failure."""
        is_own = value == self._own  # the users of other values are unknown
        known = self._known if is_own else None
        bundles, failure = yield from self._drop(value, known, now)
        yield Remember(self._home.verdicts, value, None)
        for token, refresh_token in _tokens(bundles, known):
            access_token = readable(self._home, token, now)
            if access_token is None:
                continue
            if self._everywhere and is_own and _is_of(access_token, known):
                failure = (yield from self._end_all(access_token, refresh_token, now)) or failure
            elif refresh_token is not None:
                yield from self._home.grants.sign_out(access_token, refresh_token)
        return failure

    def _drop(
        self, value: CookieValue, known: SignedIn | None, now: float
    ) -> Flow[tuple[list[Bundle], Unreachable | None]]:
        """End a session in its store; its tokens, as far as they are known, and the failure."""
        held = known.held if known is not None else None
        bundles = [] if held is None else [held.bundle]
        sessions = self._home.sessions
        try:
            ended = yield from sessions.end(value, now, asks_again=self._asks_again)
        except Unreachable as error:
            others = error.bundles if isinstance(error, PartlyEnded) else []
            return others + (bundles or sessions.contents(value)), error
        self._ended += ended
        return ended or bundles, None

    def _end_all(
        self, access_token: VerifiedToken, refresh_token: bytes | None, now: float
    ) -> Flow[Unreachable | None]:
        """End all sessions of a user in the store and at Cognito; returns the failure.

        Cognito is told last: a browser that it refuses earlier would not learn how its session
        ended.
        """
        failure, sessions = None, self._home.sessions.listed
        if sessions is not None:
            user = user_key(access_token.pool, access_token.sub)
            try:
                yield from sessions.end_of_user(user, now)
            except Unreachable as error:
                failure = error
        yield from self._home.grants.sign_out_everywhere(access_token, refresh_token)
        return failure


def _tokens(
    bundles: Iterable[Bundle], known: SignedIn | None
) -> dict[tuple[bytes | None, bytes | None], None]:
    """The access and refresh tokens of sessions, each pair once."""
    tokens: dict[tuple[bytes | None, bytes | None], None] = {}
    tokens |= dict.fromkeys((bundle.access_token, bundle.refresh_token) for bundle in bundles)
    if known is not None and known.held is None and known.access_token is not None:
        tokens.setdefault((known.access_token, None), None)
    return tokens


def _is_of(token: VerifiedToken, known: SignedIn | None) -> bool:
    """Whether a token is the signed-in user's: another kind of session may hold another user's."""
    return known is None or (token.pool, token.sub) == (known.pool, known.user.user_id)
