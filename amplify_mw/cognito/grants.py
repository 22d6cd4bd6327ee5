"""What a refresh token is good for: new tokens, and an end to the sign-in.

Rules:
- The configured API is asked, and no other stands in for it: after a 5xx nobody knows whether the
  refresh token was used up.
- While Cognito throttles or is unavailable, nobody of this process asks for new tokens; see `pace`.
- Only Cognito's word that the sign-in is over ends a session (`Failure.ends_session`).
- Revoking is not waited for: no sign-out is delayed by a Cognito that cannot be reached. Whoever
  signs out is signed out here whatever Cognito says.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from ..effects import (
    Ask,
    Flight,
    Flow,
    Launch,
    Meanwhile,
    Pause,
    Request,
    Response,
    Unreachable,
)
from ..tokens.verifier import VerifiedToken
from . import api, oauth
from .api import UNAVAILABLE, AppClient, Failure, Refreshed
from .pace import Pace, Paces

Read = Callable[[Response], Refreshed | Failure]


_TRY_AGAIN: Final = (1.0, 4.0)  # seconds to wait before a revocation is sent again
_UNREVOKED: Final = "what was copied of sessions that end now may live on"


class PoolApi(NamedTuple):
    """Where a pool is asked, how, and with which secret."""

    endpoint: str
    refresh_api: str
    client_secret: str | None
    token_url: str | None
    revoke_url: str | None

    def __repr__(self) -> str:
        return f"<PoolApi {self.endpoint}>"


class Grants:
    """Asks the pools (by issuer) for new tokens, and revokes."""

    def __init__(self, pools: Mapping[str, PoolApi]) -> None:
        self._pools = pools
        self._refreshes = Paces("token refresh", ("throttled", "cognito_unavailable"))
        self._revocations = Paces("token revocation", meanwhile=_UNREVOKED)

    def refresh(
        self, access: VerifiedToken, refresh_token: bytes, meanwhile: tuple[float, Ask], now: float
    ) -> Flow[tuple[Refreshed | Failure, float]]:
        """A flow, in a flight: new tokens, or what hindered, and when that was known.

        `access`: the access token that they are to replace. `meanwhile`: what to ask a store every
        so many seconds until there is an answer.
        """
        pool = self._pools[access.issuer]
        pace = self._refreshes.of(pool.endpoint)
        if pace.is_paused(now):
            return pace.meanwhile(now), now
        request, read = _refresh_request(pool, access, refresh_token)
        departed = now
        try:
            response, now = yield Meanwhile(request, *meanwhile)
            answer, why = read(response), f"HTTP status {response.status}"
        except Unreachable as error:
            answer, why, now = UNAVAILABLE, str(error), error.now or now
        return (yield from pace.heed(answer, why, departed, now)), now

    def revoke(self, access: VerifiedToken, refresh_token: bytes) -> Flow[None]:
        """A flow: have a sign-in's tokens revoked, without waiting."""
        pool = self._pools[access.issuer]
        steps = [_revocation(pool, access, refresh_token)]
        yield from self._launch(pool, steps, refresh_token)

    def sign_out_everywhere(self, access: VerifiedToken, refresh_token: bytes | None) -> Flow[None]:
        """A flow: have all of a user's tokens revoked, without waiting.

        One after the other: with its sign-in the access token is revoked, and may ask no more.
        """
        pool = self._pools[access.issuer]
        steps = [Step(api.global_sign_out(pool.endpoint, access.encoded), api.read_failure)]
        if refresh_token is not None:
            steps.append(_revocation(pool, access, refresh_token))
        yield from self._launch(pool, steps, access.encoded)

    def _launch(self, pool: PoolApi, steps: "list[Step]", secret: bytes) -> Flow[None]:
        pace = self._revocations.of(pool.endpoint)
        key = ("revoke", pool.endpoint, secret)
        flight = Flight(key, lambda now: _carry_out(steps, pace, now), "revocations")
        with suppress(Unreachable):  # out of threads: whoever signs out is signed out all the same
            yield Launch(flight)


class Step(NamedTuple):
    """A request, and how its answer is read."""

    request: Request
    read: Callable[[Response], Failure | None]


def _carry_out(steps: list[Step], pace: Pace, now: float) -> Flow[None]:
    """The flight: one step after the other, each tried a few times, whatever comes of them."""
    for step in steps:
        for pause in (*_TRY_AGAIN, None):
            answer, now = yield from _try(step, pace, now)
            if answer is None or not answer.is_outage or pause is None:
                break
            _, now = yield Pause(pause)


def _try(step: Step, pace: Pace, now: float) -> Flow[tuple[Failure | None, float]]:
    departed = now
    try:
        response, now = yield step.request
        answer, why = step.read(response), f"HTTP status {response.status}"
    except Unreachable as error:
        answer, why, now = UNAVAILABLE, str(error), error.now or now
    return (yield from pace.heed(answer, why, departed, now)), now


def _revocation(pool: PoolApi, access: VerifiedToken, refresh_token: bytes) -> Step:
    client = AppClient(access.client, pool.client_secret)
    if pool.refresh_api == "oauth" and pool.revoke_url is not None:
        return Step(oauth.revoke(pool.revoke_url, client, refresh_token), oauth.read_failure)
    return Step(api.revoke_token(pool.endpoint, client, refresh_token), api.read_failure)


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
    return request, api.read_refreshed
