"""The OAuth 2 token endpoint of the pool's domain: requests out, responses in. Nothing is sent.

Rules:
- A client with a secret uses Basic authentication, one without sends its `client_id` (RFC 6749
  2.3.1, 3.2.1).
- Of the endpoint's errors (RFC 6749 5.2) only `invalid_grant` ends a session: the refresh token is
  unknown, expired, revoked, another client's or, with rotation, used up. OAuth does not tell these
  apart. All others concern the configuration, except `invalid_request`, which may concern one
  user's request.
- The endpoint's descriptions are not passed on: they may quote the request. They are read only for
  a refresh token that a newer sign-in has evicted.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus, urlencode

from ..effects import Request, Response
from ..errors import NotAuthorizedException
from .api import (
    EVICTED,
    REFRESH_PATIENCE,
    REJECTED_CLIENT,
    THROTTLING,
    UNAVAILABLE,
    UNKNOWN,
    AppClient,
    Failure,
    Refreshed,
    json_object,
    misconfigured,
    names_eviction,
    printable,
    refreshed,
)

_REFUSED_GRANT: Final = misconfigured(
    "allow the authorization code grant for the app client, and name the callback URL there just "
    "as it is here"
)
FAILURES: Final[Mapping[str, Failure]] = {
    "invalid_grant": Failure(
        NotAuthorizedException, "session_revoked", ends_session=True, may_be_reuse=True
    ),
    "invalid_client": REJECTED_CLIENT,
    "unauthorized_client": _REFUSED_GRANT,  # Cognito's word for another callback URL, too
    "unsupported_grant_type": _REFUSED_GRANT,
    "invalid_scope": misconfigured("allow the scopes that are asked for in the app client"),
    "invalid_request": UNKNOWN._replace(mend="check domain, and the settings of the app client"),
    "unsupported_token_type": UNKNOWN._replace(  # RFC 7009 2.2.1
        mend="start sessions with the refresh token as refresh_token, and no other token"
    ),
    "server_error": UNAVAILABLE,  # two that proxies borrow from RFC 6749 4.1.2.1
    "temporarily_unavailable": UNAVAILABLE,
}


def refresh(token_url: str, client: AppClient, refresh_token: bytes) -> Request:
    """Ask for new tokens (RFC 6749 6)."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.decode("ascii")}
    return _post(token_url, client, form)._replace(patience=REFRESH_PATIENCE)


def read_refreshed(response: Response) -> Refreshed | Failure:
    """The tokens in the answer (RFC 6749 5.1), or its failure."""
    failure = read_failure(response)
    if failure is not None:
        return failure
    body = json_object(response)
    tokens = [body.get(name) for name in ("id_token", "access_token", "refresh_token")]
    if not any(tokens):  # a 200, but not from the endpoint: a captive portal, a broken proxy
        return UNAVAILABLE
    return refreshed(*tokens)


def revoke(revoke_url: str, client: AppClient, refresh_token: bytes) -> Request:
    """Revoke a refresh token, with all tokens of its sign-in (RFC 7009 2.1).

    `read_failure` reads the answer; an unknown token is no error (2.2).
    """
    return _post(revoke_url, client, {"token": refresh_token.decode("ascii")})


def read_failure(response: Response) -> Failure | None:
    """The failure in a response; None for a success."""
    if response.status == 200:
        return None
    if response.status == 429:
        return THROTTLING
    body = json_object(response)
    error, words = body.get("error"), str(body.get("error_description")).lower()
    if response.status >= 500 or not isinstance(error, str) or not error:
        return UNAVAILABLE
    failure = FAILURES.get(error, UNKNOWN)
    if failure.is_outage:
        return failure
    name = printable(error)
    if failure.may_be_reuse and names_eviction(words):
        failure = failure._replace(may_be_reuse=False, detail=EVICTED)
    # OAuth's name for the end of a session is not an error name of Amplify's.
    return failure._replace(name=failure.name if failure.ends_session else name, code=name)


def _post(url: str, client: AppClient, form: Mapping[str, str]) -> Request:
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
        "cache-control": "no-store",
    }
    if client.secret is None:
        form = {**form, "client_id": client.client_id}
    else:
        headers["authorization"] = basic(client.client_id, client.secret)
    return Request("POST", url, headers, urlencode(form).encode("ascii"))


def basic(client_id: str, secret: str) -> str:
    """A client's Basic authentication."""
    # Form-encoded first, so that neither can hold a colon (RFC 6749 2.3.1, Appendix B).
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + b64encode(pair.encode("ascii")).decode("ascii")
