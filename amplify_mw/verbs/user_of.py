"""`user_of`: the user of a request's headers, for code that a framework runs outside of requests.

Rules:
- The rules, the caches and the events are those of the middleware: equal configurations share them.
- No response comes of it, so nothing is done that needs one. An invalid cookie is refused, and
  stays. Tokens in a cookie are not refreshed: the new ones would reach no browser, and a rotated
  refresh token signs its user out. They count until they expire.
- A stored session is refreshed as ever: its new tokens are in the store.
- Headers are read by `web.sent`.
- A user of `signed_in` wins, as over a middleware.
"""

from functools import lru_cache
from typing import Any, Final

from ..authenticator import Authenticator, Visit
from ..config.config import AmplifyConfig
from ..credentials import ReadSource, Source
from ..effects import Flow
from ..engine.context import bound, is_left, refuse_on_event_loop, signed_in_verdict
from ..engine.engine import Engine
from ..engine.refusals import report_credential
from ..models import AuthUser
from ..web.sent import Headers, credentials_in

_KEPT: Final = 16  # engines: without a middleware in the process, each call would make one


def user_of(headers: Headers, config: AmplifyConfig) -> AuthUser:
    """The signed-in user of a request with these headers, for code that runs outside of it.

    Such as Streamlit's scripts (`st.context.headers`) and Gradio's events (`gr.Request.headers`),
    where `get_current_user` raises `OutsideRequestError`.
    `headers`: a mapping, or pairs of a name and a value; names in any case. A value is text, bytes,
    or a list of these. `config`: the middleware's.

    A stored session is refreshed when that is due. Tokens in a cookie are not, since no response
    can bring the new ones: they count until they expire, and a request by the middleware renews
    them. An invalid cookie is not cleared.

    Raises the errors of `get_current_user`, but no `OutsideRequestError`; `TypeError` for other
    things than headers, and `BlockingCallError` on an event loop.

    >>> from amplify_mw import AmplifyConfig
    >>> config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web")
    >>> user_of({"Cookie": "theme=dark"}, config)
    Traceback (most recent call last):
    amplify_mw.errors.NotAuthorizedException: User needs to be authenticated to call this API. \
(no_session)
    """
    refuse_on_event_loop("user_of")
    home = home_of(config)
    user = looking_up(home, headers)
    return user if isinstance(user, AuthUser) else home.runner.run(user)


def home_of(config: AmplifyConfig | Engine) -> Authenticator:
    """The authenticator of a configuration."""
    engine = _kept(config) if isinstance(config, AmplifyConfig) else Engine.of(config)
    return engine.authenticator


_kept: Final = lru_cache(maxsize=_KEPT)(Engine.of)


def looking_up(home: Authenticator, headers: Headers) -> AuthUser | Flow[AuthUser]:
    """The user, at once if that needs nothing from the world. Raises the errors known already."""
    cookies, authorization = credentials_in(headers)
    outer = bound()
    if outer is not None and outer.pinned and not is_left(outer):
        return signed_in_verdict(outer).user
    source, value, cookie = _credential(home, cookies, authorization)
    if value is None:
        return signed_in_verdict(Visit.of(home, home.nobody, cookies)).user
    known = home.known(value)
    if known is not None and cookie is None and home.runner.clock() < known.fresh_until:
        visit = Visit.of(home, known, cookies)
        visit.source = source
        return signed_in_verdict(visit).user
    return _look_up(home, source, value, cookie, cookies)


def _credential(
    home: Authenticator, cookies: bytes | None, authorization: bytes | None
) -> tuple[Source, Any, Any]:
    """The source to ask, its value (None: nobody), and a session's cookie beside it."""
    cookie = None if cookies is None else home.read(cookies)
    if home.bearer is not None and authorization is not None:
        value = home.bearer.read(authorization)
        if value is not None:
            return home.bearer, value, cookie
    return ReadSource(home.source, home.sessions.look), cookie, None


def _look_up(
    home: Authenticator, source: Source, value: Any, cookie: Any, cookies: bytes | None
) -> Flow[AuthUser]:
    visit = yield from home.look_up(source, value, cookie, home.runner.clock())
    visit.of_request(cookies, None, None)
    report_credential(visit)
    return signed_in_verdict(visit).user
