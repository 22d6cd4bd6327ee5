"""`hand_over_user` in a request, and `acting_as` in the job started by it.

Rules:
- What is handed over is an identity (see `sessions.handover`): it outlives the request, the tokens
  and a sign-out, until its own time is over. Then `acting_as` raises, and so does every verb in a
  block still running.
- The block's user is the block's alone. What was bound before is bound again after it, even if the
  job runs within a request; task queues run the next job in the same context.
- A job cannot hand its user on for longer than it has it.
- In a test's `signed_in`, hand-overs of that test's user open too, and nowhere else.
"""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, NoReturn

from ..authenticator import Authenticator, Visit
from ..config.config import AmplifyConfig
from ..credentials import HandoverSource
from ..engine.context import bind, bound, current_visit, signed_in_verdict, unbind
from ..engine.reporting import report_refusal
from ..errors import AuthError, ConfigurationError, NotAuthorizedException, check_number
from ..models import AuthUser
from ..needs import claims as claims_of
from ..sessions.handed import HandedOver, expired
from ..sessions.handover import IV, Handovers
from .user_of import home_of

LONGEST: Final = 7 * 86_400.0  # seconds


def hand_over_user(*, expires_in: float = 3600.0, claims: Iterable[str] = ()) -> str:
    """The signed-in user as text, for a job outside of this request: see `acting_as`.

    It holds the user's name, id and groups, sealed, and no token. It does not end with the session:
    for `expires_in` seconds (default: an hour; from 1 second to 7 days) any job with this text and
    this configuration acts as the user. `claims`: the names of claims for `get_claim`.

    Needs keys that the workers have as well: those of the `SealedSession` or of the `AuthRoutes`,
    or `AmplifyConfig(handover_keys=[...])`. Raises the errors of `get_current_user`. A job can hand
    its user on, for no longer than it has it. Never waits.

    >>> from amplify_mw.testing import signed_in
    >>> with signed_in("ada"):
    ...     text = hand_over_user(expires_in=600)
    >>> len(text) < 400
    True
    """
    check_number("hand_over_user: expires_in", expires_in, 1, LONGEST)
    if isinstance(claims, str):
        raise ConfigurationError(f"hand_over_user: write claims=[{claims!r}], a list")
    visit = current_visit()
    verdict = signed_in_verdict(visit)
    test = _test_around(visit) if visit.pinned else None
    handovers = _handovers(visit.home if test is None else test.home)
    expires_at = math.ceil(visit.now() + expires_in)
    if isinstance(verdict, HandedOver):
        expires_at = min(expires_at, math.floor(verdict.expires_at))
    names = tuple(claims)
    known = claims_of(verdict) if names else {}
    handed = {name: known.get(name) for name in names}
    try:
        return handovers.seal(
            verdict.user, verdict.pool, handed, expires_at=expires_at, iv=os.urandom(IV)
        )
    except ValueError as error:
        raise ValueError("hand_over_user: the claims are too large: hand over fewer") from error


@contextmanager
def acting_as(handed_over: str, config: AmplifyConfig) -> Iterator[AuthUser]:
    """Run a block as a user handed over by `hand_over_user`; yields the `AuthUser`.

        def job(handed_over):
            with acting_as(handed_over, config) as user:
                ...

    For code outside of a request, such as a task of Celery, dramatiq or RQ; in async code too.
    `get_current_user`, `user_or_none`, `get_claim` and `require_auth` work in the block, as far as
    what they need was handed over. For anything else (tokens, attributes, scopes, the session, a
    fresh sign-in) they raise `NotHandedOverError`.

    `config`: one with the same user pool and keys. Raises `NotAuthorizedException`
    (`invalid_handover`), and `TokenExpiredException` (`handover_expired`) once its time is over, as
    do the functions in the block.
    """
    if not isinstance(handed_over, str):
        raise TypeError(
            "acting_as: write the text of hand_over_user(); there is a "
            f"{type(handed_over).__name__}"
        )
    home, test = home_of(config), _test_around(bound())
    verdict = _handovers(home).open(handed_over)
    if verdict is None and test is not None:
        home = test.home
        verdict = _handovers(home).open(handed_over)
    if verdict is None:
        _refuse(home, _invalid())
    if home.runner.clock() >= verdict.expires_at:
        _refuse(home, expired())
    visit = Visit.of(home, verdict, outer=test)
    visit.source = HandoverSource(home.source)
    visit.outlive()
    token = bind(visit)
    try:
        yield verdict.user
    finally:
        visit.end()
        if bound() is visit:  # else a generator with this block is closed within another request
            unbind(token)


def _refuse(home: Authenticator, error: AuthError) -> NoReturn:
    visit = Visit.of(home, home.nobody)
    visit.source = HandoverSource(home.source)
    report_refusal(visit, error.reason, error.status_code, at="acting_as")
    raise error


def _invalid() -> NotAuthorizedException:
    return NotAuthorizedException(
        "This hand-over does not count here: it was changed, or sealed for another user pool, or "
        "with another key than those of this configuration.",
        reason="invalid_handover",
        recovery_suggestion="Give the workers the keys and the user pool of the web app.",
    )


def _test_around(visit: Visit | None) -> Visit | None:
    """The visit of a test's `signed_in` around this code, or around a request within it."""
    found = None
    while visit is not None:
        found = visit if visit.pinned else found
        visit = visit.outer
    return found


def _handovers(home: Authenticator) -> Handovers:
    keys = home.config.keys_for_handovers
    if not keys:
        raise ConfigurationError(
            "handover_keys: a user is handed over sealed; write "
            "AmplifyConfig(handover_keys=['...']), as `amplify-mw keygen` prints one; the web app "
            "and the workers need the same"
        )
    return _made(keys, tuple((pool.user_pool_id, pool.iss) for pool in home.config.user_pools))


@lru_cache(maxsize=16)
def _made(keys: tuple[bytes, ...], pools: tuple[tuple[str, str], ...]) -> Handovers:
    return Handovers(keys, dict(pools))
