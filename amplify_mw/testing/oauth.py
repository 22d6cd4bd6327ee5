"""The OAuth 2 endpoints of the local user pool's domain: refresh and revoke.

Rules:
- Answers and errors have the shapes of RFC 6749 5 and RFC 7009 2.2; like Cognito's, all errors are
  HTTP 400.
- A client with a secret says who it is by Basic authentication, one without by its `client_id`.
- Nothing here locks; `LocalUserPool` does.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from werkzeug.wrappers import Request, Response

from .operations import Operations, Refused, is_same

FORM: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 5.1


class OAuthError(Exception):
    """The domain refuses a request: `code` says why (RFC 6749 5.2)."""

    def __init__(self, code: str, description: str | None = None) -> None:
        super().__init__(code)
        self.members = {"error": code} | ({"error_description": description} if description else {})


class Domain:
    """The endpoints, on the operations of one pool. `paths`: the name of each, and what it does."""

    def __init__(self, operations: Operations, client_id: str, client_secret: str | None) -> None:
        self._operations = operations
        self._client_id = client_id
        self._client_secret = client_secret
        self.paths: Mapping[str, tuple[str, Callable[[Request], Response]]] = {
            "/oauth2/token": ("token", lambda request: self._answer(self._token, request)),
            "/oauth2/revoke": ("revoke", lambda request: self._answer(self._revoke, request)),
        }

    def _answer(self, endpoint: Callable[[Request], Response], request: Request) -> Response:
        try:
            if request.mimetype != FORM:
                raise OAuthError("invalid_request")
            self._check_client(request)
            return endpoint(request)
        except OAuthError as error:
            return _json(error.members, 400)

    def _token(self, request: Request) -> Response:
        if _field(request, "grant_type") != "refresh_token":
            raise OAuthError("unsupported_grant_type")
        try:
            result = self._operations.refresh(_field(request, "refresh_token"))
        except Refused as refused:  # OAuth has one word for all of it
            raise OAuthError("invalid_grant", refused.error.message) from refused
        names = {
            "id_token": "IdToken",
            "access_token": "AccessToken",
            "refresh_token": "RefreshToken",
            "expires_in": "ExpiresIn",
            "token_type": "TokenType",
        }
        return _json({name: result[member] for name, member in names.items() if member in result})

    def _revoke(self, request: Request) -> Response:
        try:
            self._operations.revoke(_field(request, "token"))
        except Refused as refused:
            raise OAuthError("unsupported_token_type") from refused
        return Response(b"", 200, _NO_STORE)

    def _check_client(self, request: Request) -> None:
        shown = request.authorization
        if self._client_secret is None:
            if shown is not None or _field(request, "client_id") != self._client_id:
                raise OAuthError("invalid_client")
            return
        if shown is None or shown.type != "basic":
            raise OAuthError("invalid_client", "client_secret_basic is missing")
        # Both were form-encoded before they were joined (RFC 6749 2.3.1).
        client_id, secret = (unquote_plus(part or "") for part in (shown.username, shown.password))
        if client_id != self._client_id or not is_same(secret, self._client_secret):
            raise OAuthError("invalid_client", "invalid_client_secret")


def _field(request: Request, name: str) -> str:
    """A form field that has to be there once (RFC 6749 3.2)."""
    values = request.form.getlist(name)
    if len(values) != 1:
        raise OAuthError("invalid_request", f"{name} is required, once")
    return values[0]


def _json(members: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(members), status, _NO_STORE, content_type="application/json")
