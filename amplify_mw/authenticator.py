"""The decision core: what a request's cookie means, and what its response must say.

    peek          what is known already, at once; None when it takes more
    authenticate  a flow, for the rest
    finish        the response's headers, once, when they go

Rules:
- Pure: the time comes in, effects go out. Both shells ask the same questions in the same order.
- A verdict is shared and frozen; a `Visit` is one request's own, and notes what that request is
  and did: that the user was asked for, that the cookie is to be cleared.
"""

from collections.abc import Generator, Mapping
from typing import Any, AnyStr

from .access import AccessRules, Refusals
from .cognito.api import Failure
from .cognito.attributes import AttributeSource
from .config import AmplifyConfig
from .cookies import DUPLICATE, CookieReader
from .effects import Cache, Flow, FlowRunner, Remember
from .errors import NotAuthorizedException
from .headers import CookieLine, Spelling, varied, with_cookie
from .models import AuthSession, Jwt, Tokens
from .sessions.base import DUPLICATE_COOKIE, NO_SESSION, Refused, SignedIn, Verdict
from .tokens.verifier import Verifier, parse_segment


class Visit:
    """One request's (or WebSocket's) view of a verdict.

    `asked`: the user was asked for. `clears`: the response is to clear the cookie.
    `begun`: the response's headers have been passed on.
    `lapses`: the user is gone once the token has run out (a WebSocket may stay open for days).
    `pinned`: a test said who is signed in, whatever a middleware further in would find.
    `attributes`: what `fetch_user_attributes` answered before in this request.
    `cookies`, `headers`: the request's `Cookie` header, and its ASGI header list, to know the
    request again further in. `outer`: the visit that was bound around this one.
    """

    asked = False
    clears = False
    begun = False
    lapses = False
    pinned = False
    attributes: Mapping[str, str] | None = None
    cookies: bytes | None = None
    headers: object = None
    outer: "Visit | None" = None

    def __init__(self, home: "Authenticator", verdict: Verdict) -> None:
        self.home = home
        self.verdict = verdict

    def pinned_at(self, home: "Authenticator") -> "Visit":
        """What a test has pinned, for one request of a middleware inside it."""
        visit = Visit(home, self.verdict)
        visit.pinned = True
        visit.attributes = self.attributes
        return visit

    def end(self, verdict: Refused) -> None:
        """The session turned out to be over: from here on nobody is signed in."""
        self.verdict = verdict
        self.clears = verdict.clears

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
        runner: FlowRunner,
    ) -> None:
        self.config = config
        self.runner = runner
        self.issuers = frozenset(pool.iss for pool in config.user_pools)
        self._verifier = verifier
        self._verdicts = verdicts
        self._attributes = attributes
        self._api_urls = {pool.iss: pool.api_url for pool in config.user_pools}
        self.rules = AccessRules.of_config(config)
        self.refusals = Refusals(
            cookie_name=config.cookie.name, login_url=config.login_url, origins=config.origins
        )
        self._read = CookieReader(config.cookie.name.encode("ascii")).read

    def peek(self, header: bytes, now: float) -> Visit | None:
        """The visit of a request whose cookie is absent or known; None if it takes a flow."""
        value: Any = self._read(header)
        if value is None:
            return Visit(self, NO_SESSION)
        try:
            verdict = self._verdicts[value]
        except KeyError:
            return None
        return Visit(self, verdict) if now < verdict.fresh_until else None

    def authenticate(self, header: bytes, now: float) -> Flow[Visit]:
        """A flow: the visit of any request."""
        value = self._read(header)
        if value is None:
            return Visit(self, NO_SESSION)
        if value is DUPLICATE:
            return Visit(self, DUPLICATE_COOKIE)
        generation = self._verdicts.generation
        verdict = yield from self.config.session.resolve(value, self._verifier, now)
        visit = Visit(self, verdict)
        if isinstance(verdict, SignedIn):
            yield Remember(self._verdicts, value, verdict, generation)
        else:
            visit.clears = verdict.clears
        return visit

    def finish(
        self, visit: Visit, headers: list[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr]
    ) -> list[tuple[AnyStr, AnyStr]]:
        """The headers of the visit's response. The app's own list is left as it was."""
        if visit.asked:
            signed_in = isinstance(visit.verdict, SignedIn)
            headers = varied(headers, words, signed_in=signed_in)
        if visit.clears:
            policy = self.config.cookie
            line = CookieLine(words.write(policy.name), words.write(policy.clearing))
            headers = with_cookie(headers, line, words)
        return headers

    def fetch_attributes(
        self, visit: Visit, verdict: SignedIn, now: float
    ) -> Generator[Any, Any, Mapping[str, str] | Failure]:
        """A flow: the attributes of `verdict`'s user, kept for this visit."""
        if visit.attributes is not None and (visit.pinned or not visit.lapses):
            return visit.attributes
        endpoint = self._api_urls[verdict.issuer]
        answer = yield from self._attributes.fetch(verdict, endpoint, now)
        if not isinstance(answer, Failure):
            visit.attributes = answer
        elif answer.ends_session:
            visit.end(Refused(NotAuthorizedException, answer.reason, clears=True))
            yield Remember(self._verdicts, verdict.cookie, None)
        return answer


def auth_session(verdict: SignedIn) -> AuthSession:
    """The tokens of a session, as fresh values that share nothing with other requests."""
    tokens = Tokens(
        _jwt(verdict.id_token), _jwt(verdict.access_token), verdict.user.sign_in_details
    )
    return AuthSession(tokens, verdict.user.user_id)


def _jwt(token: bytes | None) -> Jwt | None:
    if token is None:
        return None
    return Jwt(token.decode("ascii"), parse_segment(token.split(b".")[1]))
