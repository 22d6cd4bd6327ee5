"""What a refresh token is good for: new tokens, and an end to the sign-in.

Rules:
- The configured API is asked, and no other stands in for it: after a 5xx nobody knows whether the
  refresh token was used up.
- While Cognito throttles, is unavailable or refuses the set-up, nobody whom that concerns asks for
  new tokens in this process; see `pace`.
- Only Cognito's word that the sign-in is over ends a session (`Failure.ends_session`). That a
  refresh token is of no form that Cognito issues is such a word.
- Revoking is not waited for: no sign-out is delayed by a Cognito that cannot be reached. Whoever
  signs out is signed out here whatever Cognito says. A set-up that cannot revoke is told.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from ..effects import Ask, Flight, Flow, Launch, Meanwhile, Pause, Request, Response, Unreachable
from ..errors import Reason
from . import api, oauth
from .api import UNAVAILABLE, AppClient, Failure, Refreshed
from .pace import Asking, Caller, Paces
from .verifier import VerifiedToken

Read = Callable[[Response], Refreshed | Failure]


_TRY_AGAIN: Final = (1.0, 4.0)  # seconds to wait before a revocation is sent again
# After each of these nobody whom it concerns asks for a while.
_PAUSING: Final[tuple[Reason, ...]] = (
    *("throttled", "cognito_unavailable", "cognito_misconfigured"),
    *("firewall_blocked", "trigger_failed", "cognito_error"),
)
_ROTATING: Final = "GetTokensFromRefreshToken"
_COGNITOS: Final = re.compile(rb"[A-Za-z0-9_=.-]{1,4096}")  # TokenModelType of its service model
_INVALID_TOKEN: Final = api.FAILURES["GetTokensFromRefreshToken"]["NotAuthorizedException"]
_UNREVOKED: Final = "what was copied of sessions that end now may live on"


class PoolApi(NamedTuple):
    """Where a pool is asked, how, and with which secret.

    `is_amazons`: the endpoint is Amazon's own of the pool, and no emulator or other Region.
    """

    endpoint: str
    refresh_api: str
    client_secret: str | None
    token_url: str | None
    revoke_url: str | None
    is_amazons: bool = False

    def __repr__(self) -> str:
        return f"<PoolApi {self.endpoint}>"


class Grants:
    """Asks the pools (by issuer) for new tokens, and revokes.

    `sign_ins`: the paces of redeeming codes, which is the sign-in routes' own.
    """

    def __init__(self, pools: Mapping[str, PoolApi]) -> None:
        self._pools = pools
        self._refreshes = Paces("token refresh", _PAUSING)
        self._revocations = Paces("token revocation", meanwhile=_UNREVOKED)
        self.sign_ins = Paces("sign-in", (), "sign-ins come to nothing meanwhile")

    def refresh(
        self,
        access: VerifiedToken,
        refresh_token: bytes,
        meanwhile: tuple[float, Ask[bool]],
        now: float,
    ) -> Flow[tuple[Refreshed | Failure, float]]:
        """A flow, in a flight: new tokens, or what hindered, and when that was known.

        `access`: the access token that they are to replace. `meanwhile`: what to ask a store every
        so many seconds until there is an answer.
        """
        pool = self._pools[access.issuer]
        request, read = _refresh_request(pool, access, refresh_token)
        is_odd = not _COGNITOS.fullmatch(refresh_token)
        caller = Caller(access.pool, access.client, access.sub, is_odd)
        asking = self._refreshes.of(request.url, caller)
        paused = asking.meanwhile(now)
        if paused is not None:
            return paused, now
        departed = now
        try:
            response, now = yield Meanwhile(request, *meanwhile)
            answer, why = read(response), _why(pool, response)
        except Unreachable as error:
            answer, why, now = UNAVAILABLE, str(error), error.now or now
        if is_odd and isinstance(answer, Failure) and answer.code == "InvalidParameterException":
            answer = _INVALID_TOKEN
        return (yield from asking.heed(answer, why, departed, now)), now

    def revoke(self, access: VerifiedToken, refresh_token: bytes) -> Flow[None]:
        """A flow: have a sign-in's tokens revoked, without waiting."""
        pool = self._pools[access.issuer]
        yield from self._launch(access, [_revocation(pool, access, refresh_token)], refresh_token)

    def sign_out_everywhere(self, access: VerifiedToken, refresh_token: bytes | None) -> Flow[None]:
        """A flow: have all of a user's tokens revoked, without waiting.

        One after the other: with its sign-in the access token is revoked, and may ask no more.
        """
        pool = self._pools[access.issuer]
        steps = [Step(api.global_sign_out(pool.endpoint, access.encoded), api.read_signed_out)]
        if refresh_token is not None:
            steps.append(_revocation(pool, access, refresh_token))
        yield from self._launch(access, steps, access.encoded)

    def _launch(self, access: VerifiedToken, steps: "list[Step]", secret: bytes) -> Flow[None]:
        key = ("revoke", steps[0].request.url, secret)
        asked = [(step, self._asking(step, access)) for step in steps]
        flight = Flight(key, lambda now: _carry_out(asked, now), "revocations")
        with suppress(Unreachable):  # out of threads: whoever signs out is signed out all the same
            yield Launch(flight)

    def _asking(self, step: "Step", access: VerifiedToken) -> Asking:
        client = access.client if step.names_client else ""
        caller = Caller(access.pool, client, access.sub, step.is_odd)
        return self._revocations.of(step.request.url, caller)


