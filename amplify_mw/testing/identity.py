"""`signed_in` and the like: set the user of a unit test, without cookie, middleware or pool.

    signed_in           a user
    signed_in_machine   a machine, with a Bearer token
    signed_out          nobody

Rules:
- They win over every middleware inside them. At the end of the block everything is as before: the
  block is the request, and a task that outlives it has no user.
- The tokens have the shape of Cognito's and an invalid signature.
"""

import json
import os
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from ..authenticator import Visit
from ..cognito.attributes import SELF_SERVICE_SCOPE
from ..config.config import AmplifyConfig
from ..engine.context import bind, unbind
from ..engine.engine import Engine
from ..models import AuthUser
from ..models.machine import Machine
from ..sessions.verdicts import NO_SESSION, KnownMachine, SignedIn, Verdict

_CONFIG: Final = AmplifyConfig(
    user_pool_id="us-east-1_SignedIn",
    client_id="signed-in",
    handover_keys=[os.urandom(32)],  # for hand-overs within a test
)

_LIFETIME: Final = 3600  # seconds


@contextmanager
def signed_in(
    username: str,
    *,
    groups: Iterable[str] = (),
    scopes: Iterable[str] = (SELF_SERVICE_SCOPE,),
    attributes: Mapping[str, str] | None = None,
    claims: Mapping[str, Any] | None = None,
    acr: str | None = None,
    auth_time: float | None = None,
    **more_attributes: str,
) -> Iterator[AuthUser]:
    """Make the verbs answer as if `username` were signed in; yields the `AuthUser`.

    Attributes are keyword arguments (`email="ada@example.com"`), or a mapping for names such as
    `custom:plan`. `user_id` is the attribute `sub`, by default one made from the name alone.
    `fetch_user_attributes` returns them with any `scopes`; only the guards look at those.

    `auth_time`: when the user has signed in, in seconds since the epoch as in the tokens; default:
    just now. `time.time() - 3600` is an hour ago. `acr`: how, such as "urn:mfa"; default: the
    tokens do not say. `claims`: more members of both tokens.

    >>> from amplify_mw import get_current_user
    >>> with signed_in("ada", email="ada@example.com"):
    ...     get_current_user().username
    'ada'
    """
    values = {**(attributes or {}), **more_attributes}
    refuse_other_types(values, groups=groups, scopes=scopes)
    more = claims_of_sign_in(claims, acr, auth_time)
    values.setdefault("sub", str(uuid.uuid5(uuid.NAMESPACE_URL, username)))
    user = AuthUser(username, values["sub"], groups=tuple(groups))
    with _bound(_verdict(user, values, scopes, more), values):
        yield user


@contextmanager
def signed_in_machine(client_id: str, *, scopes: Iterable[str] = ()) -> Iterator[Machine]:
    """Make the verbs answer as in a request with a machine's Bearer token; yields the `Machine`.

    >>> from amplify_mw import get_current_principal
    >>> with signed_in_machine("orders-job", scopes=["orders/write"]):
    ...     get_current_principal().client_id
    'orders-job'
    """
    refuse_other_types({}, "signed_in_machine", scopes=scopes)
    machine = Machine(client_id, frozenset(scopes))
    ends_at = time.time() + _LIFETIME
    verdict = KnownMachine(
        machine,
        pool=_CONFIG.user_pools[0].user_pool_id,
        access_token=b"",
        expires_at=ends_at,
        fresh_until=ends_at,
        size=0,
    )
    with _bound(verdict):
        yield machine


def refuse_other_types(
    attributes: Mapping[str, object], verb: str = "signed_in", **lists: object
) -> None:
    """Raise `TypeError` for a text in place of a list, and for an attribute that is no text."""
    for name, value in lists.items():
        if isinstance(value, str):
            raise TypeError(f"{verb}: {name} is a list; write {name}=[{value!r}]")
    for name, value in attributes.items():
        if not isinstance(value, str):
            raise TypeError(
                f"{verb}: the attribute {name!r} is text, such as 'true' or '42'; got {value!r}"
            )


def claims_of_sign_in(
    claims: Mapping[str, Any] | None,
    acr: str | None,
    auth_time: float | None,
    verb: str = "signed_in",
) -> dict[str, Any]:
    """The claims of a test's user beside the usual ones. Raises `TypeError`."""
    found = dict(claims or {})
    if acr is not None:
        if not isinstance(acr, str):
            raise TypeError(f"{verb}: acr is one text, such as 'urn:mfa'; got {acr!r}")
        found["acr"] = acr
    if auth_time is not None:
        if isinstance(auth_time, bool) or not isinstance(auth_time, int | float):
            raise TypeError(
                f"{verb}: auth_time is in seconds since the epoch, as in a token; write "
                f"time.time() - 3600 for a sign-in an hour ago; got {auth_time!r}"
            )
        found["auth_time"] = int(auth_time)
    return found


@contextmanager
def signed_out() -> Iterator[None]:
    """Make the verbs answer as in a request without a session.

    >>> from amplify_mw import handle_server_auth
    >>> with signed_out():
    ...     handle_server_auth()["error"]
    'User not authenticated'
    """
    with _bound(NO_SESSION):
        yield


@contextmanager
def _bound(verdict: Verdict, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
    engine = Engine.of(_CONFIG)  # held here: a shared engine lives as long as somebody uses it
    visit = Visit.pin(engine.authenticator, verdict, attributes)
    token = bind(visit)
    try:
        yield
    finally:
        visit.end()
        unbind(token)


def _verdict(
    user: AuthUser,
    attributes: Mapping[str, str],
    scopes: Iterable[str],
    claims: Mapping[str, Any],
) -> SignedIn:
    scopes, now = frozenset(scopes), int(time.time())
    expires_at = now + _LIFETIME
    issuer = _CONFIG.user_pools[0].iss
    common = {
        "sub": user.user_id,
        "iss": issuer,
        "exp": expires_at,
        "cognito:groups": list(user.groups),
        "auth_time": now,
        **claims,
    }
    id_claims = {**attributes, **common, "cognito:username": user.username, "token_use": "id"}
    access_claims = {**common, "username": user.username, "token_use": "access"}
    return SignedIn(
        user=user,
        cookie=b"",
        issuer=issuer,
        pool=_CONFIG.user_pools[0].user_pool_id,
        id_token=_token(id_claims),
        access_token=_token({**access_claims, "scope": " ".join(sorted(scopes))}),
        scopes=scopes,
        expires_at=expires_at,
        fresh_until=expires_at,
        size=0,
    )


def _token(claims: Mapping[str, Any]) -> bytes:
    segments = (json.dumps({"alg": "RS256"}), json.dumps(claims), "this is no signature")
    return b".".join(urlsafe_b64encode(part.encode()).rstrip(b"=") for part in segments)
