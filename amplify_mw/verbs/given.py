"""The tokens from an app's call of `start_session`, under OAuth's or Cognito's names.

Rules:
- A missing or malformed token is refused like an invalid one, since it may have come from a client.
  Any other type of value is the app's mistake, a `TypeError`.
- The content of tokens is not read here.
"""

from collections.abc import Mapping
from typing import Any, Final

from ..cognito.verifier import MAX_TOKEN_BYTES
from ..errors import NotAuthorizedException
from ..models.session import TokenSet

TokenSource = TokenSet | Mapping[str, Any]
_MEMBERS: Final = {  # as OAuth says, and as Cognito's AuthenticationResult does
    "id_token": "IdToken",
    "access_token": "AccessToken",
    "refresh_token": "RefreshToken",
}


def token_set(tokens: TokenSource) -> TokenSet:
    """The tokens, under either names. Raises `NotAuthorizedException` (`missing_token`)."""
    if isinstance(tokens, TokenSet):
        found = {name: getattr(tokens, name) for name in _MEMBERS}
    elif isinstance(tokens, Mapping):
        _refuse_whole_answers(tokens)
        found = {
            name: tokens.get(name, tokens.get(cognitos)) for name, cognitos in _MEMBERS.items()
        }
    else:
        raise TypeError(
            "start_session: write a TokenSet(id_token=..., access_token=..., refresh_token=...), "
            f"or a mapping with these members; got a {type(tokens).__name__}"
        )
    for name, value in found.items():
        if value is None and name != "refresh_token":
            raise NotAuthorizedException(
                f"A session is started with an ID token and an access token; there is no {name}.",
                reason="missing_token",
            )
        if value is not None and not (isinstance(value, str) and _is_token(value)):
            raise NotAuthorizedException(reason="malformed_token")
    return TokenSet(**found)


def _is_token(text: str) -> bool:
    is_clean = text.isascii() and text.isprintable() and " " not in text
    return is_clean and 0 < len(text) <= MAX_TOKEN_BYTES


def _refuse_whole_answers(members: Mapping[str, Any]) -> None:
    """Raise `TypeError` for Cognito's whole answer to a sign-in, instead of its tokens."""
    if "ChallengeName" in members:
        raise TypeError(
            "start_session: Cognito asks for more (ChallengeName) and has given no tokens yet; "
            "answer it with respond_to_auth_challenge"
        )
    if "AuthenticationResult" in members:
        raise TypeError(
            "start_session: this is Cognito's whole answer; write "
            "start_session(answer['AuthenticationResult'])"
        )
