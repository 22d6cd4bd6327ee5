"""The decision core: the meaning of a request's credential, and its effect on the response.

    read          the value of the session's cookie
    known         the cached verdict of that value; it holds until `fresh_until`
    at_once       the visit with another value, if that needs nothing from the world
    authenticate  the flow for other values
    settle        checks a new session once more, just before the headers go
    finish        the response's headers, once, when they go

Rules:
- Pure: the time comes in, effects go out. Both shells ask the same questions in the same order.
- A verdict is shared and frozen. A `Visit` is one request's own; only its methods change it.
- No response sets the cookie of a session known to have ended when its headers go. It clears
  nothing instead: the browser may have the cookie of a newer sign-in by then.
"""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, AnyStr, Final, TypeVar, final

from .cognito.api import UNAVAILABLE, Failure
from .cognito.keys import KeysUnavailable
from .cognito.verifier import Verifier
from .config.config import AmplifyConfig
from .credentials import CookieSource, Credential, PinnedSource, Source
from .effects import Cache, Flow, FlowRunner, Remember, Unreachable
from .errors import NetworkError, NotAuthorizedException, ResponseStartedError
from .sessions.base import Sessions
from .sessions.verdicts import (
    DIFFERENT_CREDENTIALS,
    DUPLICATE_COOKIE,
    NO_COOKIE,
    KnownMachine,
    Refused,
    Resolution,
    SignedIn,
    Verdict,
    Write,
    user_key,
)
from .web.cookies import DUPLICATE, SessionCookies
from .web.headers import Spelling, varied
from .web.hosts import Hosts, plain_http_host
from .web.mounts import Mounts
from .web.requests import excerpt

if TYPE_CHECKING:
    from typing import TypeAlias

    from .bearer import BearerSource
    from .cognito.attributes import AttributeSource
    from .cognito.grants import Grants
    from .events import Reporting

    Decision: TypeAlias = tuple[Verdict, Write | None, bool]

T = TypeVar("T")

_CLOCK_SKEW: Final = 1.0  # seconds that Cognito's answer may have been under way

# How much a response depends on the user (`Visit.depends`); each includes those before.
NOT_ASKED: Final = 0
ASKED: Final = 1  # somebody asked for the user
GUARDED: Final = 2  # a guard stood before it

# How far a visit is (`Visit.stage`).
HANDLED: Final = 0
OUTLIVES: Final = 1  # it may run for days: a WebSocket, a carried function
BEGUN: Final = 2  # the response's headers have gone, or the request has ended


