"""Using a refresh token: get new tokens, or revoke the sign-in.

Rules:
- Only the configured API is asked. There is no fallback: after a 5xx the refresh token may be used
  up.
- While Cognito throttles, is unavailable or refuses the set-up, this process makes no further calls
  for the users concerned (see `pace`).
- A session ends only if Cognito says that the sign-in is over (`Failure.ends_session`). Its refusal
  of a malformed refresh token counts too.
- Revoking is not waited for: an unreachable Cognito delays no sign-out, and the user is signed out
  here in any case. The operator is told of a set-up that cannot revoke.
- A sign-out ends the pool's single sign-on session too (`LINKED`). No other revocation does: the
  sign-in that replaces an old session may have come through the same one. An endpoint that refuses
  this is asked once more without it. If that helps, later sign-outs go without it.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from ..effects import (
    Ask,
    Flight,
    Flow,
    Launch,
    Meanwhile,
    Pause,
    Report,
    Request,
    Response,
    Unreachable,
)
from ..errors import Reason
from ..events import Revoked
from . import api, ending, oauth
from .api import UNAVAILABLE, AppClient, Failure, Refreshed
from .pace import Asking, Caller, Paces
from .verifier import VerifiedToken

Read = Callable[[Response], Refreshed | Failure]


_TRY_AGAIN: Final = (1.0, 4.0)  # seconds to wait before a revocation is sent again
# After each of these there are no calls for a while, for the users concerned.
_PAUSING: Final[tuple[Reason, ...]] = (
    *("throttled", "cognito_unavailable", "cognito_misconfigured"),
    *("firewall_blocked", "trigger_failed", "cognito_error"),
)
_PAUSING_LISTS: Final = _PAUSING[:4]  # those that concern more than one user
_ROTATING: Final = "GetTokensFromRefreshToken"
_COGNITOS: Final = re.compile(rb"[A-Za-z0-9_=.-]{1,4096}")  # TokenModelType of its service model
_INVALID_TOKEN: Final = api.FAILURES["GetTokensFromRefreshToken"]["NotAuthorizedException"]
_UNREVOKED: Final = "what was copied of sessions that end now may live on"


class PoolApi(NamedTuple):
    """A pool's endpoints, refresh API and client secret.

    `is_amazons`: the endpoint is Amazon's own, in the pool's Region, and not an emulator.
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
    """Refreshes and revokes tokens at the pools (by issuer).

    `sign_ins`: the paces of the code exchange in the sign-in routes. `user_sessions`: those of
    lists of Cognito's own sessions.
    """

    def __init__(self, pools: Mapping[str, PoolApi]) -> None:
        self._pools = pools
        self._refreshes = Paces("token refresh", _PAUSING)
        self._revocations = Paces("token revocation", meanwhile=_UNREVOKED)
        self._unlinked: set[str] = set()  # endpoints that do not know `LINKED`
        self.sign_ins: Paces = Paces("sign-in", (), "sign-ins come to nothing meanwhile")
        self.user_sessions: Paces = Paces(
            "user sessions", _PAUSING_LISTS, "none is listed or ended meanwhile"
        )

    def refresh(
        self,
        access: VerifiedToken,
        refresh_token: bytes,
        meanwhile: tuple[float, Ask[bool]],
        now: float,
    ) -> Flow[tuple[Refreshed | Failure, float]]:
        """Inside a flight: new tokens or the failure, and the time of the answer.

        `access`: the old access token. `meanwhile`: a call to a store, repeated every so many
        seconds until there is an answer.
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
        """Revoke a sign-in's tokens, without waiting. Not for a sign-out."""
        pool = self._pools[access.issuer]
        yield from self._launch(access, [_revocation(pool, access, refresh_token)], refresh_token)

    def sign_out(self, access: VerifiedToken, refresh_token: bytes) -> Flow[None]:
        """Revoke a sign-in's tokens and its single sign-on session, without waiting."""
        pool = self._pools[access.issuer]
        step = _revocation(pool, access, refresh_token, at_sign_out=True)
        yield from self._launch(access, [step], refresh_token)

    def sign_out_everywhere(self, access: VerifiedToken, refresh_token: bytes | None) -> Flow[None]:
        """Revoke all tokens of a user, without waiting.

        This sign-in comes last: revoking it revokes the access token, too.
        """
        pool = self._pools[access.issuer]
        steps = [
            Step(ending.global_sign_out(pool.endpoint, access.encoded), ending.read_signed_out)
        ]
        if refresh_token is not None:
            steps.append(_revocation(pool, access, refresh_token, at_sign_out=True))
        yield from self._launch(access, steps, access.encoded)

    def _launch(self, access: VerifiedToken, steps: "list[Step]", secret: bytes) -> Flow[None]:
        key = ("revoke", steps[0].request.url, secret, steps[-1].linked is not None)
        asked = [(step, self._asking(step, access)) for step in steps]
        flight = Flight(
            key, lambda now: _carry_out(access, asked, self._unlinked, now), "revocations"
        )
        with suppress(Unreachable):  # out of threads: the user is signed out all the same
            yield Launch(flight)

    def _asking(self, step: "Step", access: VerifiedToken) -> Asking:
        client = access.client if step.names_client else ""
        caller = Caller(access.pool, client, access.sub, step.is_odd)
        return self._revocations.of(step.request.url, caller)


