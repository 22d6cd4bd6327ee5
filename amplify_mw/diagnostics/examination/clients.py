"""Checks of the app clients: whether they are there, with this secret, and how they refresh.

Rules:
- They are asked with a made-up refresh token or code. No user, no password and no session is
  concerned, and nothing is counted against anybody.
- Refused for the token means accepted as a client. Refused as a client is the fault.
- Answers are read as those to real refreshes are (`cognito.api`, `cognito.oauth`).
"""

from collections.abc import Iterator
from typing import Final

from ...cognito import api, oauth
from ...cognito.api import AppClient, Failure, Refreshed
from ...config.pool import UserPool
from ...models.check import Check, Outcome
from ...sessions.token import TokenSession
from .subject import LATER, Answer, Subject

MADE_UP: Final = b"amplify-mw-doctor-made-up"
_DEFAULT: Final = "GetTokensFromRefreshToken"
_ORDINALS: Final = ("the first one", "the second one")


def app_clients(subject: Subject) -> Iterator[Check]:
    """Each app client, with each secret."""
    for pool in subject.config.user_pools:
        for client_id in pool.client_id or ():
            for number, secret in enumerate(pool.client_secrets or (None,)):
                client = AppClient(client_id, secret)
                request = api.get_tokens_from_refresh_token(pool.api_url, client, MADE_UP)
                which = _ORDINALS[number] if len(pool.client_secrets) > 1 else "it"
                yield from _client(subject, pool, client, which, subject.ask(request))


def _client(
    subject: Subject, pool: UserPool, client: AppClient, which: str, answer: Answer
) -> Iterator[Check]:
    name, failure = "app_client", _failure(answer)
    if failure is None or failure.is_outage:
        yield Check(name, "unknown", f"{client.client_id}: {answer.told}", mend=LATER)
        return
    if failure.code == "ResourceNotFoundException":
        found = f"{client.client_id}: there is none in this pool"
        mend = "correct client_id and user_pool_id: the client is in another pool, or was deleted"
        yield Check(name, "wrong", found, mend=mend)
    elif failure.refuses_client:
        yield Check(name, "ok", client.client_id)
        yield _refused_secret(subject, pool, client, which)
    elif failure.ends_session:
        yield Check(name, "ok", client.client_id)
        found = "none is needed" if client.secret is None else f"{which} is accepted"
        yield Check("client_secret", "ok", f"{client.client_id}: {found}")
    else:  # about the operation, which `refresh_api` tells
        yield Check(name, "unknown", f"{client.client_id}: {failure.code}", mend=failure.mend)


def _refused_secret(subject: Subject, pool: UserPool, client: AppClient, which: str) -> Check:
    name = "client_secret"
    if client.secret is not None:
        found = f"{client.client_id}: {which} is refused"
        mend = "write client_secret=... as Cognito shows it now (client_secret=[new, old] while it "
        return Check(name, "wrong", found, mend=mend + "is being changed)")
    found = f"{client.client_id}: the client has one, and none is configured"
    is_first = client.client_id == (pool.client_id or ("",))[0]
    if _refreshes(subject) and is_first:
        return Check(name, "wrong", found, mend="write client_secret='...' as Cognito shows it")
    return Check(name, "ok", f"{found}; verifying its tokens needs none")


def refresh_api(subject: Subject) -> Iterator[Check]:
    """The way to refresh, for the first client: people sign in with it."""
    if not _refreshes(subject):
        return
    for pool in subject.config.user_pools:
        if pool.client_id:
            secret = next(iter(pool.client_secrets), None)
            answer, failure = _refresh(subject, pool, AppClient(pool.client_id[0], secret))
            yield _told_refresh(pool.refresh_api, answer, failure)


def _refresh(subject: Subject, pool: UserPool, client: AppClient) -> tuple[Answer, Failure | None]:
    """The answer to a refresh in the configured way."""
    if pool.refresh_api == "oauth":
        answer = subject.ask(oauth.refresh(str(pool.token_url), client, MADE_UP))
        read = None if answer.response is None else oauth.read_refreshed(answer.response)
        return answer, read if isinstance(read, Failure) else None
    if pool.refresh_api == "InitiateAuth":
        name = MADE_UP.decode()  # of nobody: it only goes into the SECRET_HASH
        request = api.initiate_auth_refresh(pool.api_url, client, MADE_UP, name)
    else:
        request = api.get_tokens_from_refresh_token(pool.api_url, client, MADE_UP)
    answer = subject.ask(request)
    return answer, _failure(answer)


def _told_refresh(way: str, answer: Answer, failure: Failure | None) -> Check:
    name = "refresh_api"
    if failure is None or failure.is_outage:
        return Check(name, "unknown", f"{way}: {answer.told}", mend=LATER)
    if failure.ends_session or (failure.refuses_client and way != "oauth"):
        return Check(name, "ok", way)
    if failure.code == "ResourceNotFoundException":
        return Check(name, "unknown", way, mend="mend the line of app_client first")
    # The made-up token itself may be malformed to it; of InitiateAuth this is a flow switched off.
    is_doubtful = failure.code == "InvalidParameterException" and way == _DEFAULT
    outcome: Outcome = "unknown" if is_doubtful else "wrong"
    return Check(name, outcome, f"{way}: {failure.code}", mend=failure.mend)


def _failure(answer: Answer) -> Failure | None:
    """The pool's refusal of a made-up refresh token; None if it is no answer of the pool's."""
    if answer.response is None:
        return None
    read: Refreshed | Failure = api.read_refreshed(answer.response)
    return read if isinstance(read, Failure) else None


def _refreshes(subject: Subject) -> bool:
    """Whether a session kind asks the pool for new tokens."""
    session = subject.config.session
    kinds = session if isinstance(session, tuple) else (session,)
    return not all(isinstance(kind, TokenSession) for kind in kinds)