@final
class Visit:
    """One request's (or WebSocket's) view of a verdict. Its methods make all changes.

    `brought`: the value of a Bearer header; unset unless the request brought one.

    `source`: where the credential came from. `depends`: how much the response depends on the user.
    `stage`: how far the request is; from `OUTLIVES` on, the user is gone once the token expires.
    `has_ended`: the request is over, and its user gone from each context left over from it. (It is
    no stage: another thread may be about to set one, which would undo the end.)
    `writes`: the change to the session's cookie that goes with the response. `by_app`: the app has
    started or ended a session. `is_socket`: a WebSocket.
    `attributes`: the answer to an earlier `fetch_user_attributes` of this request.
    `cookies`: the request's `Cookie` header. `headers`: its headers (a WSGI environ, until the
    response has begun, or an ASGI scope). `outer`: the visit bound around this one.
    """

    # A default that a class holds is slow to read through an instance on Python 3.11.
    __slots__ = (
        *(
            "attributes",
            "brought",
            "by_app",
            "claims",
            "cookies",
            "depends",
            "has_ended",
            "headers",
        ),
        *("home", "is_socket", "outer", "source", "stage", "told", "verdict", "writes"),
    )

    attributes: Mapping[str, str] | None
    brought: object
    by_app: bool
    claims: tuple[Verdict, str | None, dict[str, Any]]  # unset until somebody asks
    cookies: bytes | None
    depends: int
    has_ended: bool
    headers: object
    home: Authenticator
    is_socket: bool
    outer: Visit | None
    source: Source
    stage: int
    told: tuple[str, ...]  # reasons of refusals; unset until there is one, which costs nothing
    verdict: Verdict
    writes: Write | None

    @staticmethod
    def of(
        home: Authenticator,
        verdict: Verdict,
        cookies: bytes | None = None,
        headers: object = None,
        outer: Visit | None = None,
    ) -> Visit:
        """The visit of a request. (An `__init__` would cost each one 0.07 µs more.)"""
        visit = Visit()
        visit.home = home
        visit.verdict = verdict
        visit.cookies = cookies
        visit.headers = headers
        visit.outer = outer
        visit.source = home.source
        visit.depends = NOT_ASKED
        visit.stage = HANDLED
        visit.writes = visit.attributes = None
        visit.by_app = visit.is_socket = visit.has_ended = False
        return visit

    @staticmethod
    def pin(
        home: Authenticator, verdict: Verdict, attributes: Mapping[str, str] | None = None
    ) -> Visit:
        """The visit of a user chosen by a test; middlewares inside it find that user."""
        visit = Visit.of(home, verdict)
        visit.source = home.pinned_source
        visit.attributes = attributes
        return visit

    def pinned_at(self, home: Authenticator, cookies: bytes | None, headers: object) -> Visit:
        """The same user, for one request of a middleware inside."""
        visit = Visit.pin(home, self.verdict, self.attributes)
        visit.cookies, visit.headers, visit.outer = cookies, headers, self
        return visit

    # Questions.

    @property
    def pinned(self) -> bool:
        """Whether a test has chosen the user."""
        return self.source.is_pinned

    @property
    def clears(self) -> bool:
        """Whether the response is to clear the cookie."""
        return self.writes is NO_COOKIE

    @property
    def guarded(self) -> bool:
        """Whether nobody but a signed-in user is let in."""
        return self.depends == GUARDED

    @property
    def begun(self) -> bool:
        """Whether it is too late for headers."""
        return self.stage == BEGUN

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.home.runner.clock()

    def run(self, flow: Flow[T]) -> T:
        """The flow's result, waiting on this thread."""
        return self.home.runner.run(flow)

    def arun(self, flow: Flow[T]) -> Coroutine[Any, Any, T]:
        """The flow's result, to be awaited."""
        return self.home.runner.arun(flow)

    # Changes.

    def ask(self) -> Verdict:
        """The verdict; the response depends on it now."""
        self.depends = self.depends or ASKED
        return self.verdict

    def guard(self) -> Verdict:
        """The verdict; nobody but a signed-in user is let in."""
        self.depends = GUARDED
        return self.verdict

    def outlive(self) -> None:
        """The user may be asked for at any later time: believe the token while it lasts."""
        self.stage = self.stage or OUTLIVES

    def open_socket(self) -> None:
        """It is a WebSocket's."""
        self.is_socket = True
        self.outlive()

    def begin(self) -> None:
        """The response's headers go now."""
        self.stage = BEGUN

    def begin_without_request(self) -> None:
        """The same, and drop the request: an environ that holds its visit would be a cycle."""
        self.stage = BEGUN
        self.headers = None

    def end(self) -> None:
        """The request is over: from now on only a carried function has its user."""
        self.has_ended = True
        self.stage = BEGUN
        self.headers = None

    def bring(self, value: object, source: Source) -> None:
        """Its verdict is that of another credential than the session's cookie."""
        self.brought = value
        self.source = source

    def of_request(self, cookies: bytes | None, headers: object, outer: Visit | None) -> None:
        """Note the request, if the visit was made without it."""
        self.cookies = cookies
        self.headers = headers
        self.outer = outer

    def take(self, resolution: Resolution) -> None:
        """Go on with this verdict, and write its cookie."""
        self.verdict = verdict = resolution.verdict
        if not self.source.clears:
            return
        if isinstance(verdict, Refused) and verdict.clears:
            self.writes = NO_COOKIE
        elif resolution.cookie is not None:
            self.writes = self._after(self.writes, resolution.cookie)

    def _after(self, earlier: Write | None, later: Write) -> Write:
        if earlier is None or earlier is NO_COOKIE:
            return later
        merged: Write = self.home.cookie.merged(earlier, later)
        return merged

    def decide(self, resolution: Resolution, verb: str) -> Decision:
        """Go on with a session started or ended by the app's `verb`; returns the state before.

        Raises `ResponseStartedError` if another thread has begun the response meanwhile.
        """
        before = self.verdict, self.writes, self.by_app
        self.by_app = True
        self.ask()
        self.take(resolution)
        # Looked at after it was noted: a response that begins now either takes the note or is seen.
        if self.stage == BEGUN:
            self.restore(before)
            raise ResponseStartedError(verb)
        return before

    def restore(self, before: Decision) -> None:
        """Undo `decide`."""
        self.verdict, self.writes, self.by_app = before

    def write(self, new: Write | None) -> None:
        """Replace the change to the cookie."""
        self.writes = new

    def remember(self, attributes: Mapping[str, str] | None) -> None:
        """Keep the user's attributes for this visit; None forgets them."""
        self.attributes = attributes

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
        grants: Grants,
        sessions: Sessions,
        runner: FlowRunner,
        reporter: Reporting,
    ) -> None:
        self.config: AmplifyConfig = config
        self.runner: FlowRunner = runner
        self.verifier: Verifier = verifier
        self.verdicts: Cache = verdicts
        self.grants: Grants = grants
        self.sessions: Sessions = sessions
        self.nobody: Refused = sessions.nobody
        self.mounts: Mounts = Mounts(config.mount)
        self.cookie: SessionCookies = config.kind.cookies(config.cookie, config.clients)
        self.source: CookieSource = CookieSource(
            *(config, self.cookie, self.mounts), resolve=sessions.resolve
        )
        self.pinned_source: Source = PinnedSource(self.source)
        self.bearer: BearerSource | None = _bearer_source(config, verifier)
        self.issuers: frozenset[str] = frozenset(config.pools_by_issuer)
        self.pools: frozenset[str] = frozenset(pool.user_pool_id for pool in config.user_pools)
        self._attributes = attributes
        self._pools_by_issuer = config.pools_by_issuer
        self.reporter: Reporting = reporter
        self.hosts: Hosts = Hosts()
        # Whether no cache may store a response, by how much it depends on the user.
        always = config.cache_control == "no-store"
        self.no_store: tuple[bool, ...] = (always, always, always or config.cache_control is None)
        self._verify_every = config.kind.verify_with_cognito_every
        # Two of the three steps of most requests, without a call of ours around them.
        self.read: Callable[[bytes], Any] = self.cookie.read
        self.known: Callable[[Any], SignedIn | KnownMachine | None] = verdicts.get

    def at_once(
        self, value: Any, cookies: bytes | None, request: object, outer: Visit | None, now: float
    ) -> Visit | None:
        """The visit of a request with this value of the session's cookie, and a verdict to be kept.

        None: `authenticate` decides.
        """
        if self._verify_every is not None or value is DUPLICATE:
            return None
        verdict = self.sessions.at_once(value, now)
        if verdict is None:
            return None
        visit = Visit.of(self, verdict, cookies, request, outer)
        if isinstance(verdict, Refused) and verdict.clears:
            visit.writes = NO_COOKIE
        return visit

    def newer(self, expired: SignedIn, source: Source, now: float) -> SignedIn | None:
        """The verdict on a session whose tokens another request has refreshed meanwhile, if any.

        The cached one, of the same user, until its tokens expire. (A session that has ended here
        has none. No store is asked: nothing may wait, as for the first tokens.)
        """
        if not source.clears or not expired.value:  # a header's; a test's
            return None
        known = self.known(expired.value)
        if not isinstance(known, SignedIn) or now >= known.expires_at:
            return None
        return known if _owner(known) == _owner(expired) else None

    def authenticate(self, credential: Credential, now: float) -> Flow[Visit]:
        """The visit of a request that brought `credential`."""
        value = credential.value
        if value is None:
            return Visit.of(self, self.nobody)
        if value is DUPLICATE:
            return Visit.of(self, DUPLICATE_COOKIE)
        generation = self.verdicts.generation
        resolution = yield from credential.source.resolve(value, now)
        verdict = resolution.verdict
        visit = Visit.of(self, verdict)
        visit.source = credential.source
        visit.take(resolution)
        if self._verify_every is not None and isinstance(verdict, SignedIn):
            visit.take(
                (yield from self._confirmed(verdict, self._verify_every, now, credential.source))
            )
            verdict = visit.verdict
        if isinstance(verdict, Refused):
            return visit
        # A session's present value may be newer than the one that was sent.
        key = verdict.value if credential.source.clears and isinstance(verdict, SignedIn) else value
        if self.verdicts.get(key) is not verdict:
            yield Remember(self.verdicts, key, verdict, generation)
        return visit

    def look_up(self, source: Source, value: Any, cookie: Any, now: float) -> Flow[Visit]:
        """The visit of a request that brought this value of a source.

        `cookie`: the value of a session's cookie beside it; None if there is none.
        """
        credential = Credential(source, value)
        if source is self.bearer:
            return self._bring(credential, cookie, now)
        if cookie is None:
            return self.authenticate(credential, now)
        return self.authenticate_both(credential, cookie, now)

    def _bring(self, credential: Credential, cookie: Any, now: float) -> Flow[Visit]:
        """The visit of a request that brought a Bearer header."""
        if cookie is None:
            visit = yield from self.authenticate(credential, now)
        else:
            visit = yield from self.authenticate_both(credential, cookie, now)
        visit.bring(credential.value, credential.source)
        return visit

    def authenticate_both(self, credential: Credential, cookie: Any, now: float) -> Flow[Visit]:
        """The visit of a request that brought a header's credential, and a session's cookie.

        The header counts, unless the cookie's session is good and of somebody else. The session is
        neither refreshed nor ended here.
        """
        known = self.known(credential.value)
        if known is not None and now < known.fresh_until:
            visit = Visit.of(self, known)
            visit.source = credential.source
        else:
            visit = yield from self.authenticate(credential, now)
        verdict = visit.verdict
        if not isinstance(verdict, Refused):
            owner = yield from self._owner_of(cookie, now)
            if owner is not None and owner != _owner(verdict):
                visit.verdict = DIFFERENT_CREDENTIALS
        return visit

    def _owner_of(self, cookie: Any, now: float) -> Flow[str | None]:
        """The user of a session's cookie; None if there is none, or it cannot be checked now."""
        if cookie is DUPLICATE:
            return None
        known = self.known(cookie)
        if known is not None and now < known.fresh_until:
            return _owner(known)
        try:
            return (yield from self.sessions.whose(cookie, now))
        except (KeysUnavailable, Unreachable):
            return None

    def _confirmed(
        self, verdict: SignedIn, every: float, now: float, source: Source
    ) -> Flow[Resolution]:
        """The verdict, if Cognito confirms it now or did so within the last `every` seconds."""
        endpoints = self._pools_by_issuer[verdict.issuer].api_urls
        answer = yield from self._attributes.confirm(verdict, endpoints, every, now)
        if not isinstance(answer, Failure):
            return Resolution(replace(verdict, fresh_until=min(verdict.fresh_until, answer)))
        if answer.ends_session:
            return (yield from self._ended(verdict, answer, source))
        if answer.reason == "missing_scope":
            return Resolution(Refused(NotAuthorizedException, "missing_scope"))
        return Resolution(Refused(NetworkError, answer.reason, retry_after=answer.retry_after))

    def _ended(self, verdict: SignedIn, answer: Failure, source: Source) -> Flow[Resolution]:
        """End the session: Cognito says the user is signed out.

        Not if the access token may merely have expired; a refresh will tell. A header ends none.
        """
        if not source.clears:
            yield Remember(self.verdicts, (verdict.access_token,), None)
            return Resolution(Refused(NotAuthorizedException, answer.reason, name=answer.name))
        _, now = yield Remember(self.verdicts, verdict.value, None)
        refreshes = verdict.held is not None and verdict.held.bundle.refresh_token is not None
        # By Cognito's clock it may expire a leeway before ours says so.
        doubtful_from = verdict.expires_at - 2 * self.verifier.leeway - _CLOCK_SKEW
        if refreshes and now >= doubtful_from:
            return Resolution(Refused(NetworkError, "cognito_unavailable", retry_after=_CLOCK_SKEW))
        own, cookie = self.sessions.own(verdict)
        with suppress(Unreachable):  # the next request asks Cognito again
            yield from self.sessions.end(own, now)
        name = self.nobody.name and (answer.name or self.nobody.name)
        clears = cookie is NO_COOKIE
        reason, detail = answer.reason, answer.detail
        refused = Refused(NotAuthorizedException, reason, clears=clears, name=name, detail=detail)
        return Resolution(refused, cookie)

    def settle(self, visit: Visit) -> Flow[None]:
        """Drop a new cookie whose session has ended meanwhile; asked once the response has begun.

        A slow request may get new cookies long before its headers go, and another request may end
        the session in between.
        """
        writes = visit.writes
        if writes is not None and writes is not NO_COOKIE:
            visit.write((yield from self.sessions.unless_ended(writes, visit.now())))

    def finish(
        self,
        visit: Visit,
        headers: Iterable[tuple[AnyStr, AnyStr]],
        words: Spelling[AnyStr],
        request: Mapping[str, Any],
    ) -> list[tuple[AnyStr, AnyStr]]:
        """The headers of the visit's response. The app's own list is not changed.

        `request`: a WSGI environ or an ASGI scope.
        """
        found: list[tuple[AnyStr, AnyStr]]
        if visit.depends:
            signed_in = isinstance(visit.verdict, SignedIn)
            no_store = self.no_store[visit.depends]
            found = varied(headers, words, signed_in, no_store)
        else:
            found = list(headers)
        if visit.writes is None:
            return found
        verdict = visit.verdict
        asks_again = isinstance(verdict, Refused) and verdict.asks_again
        written = self.source.write(
            *(found, words, visit.writes, visit.cookies, request),
            by_app=visit.by_app,
            asks_again=asks_again,
        )
        if visit.writes is not NO_COOKIE:
            self._notice_plain_http(written, words, request)
        return written

    def _notice_plain_http(
        self,
        headers: Iterable[tuple[AnyStr, AnyStr]],
        words: Spelling[AnyStr],
        request: Mapping[str, Any],
    ) -> None:
        """Notice a session's cookie that a browser drops: it is Secure, and the site on http."""
        secure = words.write("; Secure")
        is_secure = any(
            name.lower() == words.set_cookie and secure in value for name, value in headers
        )
        host = plain_http_host(request) if is_secure else ""
        if host and self.reporter.is_first("plain_http"):
            self.reporter.notice(
                f"a session's cookie is set over plain http, at {excerpt(host)}, and browsers drop "
                "it there, since it is Secure: serve the site over https, or open it as "
                "http://localhost in development; cookie=CookiePolicy(secure=False), or "
                "AmplifyCookies(secure=False), sends sessions in the clear"
            )

    def fetch_attributes(
        self, visit: Visit, verdict: SignedIn, now: float
    ) -> Generator[Any, Any, Mapping[str, str] | Failure]:
        """The attributes of `verdict`'s user, kept for this visit; not in a WebSocket."""
        if visit.attributes is not None and (visit.pinned or not visit.is_socket):
            return visit.attributes
        endpoints = self._pools_by_issuer[verdict.issuer].api_urls
        answer = yield from self._attributes.fetch(verdict, endpoints, now)
        if not isinstance(answer, Failure):
            if visit.verdict is verdict:  # nobody signed in or out meanwhile
                visit.remember(answer)
        elif answer.ends_session:
            resolution = yield from self._ended(verdict, answer, visit.source)
            if resolution.cookie is None and visit.source.clears:
                return UNAVAILABLE
            if visit.verdict is verdict:
                visit.take(resolution)
        return answer


def _owner(verdict: SignedIn | KnownMachine) -> str:
    """The `user_key` of a user; a machine's is no user's."""
    if isinstance(verdict, KnownMachine):
        return user_key(verdict.pool, verdict.machine.client_id)
    return user_key(verdict.pool, verdict.user.user_id)


def _bearer_source(config: AmplifyConfig, verifier: Verifier) -> BearerSource | None:
    """The source of Bearer tokens, with `bearer=True`."""
    if not config.bearer:
        return None
    from .bearer import BearerSource  # for sites that use it

    return BearerSource(verifier, config.login_url, config.origins, config.metadata_url)
