"""`signed_in`: a user for unit tests, without cookie, middleware or pool.

Rules:
- It wins over every middleware inside it, and takes its binding back when the block ends.
- Its tokens have the shape of Cognito's and a signature that no verifier accepts.
"""

import json
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from ..authenticator import Visit
from ..cognito.attributes import SELF_SERVICE_SCOPE
from ..config import AmplifyConfig
from ..context import CURRENT
from ..engine import Engine
from ..models import AuthUser
from ..sessions.base import SignedIn

_CONFIG: Final = AmplifyConfig(user_pool_id="us-east-1_SignedIn", client_id="signed-in")


@contextmanager
def signed_in(
    username: str,
    *,
    groups: Iterable[str] = (),
    scopes: Iterable[str] = (SELF_SERVICE_SCOPE,),
    attributes: Mapping[str, str] | None = None,
    **more_attributes: str,
) -> Iterator[AuthUser]:
    """Make the verbs answer as if `username` were signed in; yields the `AuthUser`.

    Attributes are keyword arguments (`email="ada@example.com"`), or a mapping for names such as
    `custom:plan`. `user_id` is the attribute `sub`, by default one that depends on the name alone.

    >>> from amplify_mw import get_current_user
    >>> with signed_in("ada", email="ada@example.com"):
    ...     get_current_user().username
    'ada'
    """
    values = {**(attributes or {}), **more_attributes}
    values.setdefault("sub", str(uuid.uuid5(uuid.NAMESPACE_URL, username)))
    user = AuthUser(username, values["sub"])
    # The engine is held here: a registered engine lives as long as somebody uses it.
    engine = Engine.of(_CONFIG)
    visit = Visit(engine.authenticator, _verdict(user, values, groups, scopes))
    visit.pinned = True
    visit.attributes = values
    token = CURRENT.set(visit)
    try:
        yield user
    finally:
        CURRENT.reset(token)


def _verdict(
    user: AuthUser, attributes: Mapping[str, str], groups: Iterable[str], scopes: Iterable[str]
) -> SignedIn:
    groups, scopes = frozenset(groups), frozenset(scopes)
    expires_at = int(time.time()) + 3600
    issuer = _CONFIG.user_pools[0].iss
    common = {
        "sub": user.user_id,
        "iss": issuer,
        "exp": expires_at,
        "cognito:groups": sorted(groups),
    }
    id_claims = {**attributes, **common, "cognito:username": user.username, "token_use": "id"}
    access_claims = {**common, "username": user.username, "token_use": "access"}
    return SignedIn(
        user=user,
        cookie=b"",
        issuer=issuer,
        id_token=_token(id_claims),
        access_token=_token({**access_claims, "scope": " ".join(sorted(scopes))}),
        groups=groups,
        scopes=scopes,
        expires_at=expires_at,
        fresh_until=expires_at,
        size=0,
    )


def _token(claims: Mapping[str, Any]) -> bytes:
    segments = (json.dumps({"alg": "RS256"}), json.dumps(claims), "this is no signature")
    return b".".join(urlsafe_b64encode(part.encode()).rstrip(b"=") for part in segments)
