"""A hand-over: the identity of a user, sealed, for a job outside of the request.

Rules:
- It holds the user's name, id and groups, the claims named in the call, and a time; and no token.
  Nothing in it gives access to Cognito or to a session.
- It opens only with a key for hand-overs (derived from the configured ones), for one user pool, and
  in time. No session's cookie is ever a hand-over, nor the other way round: see `seal`.
- Whatever the text, the only refusal is `None`.
- What code may ask of such a user is in `handed`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..models import AuthUser
from .handed import HandedOver
from .seal import MAX_SEALED, Seal

IV: Final = 12  # bytes
_PURPOSE: Final = "\0hand-over"  # in the place of a cookie's name, and no cookie has such a one
_VERSION: Final = 1


class Handovers:
    """Seals and opens hand-overs. `keys`: 32 bytes each. `pools`: the ids of the user pools."""

    def __init__(self, keys: Sequence[bytes], pools: Mapping[str, str]) -> None:
        """`pools`: an issuer by the id of each pool."""
        self._pools = pools
        self._seal = Seal(keys, _PURPOSE, frozenset(pools))

    def seal(
        self,
        user: AuthUser,
        pool: str,
        claims: Mapping[str, Any],
        *,
        expires_at: float,
        iv: bytes,
    ) -> str:
        """A user of a pool, as text. Raises `ValueError` if it is too large."""
        facts = [_VERSION, user.username, user.user_id, [*user.groups], expires_at, {**claims}]
        plain = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()
        return self._seal.seal(plain, pool, iv).decode("ascii")

    def open(self, text: str) -> HandedOver | None:
        """The user in a text, perhaps out of time; None for a text that does not open."""
        if not text.isascii() or len(text) > MAX_SEALED:
            return None
        opened = self._seal.open(text.encode("ascii"))
        if opened is None:
            return None
        plain, pool = opened
        try:
            return self._parse(json.loads(plain), pool or "")
        except (ValueError, RecursionError):  # pragma: no cover  # of another version
            return None

    def _parse(self, facts: Any, pool: str) -> HandedOver | None:
        match facts:
            case [
                1,
                str(username),
                str(user_id),
                list(groups),
                float() | int() as end,
                dict(claims),
            ]:
                is_whole = username and user_id and all(type(name) is str for name in groups)
                if is_whole and math.isfinite(end):
                    user = AuthUser(username, user_id, groups=tuple(groups))
                    issuer = self._pools[pool]
                    return HandedOver(
                        user, issuer=issuer, pool=pool, expires_at=float(end), claims=claims
                    )
        return None
