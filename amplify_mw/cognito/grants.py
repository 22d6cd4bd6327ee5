"""Using a refresh token: get new tokens, or revoke the sign-in.

Rules:
- Only the configured API is asked, in the pool's Regions (see `regions`). There is no fallback to
  another API. After a lost answer or a 5xx the refresh token may be used up.
- While Cognito throttles, is unavailable or refuses the set-up, this process makes no further calls
  for the users concerned (see `pace`).
- A session ends only if Cognito says that the sign-in is over (`Failure.ends_session`). Its refusal
  of a malformed refresh token counts too.
- Revoking is not waited for: an unreachable Cognito delays no sign-out, and the user is signed out
  here in any case. The operator is told of a set-up that cannot revoke.
- A sign-out ends the pool's single sign-on session too (`LINKED`). No other revocation does: the
  sign-in that replaces an old session may have come through the same one. An endpoint that refuses
  this is asked once more without it. If that helps, later sign-outs go without it. Amazon's own is
  asked with it all the same: it may have refused a new secret, of which not all its servers knew.
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
    Operation,
    Pause,
    Report,
    Request,
    Response,
    Unreachable,
)
from ..errors import Reason
from ..events import Revoked
from . import api, ending, oauth
from .api import AppClient, Failure, Refreshed
from .pace import Caller, Paces
from .regions import Call, Regions, Said, Secrets, Settling, exchange, plain_call, within
from .verifier import VerifiedToken

_TRY_AGAIN: Final = (1.0, 4.0)  # seconds to wait before a revocation is sent again
# After each of these there are no calls for a while, for the users concerned.
_PAUSING: Final[tuple[Reason, ...]] = (
    *("throttled", "cognito_unavailable", "cognito_misconfigured"),
    *("firewall_blocked", "trigger_failed", "cognito_error"),
)
_PAUSING_LISTS: Final = _PAUSING[:4]  # those that concern more than one user
_ROTATING: Final = "GetTokensFromRefreshToken"
_COGNITOS: Final = re.compile(rb"[A-Za-z0-9_=.-]{1,4096}")  # TokenModelType of its service model
_INVALID_PARAMETER: Final = "InvalidParameterException"
_INVALID_TOKEN: Final = api.FAILURES["GetTokensFromRefreshToken"]["NotAuthorizedException"]
_REVOKE: Final = Operation("revoke", lambda failure: failure or None)
_UNREVOKED: Final = "what was copied of sessions that end now may live on"


class PoolApi(NamedTuple):
    """A pool's endpoints (its own Region's first), refresh API and client secrets.

    `is_amazons`: the endpoints are Amazon's own, in the pool's Regions, and not an emulator.
    """

    endpoints: tuple[str, ...]
    refresh_api: str
    client_secrets: tuple[str, ...]
    token_url: str | None
    revoke_url: str | None
    is_amazons: bool = False

    def __repr__(self) -> str:
        return f"<PoolApi {' '.join(self.endpoints)}>"


class Grants:
    """Refreshes and revokes tokens at the pools (by issuer).

    `sign_ins`: carries out the code exchange in the sign-in routes. `user_sessions`: the calls
    about Cognito's own sessions. `settling`: shared with `AttributeSource`.
    """

    def __init__(self, pools: Mapping[str, PoolApi], settling: Settling) -> None:
        self._pools = pools
        self._secrets = {pool: Secrets(pool.client_secrets) for pool in pools.values()}
        self._refreshes = Regions(Paces("token refresh", _PAUSING, name="refresh"), settling)
        self._revocations = Regions(Paces("token revocation", (), _UNREVOKED, name="revoke"))
        self._unlinked: set[str] = set()  # endpoints that do not know `LINKED`
        meanwhile = "sign-ins come to nothing meanwhile"
        paces = Paces("sign-in", (), meanwhile, name="code_exchange")
        self.sign_ins: Regions = Regions(paces)
        meanwhile = "none is listed or ended meanwhile"
        paces = Paces("session list", _PAUSING_LISTS, meanwhile, name="list_sessions")
        self.user_sessions: Regions = Regions(paces)

    def secrets_of(self, issuer: str) -> Secrets:
        """The secrets of the app client of a pool, with the memory of the one that works."""
        return self._secrets[self._pools[issuer]]

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
        pool, is_odd = self._pools[access.issuer], not _COGNITOS.fullmatch(refresh_token)
        is_oauth = pool.refresh_api == "oauth" and pool.token_url is not None
        places = (str(pool.token_url),) if is_oauth else pool.endpoints

        def talk(place: str, secret: str | None, patience: float) -> Flow[Said[Refreshed]]:
            client = AppClient(access.client, secret)
            request, read = _refresh_request(pool, place, client, access, refresh_token)
            response, now = yield Meanwhile(within(request, patience), *meanwhile)
            answer = read(response)
            if is_odd and isinstance(answer, Failure) and answer.code == _INVALID_PARAMETER:
                answer = _INVALID_TOKEN
            return Said(answer, _why(pool, response), now)

        caller = Caller(access.pool, access.client, access.sub, is_odd)
        call = Call(places, talk, self._secrets[pool])
        return (yield from self._refreshes.ask(call, caller, now))

    def revoke(self, access: VerifiedToken, refresh_token: bytes) -> Flow[None]:
        """Revoke a sign-in's tokens, without waiting. Not for a sign-out."""
        steps = [self._revocation(access, refresh_token, at_sign_out=False)]
        yield from self._launch("alone", refresh_token, access, steps)

    def sign_out(self, access: VerifiedToken, refresh_token: bytes) -> Flow[None]:
        """Revoke a sign-in's tokens and its single sign-on session, without waiting."""
        steps = [self._revocation(access, refresh_token, at_sign_out=True)]
        yield from self._launch("at sign-out", refresh_token, access, steps)

    def sign_out_everywhere(self, access: VerifiedToken, refresh_token: bytes | None) -> Flow[None]:
        """Revoke all tokens of a user, without waiting.

        This sign-in comes last: revoking it revokes the access token, too.
        """
        call = plain_call(
            self._pools[access.issuer].endpoints,
            lambda place: ending.global_sign_out(place, access.encoded),
            ending.read_signed_out,
        )
        steps = [Step(call, Caller(access.pool, sub=access.sub))]
        if refresh_token is not None:
            steps.append(self._revocation(access, refresh_token, at_sign_out=True))
        yield from self._launch("everywhere", access.encoded, access, steps)

    def _launch(
        self, how: str, token: bytes, access: VerifiedToken, steps: "list[Step]"
    ) -> Flow[None]:
        key = ("revoke", how, token)
        carry_out = partial(self._carry_out, access, steps)
        flight = Flight(key, carry_out, "revocations", _REVOKE)
        with suppress(Unreachable):  # out of threads: the user is signed out all the same
            yield Launch(flight)

    def _carry_out(self, access: VerifiedToken, steps: "list[Step]", now: float) -> Flow[str]:
        """The flight: one step after another, each tried a few times. A failure stops no other.

        The result is why one of them has failed; "" if none has.
        """
        failure = ""
        for call, caller in steps:
            for pause in (*_TRY_AGAIN, None):
                answer, now = yield from self._revocations.ask(call, caller, now)
                if answer is None or not answer.is_outage or pause is None:
                    break
                _, now = yield Pause(pause)
            done, reason = answer is None, "" if answer is None else answer.reason
            failure = failure or reason
            everywhere, who = not caller.client, (access.pool, access.client, access.sub)
            yield Report(Revoked(done, reason, everywhere, *who))
        return failure

    def _revocation(
        self, access: VerifiedToken, refresh_token: bytes, *, at_sign_out: bool
    ) -> "Step":
        pool = self._pools[access.issuer]

        def talk(place: str, secret: str | None, patience: float) -> Flow[Said[None]]:
            client = AppClient(access.client, secret)
            if is_oauth:  # which knows no `LINKED`
                request = within(oauth.revoke(place, client, refresh_token), patience)
                return (yield from exchange(request, oauth.read_failure))
            request = within(ending.revoke_token(place, client, refresh_token), patience)
            if at_sign_out and place not in self._unlinked:
                linked = ending.revoke_token(place, client, refresh_token, linked=True)
                said = yield from exchange(within(linked, patience), ending.read_revoked)
                if not ending.may_lack_linked(said.answer):
                    return said
            said = yield from exchange(request, ending.read_revoked)
            if at_sign_out and said.answer is None and not pool.is_amazons:
                self._unlinked.add(place)
            return said

        is_oauth = pool.refresh_api == "oauth" and pool.revoke_url is not None
        places = (str(pool.revoke_url),) if is_oauth else pool.endpoints
        is_odd = not _COGNITOS.fullmatch(refresh_token)
        caller = Caller(access.pool, access.client, access.sub, is_odd)
        return Step(Call(places, talk, self._secrets[pool]), caller)


