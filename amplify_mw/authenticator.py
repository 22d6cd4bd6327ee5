"""The decision core: what a request's cookie means, and what its response must say.

    read          the value of the session's cookie
    known         what is known of that value already; it holds until `fresh_until`
    authenticate  a flow, for the rest
    settle        a flow: look again at what is to be set, just before the headers go
    finish        the response's headers, once, when they go

Rules:
- Pure: the time comes in, effects go out. Both shells ask the same questions in the same order.
- A verdict is shared and frozen; a `Visit` is one request's own, and notes what that request is
  and did: that the user was asked for, that the cookie is to be cleared.
- No response sets the cookie of a session that is known to have ended when its headers go. It
  clears nothing in its place: the browser may have the cookie of a newer sign-in by then.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, AnyStr, Final

from .cognito.api import UNAVAILABLE, Failure
from .cognito.attributes import AttributeSource
from .cognito.verifier import Verifier
from .config.config import AmplifyConfig
from .effects import Cache, Flow, FlowRunner, Remember, Unreachable
from .errors import NetworkError, NotAuthorizedException
from .sessions.base import Sessions
from .sessions.verdicts import (
    DUPLICATE_COOKIE,
    NO_COOKIE,
    Refused,
    Resolution,
    SignedIn,
    Verdict,
    Write,
)
from .web.answers import Refusals
from .web.cookies import DUPLICATE, CookieLine
from .web.headers import Spelling, varied, with_cookies, with_default_cookies
from .web.hosts import Hosts
from .web.mounts import Mounts
from .web.requests import request_path

if TYPE_CHECKING:
    from .cognito.grants import Grants
    from .events import Reporting

_CLOCK_SKEW: Final = 1.0  # seconds that Cognito's answer may have been under way


class Visit:
    """One request's (or WebSocket's) view of a verdict.

    `asked`: the user was asked for. `guarded`: nobody else would have been let in.
    `writes`: what the response is to do to the session's cookie.
    `by_app`: because the app said so.
    `begun`: the response's headers have been passed on, or the request is over.
    `lapses`: the user is gone once the token has run out: a WebSocket, a stream, and what runs on
    after the response may go on for days. `is_socket`: it is a WebSocket's.
    `pinned`: a test said who is signed in, whatever a middleware further in would find.
    `attributes`: what `fetch_user_attributes` answered before in this request; not in a WebSocket.
    `cookies`: the request's `Cookie` header. `headers`: the request's headers (a WSGI environ,
    until the response has begun, or an ASGI header list). `outer`: the visit that was bound around
    this one.
    """

    # A default that a class holds is slow to read through an instance on Python 3.11.
    __slots__ = (
        *("asked", "attributes", "begun", "by_app", "cookies", "guarded", "headers", "home"),
        *("is_socket", "lapses", "outer", "pinned", "told", "verdict", "writes"),
    )

    told: frozenset[str]  # reasons of refusals; unset until there is one, which costs nothing

    def __init__(
        self,
        home: "Authenticator",
        verdict: Verdict,
        cookies: bytes | None = None,
        headers: object = None,
        outer: "Visit | None" = None,
    ) -> None:
        self.home = home
        self.verdict = verdict
        self.cookies = cookies
        self.headers = headers
        self.outer = outer
        self.asked = False
        self.guarded = False
        self.begun = False
        self.writes: Write | None = None
        self.by_app = False
        self.lapses = False
        self.is_socket = False
        self.pinned = False
        self.attributes: Mapping[str, str] | None = None

    @property
    def clears(self) -> bool:
        """Whether the response is to clear the cookie."""
        return self.writes is NO_COOKIE

    def of_request(self, cookies: bytes | None, headers: object, outer: "Visit | None") -> None:
        """Note whose visit it is."""
        self.cookies = cookies
        self.headers = headers
        self.outer = outer

    def pinned_at(self, home: "Authenticator", cookies: bytes | None, headers: object) -> "Visit":
        """What a test has pinned, for one request of a middleware inside it."""
        visit = Visit(home, self.verdict, cookies, headers, self)
        visit.pinned = True
        visit.attributes = self.attributes
        return visit

    def take(self, resolution: Resolution) -> None:
        """Go on with what was found."""
        self.verdict = verdict = resolution.verdict
        if isinstance(verdict, Refused) and verdict.clears:
            self.writes = NO_COOKIE
        elif resolution.cookie is not None:
            self.writes = self._after(self.writes, resolution.cookie)

    def _after(self, earlier: Write | None, later: Write) -> Write:
        if earlier is None or earlier is NO_COOKIE:
            return later
        merged: Write = self.home.cookie.merged(earlier, later)
        return merged

    def __repr__(self) -> str:
        return f"<Visit of {self.verdict.user!r}>"


class Authenticator:
    """Decides for one configuration. `runner` is not used here: visits hand it to the verbs."""

    def __init__(
        self,
        config: AmplifyConfig,
        *,
        verifier: Verifier,
        verdicts: Cache,
        attributes: AttributeSource,
        grants: "Grants",
        sessions: Sessions,
        runner: FlowRunner,
        reporter: "Reporting",
    ) -> None:
        self.config = config
        self.runner = runner
        self.verifier = verifier
        self.verdicts = verdicts
        self.grants = grants
        self.sessions = sessions
        self.nobody = sessions.nobody
        self.cookie = config.kind.cookies(config.cookie, config.clients)
        self.cookie_domains = config.cookie_domains
        self.forgets = (
            not config.is_insecure
        )  # browsers pass over Clear-Site-Data there, and say so
        self._ask_again = {
            mount: config.routes.at(mount).ask_again
            for mount in config.mount or ("",)
            if config.routes is not None
        }
        pools = config.pools_by_issuer
        self.issuers = frozenset(pools)
        self.pools = frozenset(pool.user_pool_id for pool in config.user_pools)
        self._attributes = attributes
        self._api_urls = {issuer: pool.api_url for issuer, pool in pools.items()}
        self.mounts = Mounts(config.mount)
        self.refusals = Refusals(
            cookie_name=self.cookie.name,
            login_url=config.login_url,
            origins=config.origins,
            tells_of_two=config.has_own_login,
        )
        self.reporter = reporter
        self.hosts = Hosts()
        # By whether a visit is guarded: whether its answer is stored nowhere.
        no_store = config.cache_control == "no-store"
        self.no_store = (no_store, no_store or config.cache_control is None)
        self._verify_every = config.kind.verify_with_cognito_every
        # Two of the three steps of most requests, without a call of ours around them.
        self.read = self.cookie.read
        self.known: Callable[[Any], SignedIn | None] = verdicts.get

    def authenticate(self, value: Any, now: float) -> Flow[Visit]:
        """A flow: the visit of a request whose cookie `read` as `value`."""
        if value is None:
            return Visit(self, self.nobody)
        if value is DUPLICATE:
            return Visit(self, DUPLICATE_COOKIE)
        generation = self.verdicts.generation
        resolution = yield from self.sessions.resolve(value, now)
        verdict = resolution.verdict
        visit = Visit(self, verdict)
        visit.take(resolution)
        if self._verify_every is not None and isinstance(verdict, SignedIn):
            visit.take((yield from self._confirmed(verdict, self._verify_every, now)))
            verdict = visit.verdict
        if isinstance(verdict, SignedIn) and self.verdicts.get(verdict.value) is not verdict:
            yield Remember(self.verdicts, verdict.value, verdict, generation)
        return visit

    def _confirmed(self, verdict: SignedIn, every: float, now: float) -> Flow[Resolution]:
        """A flow: the verdict, if Cognito says so too, or has said so not long ago."""
        endpoint = self._api_urls[verdict.issuer]
        answer = yield from self._attributes.confirm(verdict, endpoint, every, now)
        if not isinstance(answer, Failure):
            return Resolution(replace(verdict, fresh_until=min(verdict.fresh_until, answer)))
        if answer.ends_session:
            return (yield from self._ended(verdict, answer))
        if answer.reason == "missing_scope":
            return Resolution(Refused(NotAuthorizedException, "missing_scope"))
        return Resolution(Refused(NetworkError, answer.reason, retry_after=answer.retry_after))

    def _ended(self, verdict: SignedIn, answer: Failure) -> Flow[Resolution]:
        """A flow: Cognito says that the user is out, so that the session is over.

        Unless it may only mean that the access token has run out, and a refresh will tell.
        """
        _, now = yield Remember(self.verdicts, verdict.value, None)
        refreshes = verdict.held is not None and verdict.held.bundle.refresh_token is not None
        # By Cognito's clock it may have run out a leeway before ours says so.
        doubtful_from = verdict.expires_at - 2 * self.verifier.leeway - _CLOCK_SKEW
        if refreshes and now >= doubtful_from:
            return Resolution(Refused(NetworkError, "cognito_unavailable", retry_after=_CLOCK_SKEW))
        own, cookie = self.sessions.own(verdict)
        with suppress(Unreachable):  # the next request asks Cognito again
            yield from self.sessions.end(own, now)
        name = self.nobody.name and (answer.name or self.nobody.name)
        clears = cookie is NO_COOKIE
        refused = Refused(NotAuthorizedException, answer.reason, clears=clears, name=name)
        return Resolution(refused, cookie)

    def settle(self, visit: Visit) -> Flow[None]:
        """A flow, once the visit's response has begun: nothing is set of a session that is over.

        A slow request may have been given new cookies long before its headers go; meanwhile
        another has ended the session.
        """
        writes = visit.writes
        if writes is not None and writes is not NO_COOKIE:
            visit.writes = yield from self.sessions.unless_ended(writes, self.runner.clock())

    def finish(
        self,
        visit: Visit,
        headers: Iterable[tuple[AnyStr, AnyStr]],
        words: Spelling[AnyStr],
        request: Mapping[str, Any],
    ) -> list[tuple[AnyStr, AnyStr]]:
        """The headers of the visit's response. The app's own list is left as it was.

        `request`: a WSGI environ or an ASGI scope.
        """
        if visit.asked:
            signed_in = isinstance(visit.verdict, SignedIn)
            no_store = self.no_store[visit.guarded]
            found = varied(headers, words, signed_in=signed_in, no_store=no_store)
        else:
            found = list(headers)
        if visit.writes is None:
            return found
        mount, path = self.mounts.place_of("", request_path(request), request)
        if visit.writes is NO_COOKIE:
            lines = self.cookie.clearing(visit.cookies, path)
        else:
            lines = self.cookie.setting(visit.writes, visit.cookies, path)
        if visit.by_app:  # in front: what they would clear of its own is set by the lines behind
            lines = self.cookie.elsewhere(visit.cookies, path, self.cookie_domains) + lines
        if isinstance(visit.verdict, Refused) and visit.verdict.asks_again and self._ask_again:
            again = self._ask_again[mount]
            lines.append(CookieLine(again.name, again.setting("1")))
        put = with_cookies if visit.by_app else with_default_cookies
        forgets = self.forgets and (visit.by_app or visit.clears)
        return put(found, lines, words, forgets=forgets)

    def fetch_attributes(
        self, visit: Visit, verdict: SignedIn, now: float
    ) -> Generator[Any, Any, Mapping[str, str] | Failure]:
        """A flow: the attributes of `verdict`'s user, kept for this visit."""
        if visit.attributes is not None and (visit.pinned or not visit.is_socket):
            return visit.attributes
        endpoint = self._api_urls[verdict.issuer]
        answer = yield from self._attributes.fetch(verdict, endpoint, now)
        if not isinstance(answer, Failure):
            if visit.verdict is verdict:  # nobody signed in or out meanwhile
                visit.attributes = answer
        elif answer.ends_session:
            resolution = yield from self._ended(verdict, answer)
            if resolution.cookie is None:
                return UNAVAILABLE
            if visit.verdict is verdict:
                visit.take(resolution)
        return answer