class Step(NamedTuple):
    """A request, and how its answer is read. `is_odd`: the token in it is none of Cognito's."""

    request: Request
    read: Callable[[Response], Failure | None]
    names_client: bool = False
    is_odd: bool = False


def _carry_out(steps: list[tuple[Step, Asking]], now: float) -> Flow[None]:
    """The flight: one step after the other, each tried a few times, whatever comes of them."""
    for step, asking in steps:
        for pause in (*_TRY_AGAIN, None):
            answer, now = yield from _try(step, asking, now)
            if answer is None or not answer.is_outage or pause is None:
                break
            _, now = yield Pause(pause)


def _try(step: Step, asking: Asking, now: float) -> Flow[tuple[Failure | None, float]]:
    departed = now
    try:
        response, now = yield step.request
        answer, why = step.read(response), f"HTTP status {response.status}"
    except Unreachable as error:
        answer, why, now = UNAVAILABLE, str(error), error.now or now
    return (yield from asking.heed(answer, why, departed, now)), now


def _revocation(pool: PoolApi, access: VerifiedToken, refresh_token: bytes) -> Step:
    client = AppClient(access.client, pool.client_secret)
    request, read = api.revoke_token(pool.endpoint, client, refresh_token), api.read_revoked
    if pool.refresh_api == "oauth" and pool.revoke_url is not None:
        request, read = oauth.revoke(pool.revoke_url, client, refresh_token), oauth.read_failure
    return Step(request, read, names_client=True, is_odd=not _COGNITOS.fullmatch(refresh_token))


def _why(pool: PoolApi, response: Response) -> str:
    """What an outage looks like; and the mend, if it may be an emulator's way to say no."""
    why = f"HTTP status {response.status}"
    if pool.is_amazons or pool.refresh_api != _ROTATING or response.status < 500:
        return why
    return f'{why}; an emulator without {_ROTATING} needs refresh_api="InitiateAuth"'


def _refresh_request(
    pool: PoolApi, access: VerifiedToken, refresh_token: bytes
) -> tuple[Request, Read]:
    client = AppClient(access.client, pool.client_secret)
    device = access.claims.get("device_key")
    device_key = device if isinstance(device, str) else None
    if pool.refresh_api == "oauth" and pool.token_url is not None:
        return oauth.refresh(pool.token_url, client, refresh_token), oauth.read_refreshed
    if pool.refresh_api == "InitiateAuth":
        request = api.initiate_auth_refresh(
            pool.endpoint, client, refresh_token, access.username, device_key
        )
    else:
        request = api.get_tokens_from_refresh_token(
            pool.endpoint, client, refresh_token, device_key
        )
    return request, partial(
        api.read_refreshed, own_client=access.client if pool.is_amazons else None
    )