class Step(NamedTuple):
    """A call that ends sign-ins. If its caller has no app client, it ends all of a user."""

    call: Call[None]
    caller: Caller


def _why(pool: PoolApi, response: Response) -> str:
    """The description of an outage; with the remedy, if it may be an emulator's refusal."""
    why = f"HTTP status {response.status}"
    if pool.is_amazons or pool.refresh_api != _ROTATING or response.status < 500:
        return why
    return f'{why}; an emulator without {_ROTATING} needs refresh_api="InitiateAuth"'


def _refresh_request(
    pool: PoolApi, place: str, client: AppClient, access: VerifiedToken, refresh_token: bytes
) -> tuple[Request, Callable[[Response], Refreshed | Failure]]:
    device = access.claims.get("device_key")
    device_key = device if isinstance(device, str) else None
    if pool.refresh_api == "oauth" and pool.token_url is not None:
        return oauth.refresh(place, client, refresh_token), oauth.read_refreshed
    if pool.refresh_api == "InitiateAuth":
        request = api.initiate_auth_refresh(
            place, client, refresh_token, access.username, device_key
        )
    else:
        request = api.get_tokens_from_refresh_token(place, client, refresh_token, device_key)
    return request, partial(
        api.read_refreshed, own_client=access.client if pool.is_amazons else None
    )
