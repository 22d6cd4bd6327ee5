"""From a code to a session: redeem the code, check the tokens, start the session.

Rules:
- The session starts last, once everything has been checked: `iss`, the tokens, `nonce`,
  `auth_time`, `acr`. (`state` found the attempt.) A failure leaves the earlier session as it was.
- `on_sign_in` is called when all tokens are verified, and nothing has begun. An exception of its
  own ends the sign-in.
- Of several requests with one code, one starts a session. Tokens that stay unused are revoked.
- A code is redeemed once: the provider accepts no second try.
- A clock that is behind refuses nobody: the session starts now and counts later.
- `pace` tells the operator of a token endpoint that is down or rejects this app client. If the
  client has several secrets, it is the last of them that was refused.
"""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from ..authenticator import Visit
from ..cognito.api import Failure, Refreshed, failure_of
from ..cognito.attributes import attributes_of_claims
from ..cognito.invalid import InvalidToken
from ..cognito.keys import KeysUnavailable
from ..cognito.pace import Caller
from ..cognito.regions import Call, Said, exchange, within
from ..cognito.verifier import VerifiedToken
from ..effects import Flight, Flow, Join, Operation, Tell, Unreachable
from ..errors import AuthError, NetworkError, SessionTooLargeError
from ..models.session import NewSignIn, TokenSet
from ..sessions.base import NewSession
from ..sessions.token import user_in
from ..verbs.start import starting_new
from ..web.requests import request_header
from .attempt import Attempt
from .failures import (
    Code,
    Refusal,
    refusal_by_app,
    refusal_by_endpoint,
    refusal_by_pool,
    refusal_of_token,
)
from .site import Site

_EXCHANGE: Final = Operation("code_exchange", lambda exchange: failure_of(exchange.tokens))
_USER_AGENT: Final = 256  # characters


class CodeExchange:
    """Result of a code exchange. Exactly one waiting request may claim it."""

    def __init__(self, tokens: Refreshed | Failure) -> None:
        self.tokens = tokens
        self._claims: list[object] = []

    def claim(self) -> bool:
        """Whether this call is the first one, on any thread."""
        mark = object()
        self._claims.append(mark)
        return self._claims[0] is mark


def sign_in(
    site: Site, visit: Visit, query: Mapping[str, str], attempt: Attempt, now: float
) -> Flow[float | None]:
    """Start the session of an attempt; the seconds until it counts (0 or less: it does now).

    None if another request has started it. Raises `Refusal`.
    """
    issuer = query.get("iss")  # RFC 9207
    if issuer is not None and not _is_ours(site, issuer):
        raise Refusal(Code.ISSUER_MISMATCH)
    if "error" in query:
        raise refusal_by_pool(query["error"], query.get("error_description", ""))
    tokens = yield from _redeem(site, query["code"], attempt)
    if tokens is None:
        return None
    try:
        return (yield from _start(site, visit, tokens, attempt, now))
    except Refusal:
        yield from _revoke(site, tokens, now)
        raise


def _is_ours(site: Site, issuer: str) -> bool:
    """Whether the pool has this issuer. It may switch between two during a sign-in."""
    return any(hmac.compare_digest(issuer.encode(), ours) for ours in site.issuers)


def _redeem(site: Site, code: str, attempt: Attempt) -> Flow[Refreshed | None]:
    """The tokens for a code; None if another request has claimed them. Raises `Refusal`."""
    provider, sign_ins = site.provider, site.home.grants.sign_ins

    def talk(_: str, secret: str | None, patience: float) -> Flow[Said[Refreshed]]:
        request = within(provider.token_request(code, attempt, secret), patience)
        return (yield from exchange(request, provider.read_tokens))

    def redeem(departed: float) -> Flow[CodeExchange]:
        call = Call((provider.token_url,), talk, site.home.grants.secrets_of(site.issuer))
        tokens, _ = yield from sign_ins.ask(call, Caller(site.pool, site.client_id), departed)
        return CodeExchange(tokens)

    key = ("code", site.pool, code, attempt.state)
    flight = Flight(key, redeem, "codes", _EXCHANGE)
    try:
        exchanged, _ = yield Join(flight)
    except Unreachable:
        raise Refusal(Code.PROVIDER_UNAVAILABLE, "no answer in time", uses_up=False) from None
    assert isinstance(exchanged, CodeExchange)  # noqa: S101  # the flight's result
    if isinstance(exchanged.tokens, Failure):
        raise refusal_by_endpoint(exchanged.tokens)
    return exchanged.tokens if exchanged.claim() else None


