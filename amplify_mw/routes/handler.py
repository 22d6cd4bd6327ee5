"""The sign-in routes: what each request to one of them comes to.

    sign-in, sign-up     an attempt is begun, and the browser sent to the pool
    sign-in-callback     the attempt is used up: a session, or a page that says why not
    sign-out             the session ends here, and the browser is sent to the pool to end it there
    sign-out-callback    back from there

Rules:
- Nobody is signed in or out by another site's page. A link of another site to `sign-in` is asked
  about first; to `sign-out` it is refused.
- Nothing is done for a prefetch or a prerender, which browsers call typed: it is answered 403, and
  no cookie is set. They throw that away, and ask again when somebody clicks.
- A callback counts only with the cookie of an attempt that this site has begun. The attempt is used
  up by it, unless the provider could not be asked for tokens: then the page can be loaded again.
- A code without such a cookie is not used: the attempt took too long, gave way to newer ones, or
  somebody else began the sign-in (an identity provider's own page). Another attempt is begun at
  once, which a provider that knows the browser answers without a question; to the page that the
  first was for. That is done `_MAX_TURNS` times, then a page says that it does not work.
- A callback that another site's redirect has brought without `SameSite=Strict` cookies goes once
  around by itself, so that the session which is there ends with the new one's beginning.
- Of several requests for one attempt one begins a session. Tokens that nobody uses are revoked.
- A session is begun last, when everything has been checked: `state`, `iss`, the tokens, `nonce`,
  `auth_time`. Whatever goes wrong before leaves the session that was there.
- A browser whose session was ended from elsewhere is asked for the password at its next sign-in,
  until one has come to something: a cookie says so, which the refused session's answer has set.
- A clock that is behind is no reason to refuse: the session is begun, and counts when the clock has
  caught up. The page says so, and goes on then.
- Where a browser sends two session cookies of one name, a sign-in clears what it can beside the one
  that it sets, once: a page says what to do if both are there again. It is not left to `on_error`,
  whose page the same cookies might keep from being seen. A user who is signed in here, and not at
  the page that was asked for, has one there that only its path brings: that is cleared, likewise.
- What the provider sends is compared, never repeated, but in the address of a callback that goes
  once around. Every parameter may occur once. Of its errors the code gets to the log and the app.
- A failed sign-in is one line of the log, at WARNING if an operator can mend it (the first of its
  kind in an hour: anybody can have a sign-in fail). The app is told, too, and cannot fail it.
- An error of the pool that passes by itself (`server_error`) uses up no attempt.
- A token endpoint that does not answer, or does not accept this app client, is told to the operator
  once, with its own error code.
- The answer to a callback is a page that goes on by itself (see `pages.hop`): after a redirect that
  began at the pool no `SameSite=Strict` cookie would be sent.
"""

import hmac
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from functools import partial
from html import escape
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..authenticator import Authenticator, Visit
from ..cognito.api import UNAVAILABLE, AppClient, Failure, Refreshed
from ..cognito.keys import KeysUnavailable
from ..cognito.pace import Caller
from ..cognito.verifier import InvalidToken
from ..config.routes import AuthRoutes
from ..effects import Draw, Flight, Flow, Join, Tell, Unreachable
from ..engine.reports import request_line
from ..errors import AuthError, NetworkError, SessionTooLargeError
from ..log import logger
from ..models import SignInFailure, TokenSet
from ..sessions.verdicts import Refused, SignedIn
from ..verbs.end import end_here
from ..verbs.start import starting_new
from ..web.answers import TWO_COOKIES, Answer, Asked, problem
from ..web.cookies import DUPLICATE, CookieReader
from ..web.headers import CLEAR_SITE_DATA, FETCHED_AHEAD
from ..web.requests import (
    came_by_hop,
    has_hopped,
    is_foreign,
    is_speculative,
    may_hop,
    page_of,
    request_header,
)
from .attempt import RANDOM, Attempt, Attempts, Way
from .failures import TROUBLES, Refusal, refusal_by_endpoint, refusal_by_pool, refusal_of_token
from .pages import hop, hop_cookie, hop_here, hop_later, page, question, redirect
from .provider import Provider, identity_provider
from .target import safe_target

