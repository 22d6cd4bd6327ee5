"""The key of a session in Amplify's cookies, its record, and the browser's `signInDetails`.

Rules:
- A session's key is made of its verified user and its refresh token: only a browser with both
  learns of later refreshes. Without a refresh token the access token stands in its place.
- Records hold tokens unencrypted: they stay in this process's memory.
- A refresh keeps the user and `signInDetails` of the cookies; it encodes them anew.
- Amplify always writes `signInDetails` as JSON. Fields in it are text that can be encoded, or
  nothing.
"""

import hashlib
import json
import math
import re
from functools import lru_cache
from typing import Final, NoReturn, TypeGuard

from ...models import SignInDetails
from ..bundle import Bundle
from ..codec import LoadedSession
from ..record import Record
from .wire import AmplifySet, js_value, sets_in, text_of

LABEL: Final = b"amplify_mw amplify cookies\0"
_B64TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
_LONGEST_KNOWN: Final = 512  # bytes of `signInDetails`
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class AmplifyCodec:
    """A session in Amplify's cookies (`mine`). `owner`: the `user_key` of its verified tokens."""

    in_cookie: bool = True
    session: str = "amplify"

    def __init__(
        self, mine: AmplifySet, owner: str, details: SignInDetails | None, now: float
    ) -> None:
        if not is_b64token(mine.refresh_token):  # not one of Cognito's
            mine = mine._replace(refresh_token=b"")
        known_by = f"{mine.client} {owner} ".encode()
        secret = mine.refresh_token or mine.access_token
        self.key: bytes = hashlib.sha256(LABEL + known_by + secret).digest()
        self.mine: AmplifySet = mine
        self.owner: str = owner
        self.details: SignInDetails | None = details
        self.sign_in: bytes | None = None  # its key, once it is worked out
        self._now = now

    def successor(self, mine: AmplifySet, now: float) -> "AmplifyCodec":
        """The codec of the same session with newer tokens."""
        return AmplifyCodec(mine, self.owner, self.details, now)

    def loaded(self, *, is_newer: bool = False, value: bytes | None = None) -> LoadedSession:
        """The session in its cookies. `value`: their value, if it is at hand."""
        return LoadedSession(self, self._bundle(self.mine, 0), value or self.mine.value, is_newer)

    def close(self, bundle: Bundle, iv: bytes, expires_at: float) -> tuple[Record, bytes]:  # noqa: ARG002
        """The record for a bundle, for this process's memory only, and its value."""
        value = self.mine._replace(
            access_token=bundle.access_token,
            id_token=bundle.id_token,
            refresh_token=bundle.refresh_token or b"",
            sign_in_details=self._details,
        ).value
        return Record(value, bundle.turn, expires_at), value

    def open(self, record: Record) -> tuple[Bundle, bytes] | None:
        """The same two from a record; None if it holds no tokens."""
        for found in sets_in(record.value):
            newer = found._replace(user=self.mine.user, sign_in_details=self._details)
            return self._bundle(newer, record.version), newer.value
        return None

    def cookie(self, sealed: bytes) -> bytes:
        """The value itself."""
        return sealed

    @property
    def _details(self) -> bytes:
        """The browser's `signInDetails`, as they will be written."""
        return js_value(self.mine.details).encode()

    def _bundle(self, mine: AmplifySet, turn: int) -> Bundle:
        """A set as a bundle that begins now: Cognito alone decides how long it lasts."""
        seen_at = float(math.floor(self._now))
        return Bundle(
            sid=self.key[:16],
            turn=turn,
            created_at=seen_at,
            seen_at=seen_at,
            id_token=mine.id_token,
            access_token=mine.access_token,
            refresh_token=mine.refresh_token or None,
        )


def is_b64token(text: bytes) -> bool:
    """Whether this may be a token: only RFC 6750's characters for one (2.1), in any order."""
    return bool(text) and not text.translate(None, _B64TOKEN)


def sign_in_details(raw: bytes) -> SignInDetails | None:
    """The browser's details of the sign-in. Raises `ValueError` for anything but JSON."""
    if len(raw) <= _LONGEST_KNOWN:
        return _known_details(raw)
    return _details(raw)


def _details(raw: bytes) -> SignInDetails | None:
    if not raw:
        return None
    text = text_of(raw)
    try:
        said = _JSON.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(said, dict):
        return None
    login_id, flow = said.get("loginId"), said.get("authFlowType")
    return SignInDetails(login_id if _is_text(login_id) else None, flow if _is_text(flow) else None)


_known_details = lru_cache(maxsize=1024)(_details)


def _is_text(value: object) -> TypeGuard[str]:
    """Whether this is text in UTF-8: JSON may spell lone surrogates."""
    return isinstance(value, str) and not _SURROGATE.search(value)


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")


_JSON: Final = json.JSONDecoder(parse_constant=_no_constant)