class Step(NamedTuple):
    """A request, and the reader of its answer. `is_odd`: Cognito cannot have issued its token.

    `linked`: the same request with `LINKED`, to be preferred.
    """

    request: Request
    read: Callable[[Response], Failure | None]
    names_client: bool = False
    is_odd: bool = False
    linked: Request | None = None


def _carry_out(
    access: VerifiedToken, steps: list[tuple[Step, Asking]], unlinked: set[str], now: float
) -> Flow[None]:
    """The flight: one step after the other, each tried a few times. Failures stop none of them."""
    for step, asking in steps:
        for pause in (*_TRY_AGAIN, None):
            answer, now = yield from _try(step, asking, unlinked, now)
            if answer is None or not answer.is_outage or pause is None:
                break
            _, now = yield Pause(pause)
        everywhere, reason = not step.names_client, "" if answer is None else answer.reason
        event = Revoked(answer is None, reason, everywhere, access.pool, access.client, access.sub)
        yield Report(event)


def _try(
    step: Step, asking: Asking, unlinked: set[str], now: float
) -> Flow[tuple[Failure | None, float]]:
    """Send a request. `unlinked`: the endpoints that do not know `LINKED`, to be noted there."""
    departed, url = now, step.request.url
    linked = None if url in unlinked else step.linked
    try:
        response, now = yield linked or step.request
        answer, why = step.read(response), f"HTTP status {response.status}"
        if linked is not None and ending.may_lack_linked(answer):
            response, now = yield step.request
            answer, why = step.read(response), f"HTTP status {response.status}"
            if answer is None:
                unlinked.add(url)
    except Unreachable as error:
        answer, why, now = UNAVAILABLE, str(error), error.now or now
    return (yield from asking.heed(answer, why, departed, now)), now


def _revocation(
    pool: PoolApi, access: VerifiedToken, refresh_token: bytes, *, at_sign_out: bool = False
) -> Step:
    client = AppClient(access.client, pool.client_secret)
    is_odd = not _COGNITOS.fullmatch(refresh_token)
    if pool.refresh_api == "oauth" and pool.revoke_url is not None:  # which knows no `LINKED`
        request = oauth.revoke(pool.revoke_url, client, refresh_token)
        return Step(request, oauth.read_failure, names_client=True, is_odd=is_odd)
    revoke = partial(ending.revoke_token, pool.endpoint, client, refresh_token)
    linked = revoke(linked=True) if at_sign_out else None
    return Step(revoke(), ending.read_revoked, names_client=True, is_odd=is_odd, linked=linked)


def _why(pool: PoolApi, response: Response) -> str:
    """The description of an outage; with the remedy, if it may be an emulator's refusal."""
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