def _revoke(site: Site, tokens: Refreshed, now: float) -> Flow[None]:
    """Revoke tokens that stay unused."""
    if tokens.refresh_token is None:
        return
    with suppress(InvalidToken):
        access_token = site.home.verifier.read(tokens.access_token, now)
        yield from site.home.grants.revoke(access_token, tokens.refresh_token)


def _start(
    site: Site, visit: Visit, tokens: Refreshed, attempt: Attempt, now: float
) -> Flow[float]:
    """Check the tokens and start the session; the seconds until it counts. Raises `Refusal`."""
    id_token = yield from _verify(site, tokens, now)
    _check(site, id_token, attempt, now)
    given = TokenSet(*(token.decode("ascii") if token else None for token in tokens))  # type: ignore[arg-type]
    agent = " ".join(request_header(visit.headers, "User-Agent"))[:_USER_AGENT]
    listener = site.routes.on_sign_in
    admit = None if listener is None else partial(_ask_app, listener, given)
    try:
        yield from starting_new(visit, given, user_agent=agent, admit=admit)
    except NetworkError as error:
        raise Refusal(Code.PROVIDER_UNAVAILABLE, error.reason) from None
    except SessionTooLargeError as error:
        size = f"{error.size:,} bytes, where {error.limit:,} fit"
        raise Refusal(Code.SESSION_TOO_LARGE, size) from None
    except AuthError as error:
        raise Refusal(Code.TOKEN_REFUSED, error.reason) from None
    return id_token.begins_at - site.home.verifier.leeway - site.home.runner.clock()


def _ask_app(
    listener: Callable[[NewSignIn], object], given: TokenSet, new: NewSession
) -> Flow[None]:
    """Tell the app's function of a sign-in. Raises `Refusal` if the function raises."""
    token = new.id_token
    value = NewSignIn(user_in(token), attributes_of_claims(token.claims), given)
    error, _ = yield Tell(listener, value)
    if error is not None:
        raise refusal_by_app(error)


def _verify(site: Site, tokens: Refreshed, now: float) -> Flow[VerifiedToken]:
    try:
        return (yield from site.home.verifier.verify_new(tokens.id_token, now))
    except KeysUnavailable:
        raise Refusal(Code.PROVIDER_UNAVAILABLE, "keys_unavailable") from None
    except InvalidToken as error:
        raise refusal_of_token(error, site.issuer, site.client_id) from None


def _check(site: Site, id_token: VerifiedToken, attempt: Attempt, now: float) -> None:
    """Raise `Refusal` unless a verified ID token belongs to this attempt."""
    nonce = id_token.claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode("utf-8", "replace"), attempt.nonce.encode()
    ):
        raise Refusal(Code.TOKEN_REFUSED, "wrong nonce")
    if (id_token.pool, id_token.client) != (site.pool, site.client_id):
        raise Refusal(Code.TOKEN_REFUSED, "not of the first pool and its first client_id")
    if attempt.acr_values and id_token.claims.get("acr") not in attempt.acr_values.split(" "):
        raise Refusal(Code.SIGN_IN_TOO_WEAK)
    if attempt.max_age is not None:  # OpenID Connect Core 3.1.3.7
        shown_at = id_token.claims.get("auth_time")
        oldest = now - attempt.max_age - site.home.verifier.leeway
        if isinstance(shown_at, bool) or not isinstance(shown_at, int | float):
            raise Refusal(Code.SIGN_IN_TOO_OLD)
        latest = max(now, id_token.begins_at) + site.home.verifier.leeway
        if not oldest <= shown_at <= latest:
            raise Refusal(Code.SIGN_IN_TOO_OLD)