_RETRY: Final = "2"  # seconds
_AHEAD: Final = "This address does nothing until somebody opens it."
_METHODS: Final = {"sign-in-callback": ("GET",), "sign-out": ("GET", "POST")}
_PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_MAX_CHARACTERS: Final = 8192  # of a query: the longest target, encoded once more, has room
_LONGEST: Final = 256  # characters of what is passed on
_OF_HOST: Final = b"1"
_OF_PAGE: Final = b"2"
_USER_AGENT: Final = 256
# Each round, the eight newest of any number of tabs have their attempts' cookies.
_MAX_TURNS: Final = 5


class Purchase:
    """What a code has bought, for all requests that wait for it: the first of them has it."""

    def __init__(self, tokens: Refreshed | Failure) -> None:
        self.tokens = tokens
        self._takers: list[object] = []

    def is_mine(self) -> bool:
        """Whether this is the first time of asking, in whatever thread."""
        mark = object()
        self._takers.append(mark)
        return self._takers[0] is mark


class RouteHandler:
    """The routes of one configuration, below one mount: the paths of `routes` are whole.

    `barred`: paths of routes, to which no `next` leads.
    """

    def __init__(
        self, home: Authenticator, routes: AuthRoutes, barred: Container[str] = ()
    ) -> None:
        pool = home.config.user_pools[0]
        client_id = (pool.client_id or ("",))[0]
        self._home = home
        self._routes = routes
        self._issuers = [issuer.encode() for issuer in pool.issuers]
        self._pool, self._client_id = pool.user_pool_id, client_id
        self._issuer = pool.iss
        self._attempts = Attempts(routes, home.config.route_keys, pool.user_pool_id, client_id)
        self._provider = Provider(
            domain=str(pool.domain),
            token_url=str(pool.token_url),
            client=AppClient(client_id, pool.client_secret),
            redirect_uri=routes.callback_url,
            scope=routes.scope,
        )
        self._origins = home.config.known_origins
        self._barred = barred
        self._ask_again = CookieReader(routes.ask_again.name.encode()).read
        self._tried = CookieReader(routes.tried.name.encode()).read

    def answer(self, visit: Visit, asked: Asked, name: str) -> Flow[Answer]:
        """A flow: the answer to a request for the route `name`."""
        allowed = _METHODS.get(name, ("GET", "HEAD"))
        if asked.method not in allowed:
            logger.debug("answered 405 (%s)", request_line(asked))
            refused = problem(405, headers=[("Allow", ", ".join(allowed))])
            return refused._replace(body=b"") if asked.method == "HEAD" else refused
        if is_speculative(visit.headers):
            logger.debug("answered 403: speculative_request (a prefetch: %s)", request_line(asked))
            answer = problem(403, _AHEAD)
        elif name in ("sign-in", "sign-up"):
            answer = yield from self._leave(visit, asked, name)
        elif name == "sign-in-callback":
            answer = yield from self._return(visit, asked)
            if has_hopped(visit.cookies) and not self._withholds_cookies(visit, asked):
                # The next way back may need a hop again.
                over = hop_cookie(f"{self._routes.prefix}/{name}", secure=self._routes.is_secure)
                answer = answer._replace(headers=(*answer.headers, ("Set-Cookie", over.clearing)))
        elif name == "sign-out":
            answer = yield from self._sign_out(visit, asked)
        else:
            answer = redirect(self._routes.after_sign_out)
        return answer._replace(body=b"") if asked.method == "HEAD" else answer

    # Away to the pool.

    def _leave(self, visit: Visit, asked: Asked, name: str) -> Flow[Answer]:
        query = _query(asked.query)
        if query is None:
            return (yield from self._fail(asked, Refusal("bad_request")))
        self._home.hosts.note(visit.headers, self._routes.origin)
        target = safe_target(query.get("next"), self._barred, self._routes.after_sign_in)
        extra, max_age = _extra(query), _seconds(query.get("max_age"))
        if _is_cross_site(visit, self._site_values("same-site")):
            here = self._link(name, target, query)
            return question(here)
        is_new = bool(extra.keys() & {"prompt", "identity_provider", "idp_identifier"})
        turns = min(_seconds(query.get(_TURNS)) or 0, _MAX_TURNS)
        asks_again = (is_new or max_age is not None) and not turns
        if isinstance(visit.verdict, SignedIn) and not asks_again:
            is_told = TWO_COOKIES.items() <= query.items()
            if is_told:
                return (yield from self._without_strays(visit, asked, target))
            return redirect(target)
        with_two = _brings_two(visit)
        if with_two and self._has_tried(visit):
            return (yield from self._fail(asked, Refusal("duplicate_cookie"), target))
        if name == "sign-in" and self._was_ended_elsewhere(visit):
            extra["prompt"] = "login"  # whatever the link says: the pool may know the browser still
        random, now = yield Draw(RANDOM)
        attempt, ivs = self._attempts.begin(random, target, max_age, now, with_two=with_two)
        if max_age is not None:
            extra["max_age"] = str(max_age)
        where = "signup" if name == "sign-up" else "oauth2/authorize"
        state = self._attempts.sent(attempt, Way(_asked(target, query), turns), ivs)
        url = self._provider.authorization_url(where, attempt, state, extra)
        lines = self._attempts.keep(attempt, ivs, visit.cookies)
        return redirect(url, [("Set-Cookie", line) for line in lines])

    def _has_tried(self, visit: Visit) -> bytes | None:
        """What has been cleared a moment ago, if anything: the host's cookies, or a page's too."""
        found = None if visit.cookies is None else self._tried(visit.cookies)
        if found is DUPLICATE:  # one is ours: a sibling's beside it would hide that for good
            return _OF_PAGE
        return found if found in (_OF_HOST, _OF_PAGE) else None

    def _without_strays(self, visit: Visit, asked: Asked, target: str) -> Flow[Answer]:
        """A flow: on to a page that has two session cookies, where this route has the user's."""
        if self._has_tried(visit) == _OF_PAGE:
            return (yield from self._fail(asked, Refusal("duplicate_cookie"), target))
        if visit.writes is not None:  # it has just been renewed: next time
            return redirect(target)
        path = urlsplit(target).path
        lines = self._home.cookie.elsewhere(
            visit.cookies, path, self._home.cookie_domains, anywhere=True
        )
        cleared = [line.value for line in lines]
        cleared.append(self._routes.tried.setting(_OF_PAGE.decode()))
        return redirect(target, [("Set-Cookie", line) for line in cleared])

    def _was_ended_elsewhere(self, visit: Visit) -> bool:
        """Whether the session of this browser was, and it has not signed in since."""
        verdict = visit.verdict
        is_told = isinstance(verdict, Refused) and verdict.asks_again
        return is_told or self._has_to_ask_again(visit)

    def _has_to_ask_again(self, visit: Visit) -> bool:
        return visit.cookies is not None and self._ask_again(visit.cookies) is not None

    def _link(self, name: str, target: str, query: Mapping[str, str]) -> str:
        """The address of a route, with what it was asked and is fit to be written."""
        return f"{self._routes.prefix}/{name}?{_asked(target, query)}"

    # Back from there.

    def _return(self, visit: Visit, asked: Asked) -> Flow[Answer]:
        query = _query(asked.query)
        state = (query or {}).get("state", "")
        now = self._home.runner.clock()
        attempt = self._attempts.find(state, visit.cookies, now)
        is_answer = query is not None and bool(query.get("code")) != ("error" in query)
        if query is None or not is_answer or ("error" in query and not state):
            return (yield from self._fail(asked, Refusal("bad_request")))
        if attempt is None and "error" not in query:
            return (yield from self._begin_again(visit, asked, self._attempts.way(state)))
        if self._withholds_cookies(visit, asked):  # the session that is there is to end
            secure = self._routes.is_secure
            again = hop_here(asked.path, asked.query, visit.cookies, secure=secure)
            if again is not None:
                return again
        if attempt is None:
            if isinstance(visit.verdict, SignedIn):  # the way back, taken twice
                return hop(self._routes.after_sign_in)
            return (yield from self._fail(asked, self._expired(visit)))
        dropped = [("Set-Cookie", self._attempts.drop(attempt.state))]
        with_two = attempt.with_two or _brings_two(visit)
        try:
            wait = yield from self._sign_in(visit, query, attempt, now)
            if wait is None:
                return hop(attempt.target)  # another request of this attempt has begun the session
        except Refusal as refusal:
            headers = dropped if refusal.uses_up else [("Retry-After", _RETRY)]
            return (yield from self._fail(asked, refusal, attempt.target, headers))
        if self._has_to_ask_again(visit):
            dropped.append(("Set-Cookie", self._routes.ask_again.clearing))
        if with_two:  # the session's own lines clear what they can
            dropped.append(("Set-Cookie", self._routes.tried.setting(_OF_HOST.decode())))
        if wait > 0:
            return hop_later(attempt.target, wait, dropped)
        return hop(attempt.target, dropped)

    def _begin_again(self, visit: Visit, asked: Asked, way: Way) -> Flow[Answer]:
        """A flow: the answer to a code that no attempt of this browser has asked for."""
        wanted = dict(parse_qsl(way.query)).get("next")
        target = safe_target(wanted, self._barred, self._routes.after_sign_in)
        if isinstance(visit.verdict, SignedIn):  # the way back, taken twice; or another tab's
            return hop(target)
        if visit.verdict.reason == "token_not_yet_valid":  # likewise, by a clock that is behind
            return hop_later(target, visit.verdict.retry_after or 0)
        if way.turns >= _MAX_TURNS:  # no cookie is kept here
            return (yield from self._fail(asked, self._expired(visit), target))
        self._log_again(visit, asked)
        query = way.query or urlencode({"next": target})
        # By a page of this site: the session's cookie is sent then, should there be one by now.
        return hop(f"{self._routes.prefix}/sign-in?{query}&{_TURNS}={way.turns + 1}")

    def _withholds_cookies(self, visit: Visit, asked: Asked) -> bool:
        """Whether a browser may have a session that it does not send with the pool's redirect."""
        return self._home.cookie.is_strict and may_hop(asked.sec_fetch_site, visit.cookies)

    def _sign_in(
        self, visit: Visit, query: Mapping[str, str], attempt: Attempt, now: float
    ) -> Flow[float | None]:
        """A flow: redeem a code, and begin a session; in how many seconds it counts.

        None if another request has done that. Raises `Refusal`.
        """
        issuer = query.get("iss")  # RFC 9207
        if issuer is not None and not self._is_ours(issuer):
            raise Refusal("issuer_mismatch")
        if "error" in query:
            raise refusal_by_pool(query["error"], query.get("error_description", ""))
        tokens = yield from self._redeem(query["code"], attempt)
        if tokens is None:
            return None
        try:
            return (yield from self._begin(visit, tokens, attempt, now))
        except Refusal:
            yield from self._revoke(tokens, now)
            raise

    def _is_ours(self, issuer: str) -> bool:
        """Whether this is an issuer of the pool that is signed in to: it may switch meanwhile."""
        return any(hmac.compare_digest(issuer.encode(), ours) for ours in self._issuers)

    def _revoke(self, tokens: Refreshed, now: float) -> Flow[None]:
        """A flow: have tokens revoked that nobody will use."""
        if tokens.refresh_token is None:
            return
        with suppress(InvalidToken):
            access_token = self._home.verifier.read(tokens.access_token, now)
            yield from self._home.grants.revoke(access_token, tokens.refresh_token)

    def _begin(self, visit: Visit, tokens: Refreshed, attempt: Attempt, now: float) -> Flow[float]:
        """A flow: a session with the tokens, if they are what was asked for. Raises `Refusal`.

        It counts so many seconds from now: more than 0 where this machine's clock is behind.
        """
        begins_at = yield from self._check(tokens, attempt, now)
        given = TokenSet(*(token.decode("ascii") if token else None for token in tokens))  # type: ignore[arg-type]
        agent = " ".join(request_header(visit.headers, "User-Agent"))[:_USER_AGENT]
        try:
            yield from starting_new(visit, given, user_agent=agent)
        except NetworkError as error:
            raise Refusal("provider_unavailable", error.reason) from None
        except SessionTooLargeError as error:
            size = f"{error.size:,} bytes, where {error.limit:,} fit"
            raise Refusal("session_too_large", size) from None
        except AuthError as error:
            raise Refusal("token_refused", error.reason) from None
        return begins_at - self._home.verifier.leeway - self._home.runner.clock()

    def _redeem(self, code: str, attempt: Attempt) -> Flow[Refreshed | None]:
        """A flow: the tokens that a code buys; None if another request has them.

        Raises `Refusal`.
        """
        request = self._provider.token_request(code, attempt)
        caller = Caller(self._pool, self._client_id)
        asking = self._home.grants.sign_ins.of(request.url, caller)

        def flow(departed: float) -> Flow[Purchase]:
            try:
                response, now = yield request
                answer, why = self._provider.read_tokens(response), f"HTTP status {response.status}"
            except Unreachable as error:
                answer, why, now = UNAVAILABLE, str(error), error.now or departed
            return Purchase((yield from asking.heed(answer, why, departed, now)))

        # Once, however often the browser asks meanwhile: a code is good for one try.
        flight = Flight(("code", self._pool, code, attempt.state), flow, "codes")
        try:
            purchase, _ = yield Join(flight)
        except Unreachable:
            raise Refusal("provider_unavailable", "no answer in time", uses_up=False) from None
        assert isinstance(purchase, Purchase)  # noqa: S101  # so says the flow
        if isinstance(purchase.tokens, Failure):
            raise refusal_by_endpoint(purchase.tokens)
        return purchase.tokens if purchase.is_mine() else None

    def _check(self, tokens: Refreshed, attempt: Attempt, now: float) -> Flow[float]:
        """A flow: from when on these tokens count, which answer this attempt. Raises `Refusal`."""
        try:
            id_token = yield from self._home.verifier.verify_new(tokens.id_token, now)
        except KeysUnavailable:
            raise Refusal("provider_unavailable", "keys_unavailable") from None
        except InvalidToken as error:
            raise refusal_of_token(error, self._issuer, self._client_id) from None
        nonce = id_token.claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(
            nonce.encode("utf-8", "replace"), attempt.nonce.encode()
        ):
            raise Refusal("token_refused", "wrong nonce")
        if (id_token.pool, id_token.client) != (self._pool, self._client_id):
            raise Refusal("token_refused", "not of the first pool and its first client_id")
        if attempt.max_age is not None:  # OpenID Connect Core 3.1.3.7
            shown_at = id_token.claims.get("auth_time")
            leeway = self._home.verifier.leeway
            oldest = now - attempt.max_age - leeway
            if isinstance(shown_at, bool) or not isinstance(shown_at, int | float):
                raise Refusal("sign_in_too_old")
            if shown_at < oldest:
                raise Refusal("sign_in_too_old")
        return id_token.begins_at

    # Out.

    def _sign_out(self, visit: Visit, asked: Asked) -> Flow[Answer]:
        if not self._may_sign_out(visit, asked):
            is_form = asked.method == "POST"
            why = page_of(visit.headers) if is_form else "a link may do it as get_sign_out says"
            said = request_line(asked), why
            logger.debug("answered 403: sign-out by another site's page (%s, %s)", *said)
            return problem(403, "Only this site's own pages can sign you out.")
        try:
            yield from end_here(visit, everywhere=False, asks_again=False)
        except NetworkError as error:
            logger.debug("answered 503: %s (%s)", error.reason, request_line(asked))
            return problem(503, headers=[("Retry-After", str(int(error.retry_after or 1)))])
        url = self._provider.logout_url(self._routes.sign_out_callback_url)
        # Where a session ends this goes with its cookie; one may have run out in silence before.
        is_said = visit.by_app or not self._home.forgets
        headers = [] if is_said else [(CLEAR_SITE_DATA, FETCHED_AHEAD)]
        # A policy `form-action 'self'` of the app's page holds a form's redirects to its own site.
        return hop(url, headers) if asked.method == "POST" else redirect(url, headers)

    def _may_sign_out(self, visit: Visit, asked: Asked) -> bool:
        if asked.method == "POST":
            return not is_foreign(visit.headers, self._origins)
        policy = self._routes.get_sign_out
        if policy == "never" or came_by_hop(visit.headers, visit.cookies):
            return False
        return _is_page(visit) and not _is_cross_site(
            visit, self._site_values(policy), strictly=True
        )

    def _site_values(self, policy: str) -> frozenset[str]:
        """What `Sec-Fetch-Site` may say. "none": typed, or from a bookmark."""
        own = {"same-origin", "none"}
        return frozenset(own | {"same-site"} if policy == "same-site" else own)

    # Failures.

    def _expired(self, visit: Visit) -> Refusal:
        """There is no attempt that an answer belongs to."""
        elsewhere, is_news = self._elsewhere(visit)
        if is_news:
            return Refusal("attempt_expired", mend=elsewhere)
        return Refusal("attempt_expired", elsewhere)

    def _elsewhere(self, visit: Visit) -> tuple[str, bool]:
        """Why an attempt's cookie may be another host name's, and whether that is news."""
        elsewhere = self._home.hosts.elsewhere(visit.headers, self._routes.origin)
        return elsewhere, bool(elsewhere) and self._home.reporter.is_first("host", elsewhere)

    def _log_again(self, visit: Visit, asked: Asked) -> None:
        """Tell that a code came without its attempt, and that another is begun."""
        elsewhere, is_news = self._elsewhere(visit)
        line = f"sign-in begins again: no attempt of this browser ({request_line(asked)})"
        if is_news:
            logger.warning("%s: %s", line, elsewhere)
        else:
            logger.debug("%s", line)

    def _fail(
        self,
        asked: Asked,
        refusal: Refusal,
        target: str = "",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Flow[Answer]:
        """A flow: the answer where a sign-in comes to nothing, which the log and the app are told.

        `target`: where it was to lead.
        """
        code, pool_error = refusal.code, refusal.pool_error
        trouble = TROUBLES[code]
        self._log(asked, refusal)
        if self._routes.on_sign_in_failed is not None:
            failure = SignInFailure(code, pool_error, trouble.status, asked.method, asked.path)
            yield Tell(self._routes.on_sign_in_failed, failure)
        if self._routes.on_error is not None and code != "duplicate_cookie":
            said = {"error": code} | ({"pool_error": pool_error} if pool_error else {})
            joint = "&" if "?" in self._routes.on_error else "?"
            return hop(f"{self._routes.on_error}{joint}{urlencode(said)}", headers)
        link = f"{self._routes.prefix}/sign-in"
        if target:
            link += f"?{urlencode({'next': target})}"
        more = f'<p><a href="{escape(link)}">Sign in</a></p><p><small>{code}</small></p>'
        return page(trouble.status, "Not signed in", trouble.words, more=more, headers=headers)

    def _log(self, asked: Asked, refusal: Refusal) -> None:
        """One line: at WARNING if there is something to mend, and that was not said lately."""
        said = [refusal.why] if refusal.why else []
        if refusal.pool_error:
            said.append(f"the user pool's error is {refusal.pool_error}")
        said.append(request_line(asked))
        line = f"sign-in failed: {refusal.code} ({', '.join(said)})"
        if refusal.code == "bad_request":  # of which anybody can make any number
            logger.debug("%s", line)
        elif not refusal.mend:
            logger.info("%s", line)
        elif self._home.reporter.is_news(refusal.kind, self._home.runner.clock()):
            logger.warning("%s: %s", line, refusal.mend)
        else:
            logger.info("%s: %s", line, refusal.mend)


Answering = Callable[[Visit, Asked], Flow[Answer]]


def routes_of(home: Authenticator, routes: AuthRoutes) -> dict[str, Answering]:
    """What answers each public path of the sign-in routes, below each of the app's mounts."""
    placed = [routes.at(mount) for mount in home.mounts.prefixes or ("",)]
    barred = {path.lower() for each in (routes, *placed) for path in each.paths}
    return {
        path: partial(RouteHandler(home, each, barred).answer, name=name)
        for each in placed
        for path, name in each.paths.items()
    }


_PASSED: Final = ("provider", "idp_identifier", "lang", "login_hint", "prompt", "max_age")
_TURNS: Final = "turns"


def _asked(target: str, query: Mapping[str, str]) -> str:
    """What a sign-in route was asked, fit to be written."""
    fields = {key: query[key] for key in _PASSED if key in query} | {"next": target}
    return urlencode(fields)


def _query(text: str) -> dict[str, str] | None:
    """The parameters of a query, each of which may occur once; None for what is none."""
    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        return None
    query = dict(pairs)
    return query if len(query) == len(pairs) else None


def _extra(query: Mapping[str, str]) -> dict[str, str]:
    """The parameters of an authorization request that a link may give."""
    asked: dict[str, str] = {}
    for name in ("lang", "login_hint", "idp_identifier"):
        if _is_plain(query.get(name, "")):
            asked[name] = query[name]
    if query.get("prompt") in _PROMPTS:
        asked["prompt"] = query["prompt"]
    if _is_plain(query.get("provider", "")):
        asked["identity_provider"] = identity_provider(query["provider"])
    return asked


def _is_plain(text: str) -> bool:
    return bool(text) and len(text) <= _LONGEST and text.isprintable()


def _seconds(text: str | None) -> int | None:
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= 9
    return int(text) if text is not None and is_number else None


def _brings_two(visit: Visit) -> bool:
    """Whether nobody is signed in for there being two cookies of one name."""
    return isinstance(visit.verdict, Refused) and visit.verdict.reason == "duplicate_cookie"


def _is_page(visit: Visit) -> bool:
    """Whether a page is being opened, and not an image or a frame."""
    modes = set(request_header(visit.headers, "Sec-Fetch-Mode"))
    places = set(request_header(visit.headers, "Sec-Fetch-Dest"))
    # A service worker that passes the opening of a page on. No script can ask so: `fetch` refuses
    # the mode. Of a frame it looks the same; that it is one's own page's says `Sec-Fetch-Site`.
    is_passed_on = modes == {"navigate"} and places == {"empty"}
    return is_passed_on or (modes <= {"navigate"} and places <= {"document"})


def _is_cross_site(visit: Visit, own: frozenset[str], *, strictly: bool = False) -> bool:
    """Whether a browser says that another site's page asks.

    `strictly`: and where it says nothing at all, that counts as such.
    """
    sites = request_header(visit.headers, "Sec-Fetch-Site")
    origins = request_header(visit.headers, "Origin")
    known = visit.home.config.known_origins
    if sites:
        return not own.issuperset(sites)
    if origins:
        return not all(origin in known for origin in origins)
    return strictly
