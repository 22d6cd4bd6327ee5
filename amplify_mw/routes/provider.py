"""The user pool's hosted sign-in as an OAuth 2 provider: its addresses, and the exchange of codes.

Rules:
- Authlib's client speaks the protocol: authorization code with PKCE, S256 (RFC 7636). It sends
  nothing itself: its requests are handed out as values, and the answers handed in.
- The provider's error descriptions are not passed on.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ..cognito.api import UNAVAILABLE, Failure, Refreshed, json_object, refreshed
from ..cognito.oauth import basic, read_failure
from ..effects import Request, Response
from .attempt import Attempt

if TYPE_CHECKING:
    from authlib.oauth2.client import OAuth2Client

_PROVIDERS: Final = {  # adapter-nextjs, auth/constant.ts
    "google": "Google",
    "facebook": "Facebook",
    "amazon": "LoginWithAmazon",
    "apple": "SignInWithApple",
}
_PATIENCE: Final = 2.0  # a code is good for one try


class Provider:
    """One app client of a pool's domain. `redirect_uri`: the address of the callback.

    `resource`: the API that access tokens are to be for (RFC 8707); None asks for none.
    """

    def __init__(
        self,
        domain: str,
        token_url: str,
        client_id: str,
        redirect_uri: str,
        scope: str,
        resource: str | None = None,
    ) -> None:
        self._domain = domain
        self.token_url: str = token_url
        self._client_id = client_id
        self._redirect_uri = redirect_uri
        self._scope = scope
        self._resource = {} if resource is None else {"resource": resource}

    def authorization_url(
        self, page: str, attempt: Attempt, state: str, asked: Mapping[str, str]
    ) -> str:
        """The address to send the browser to. `page`: `oauth2/authorize` or `signup`.

        `state`: the callback returns it.
        `asked`: more parameters of the request (OpenID Connect Core 3.1.2.1, and Cognito's own).
        """
        url, _ = self._oauth.create_authorization_url(
            f"{self._domain}/{page}",
            state=state,
            code_verifier=attempt.code_verifier,
            nonce=attempt.nonce,
            **self._resource,
            **asked,
        )
        return str(url)

    def token_request(self, code: str, attempt: Attempt, secret: str | None) -> Request:
        """The request to redeem a code (RFC 6749 4.1.3), with a secret of the app client."""
        session = _Capturing()
        oauth = self._new_oauth(session, secret)
        try:
            oauth.fetch_token(
                self.token_url,
                grant_type="authorization_code",
                code=code,
                code_verifier=attempt.code_verifier,
                redirect_uri=self._redirect_uri,
                **self._resource,
            )
        except _Captured as captured:
            return captured.request
        raise AssertionError("Authlib has sent nothing")

    def read_tokens(self, response: Response) -> Refreshed | Failure:
        """The tokens for a code, or the failure."""
        failure = read_failure(response)
        if failure is not None:
            return failure
        body = json_object(response)
        tokens = refreshed(
            body.get("id_token"), body.get("access_token"), body.get("refresh_token")
        )
        return UNAVAILABLE if isinstance(tokens, Failure) else tokens

    def logout_url(self, logout_uri: str) -> str:
        """The address of the pool's sign-out, which sends the browser to `logout_uri`."""
        query = urlencode({"client_id": self._client_id, "logout_uri": logout_uri})
        return f"{self._domain}/logout?{query}"

    @cached_property
    def _oauth(self) -> "OAuth2Client":
        return self._new_oauth(None, None)

    def _new_oauth(self, session: Any, secret: str | None) -> "OAuth2Client":
        from authlib.oauth2.client import OAuth2Client  # 60 ms: only sites with sign-in routes pay

        client = OAuth2Client(
            session,
            self._client_id,
            secret,
            scope=self._scope,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        return client


def identity_provider(name: str) -> str:
    """Cognito's name for a provider: four have short names here, all others keep their own.

    >>> identity_provider("google"), identity_provider("MyOIDC")
    ('Google', 'MyOIDC')
    """
    return _PROVIDERS.get(name.lower(), name)


def _basic(client: Any, method: str, uri: str, headers: dict[str, str], body: str) -> Any:  # noqa: ARG001
    """Basic authentication, with both parts form-encoded first (RFC 6749 2.3.1)."""
    headers["Authorization"] = basic(client.client_id, client.client_secret)
    return uri, headers, body


class _Captured(Exception):
    """Carries the request out of Authlib's client. Not an error."""

    def __init__(self, request: Request) -> None:
        self.request = request


class _Capturing:
    """A session for Authlib's client. It sends nothing."""

    def post(self, url: str, *, data: Mapping[str, str], headers: Any, auth: Any) -> Any:
        """Raise the request as `_Captured`."""
        spelled = {name.lower(): value for name, value in headers.items()}
        spelled["cache-control"] = "no-store"
        uri, spelled, body = auth.prepare("POST", url, spelled, urlencode(data))
        headers = {name.lower(): value for name, value in spelled.items()}
        request = Request("POST", uri, headers, body.encode("ascii"))
        raise _Captured(request._replace(patience=_PATIENCE))
