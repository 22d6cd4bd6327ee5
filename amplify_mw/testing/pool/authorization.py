"""The parameters of an authorize URL at the local user pool's domain.

Rules:
- If the client or the redirect URI is wrong, the visitor gets a page and the app gets nothing
  (RFC 6749 4.1.2.1): `NoWayBack`. Any later error is sent back to the app: `SentBack`.
- The words for errors are Cognito's, as far as they are known. It has `invalid_request` for an
  unknown client, and `invalid_request` with the description `invalid_scope` for a refused scope.
- A redirect URI is compared as a string. Without a list any absolute http(s) URL is right, written
  in printable ASCII: nothing in it can break out of a header or a policy.
- Nothing here knows users, pages or HTTP.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlencode, urlsplit

from .ledger import SELF_SERVICE_SCOPE

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

OPENID: Final = "openid"
SCOPES: Final = (OPENID, "email", "phone", "profile", SELF_SERVICE_SCOPE)
LONGEST: Final = 4096  # characters of a parameter
PROMPTS: Final = frozenset({"none", "login", "select_account", "consent"})
PARAMETERS: Final = (
    *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce"),
    *("code_challenge", "code_challenge_method", "identity_provider", "idp_identifier"),
    *("lang", "login_hint", "prompt", "max_age", "acr_values", "resource"),
)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # of S256: 32 bytes in base64url
_RESOURCE: Final = re.compile(r"https://|http://localhost|(?!https?:)[a-z][a-z0-9+.\-]*://")
_URL_CHARACTERS: Final = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # RFC 3986 2, and no quote in it


class NoWayBack(Exception):
    """The client or the redirect URI is wrong: the visitor gets a page, the app gets nothing."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class SentBack(Exception):
    """The app gets its answer at once: the browser is redirected to `url`."""

    def __init__(self, url: str) -> None:
        super().__init__("sent back")
        self.url = url


@dataclass(frozen=True, slots=True)
class AppClient:
    """The app client's settings. None in place of a list of URLs: any.

    `scopes`: those that it may ask for; all of them if it asks for none.
    """

    client_id: str
    redirect_uris: frozenset[str] | None = None
    logout_uris: frozenset[str] | None = None
    scopes: tuple[str, ...] = SCOPES


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A valid authorize URL. `query`: its parameters, for the next page."""

    redirect_uri: str
    scope: str
    query: str
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    identity_provider: str | None = None
    idp_identifier: str | None = None
    login_hint: str = ""
    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    resource: str | None = None

    def back(self, issuer: str | None = None, **members: str) -> str:
        """The redirect URI with `members`, the `state`, and an `iss` (RFC 9207)."""
        more = {"state": self.state, "iss": issuer}
        return with_parameters(self.redirect_uri, members | _present(more))

    def asks_anew(self, age: float, acr: str | None) -> bool:
        """Whether the request refuses a sign-in of this age (seconds) and kind, and asks again."""
        is_too_old = self.max_age is not None and age > self.max_age
        is_other = bool(self.acr_values) and acr not in self.acr_values
        return "login" in self.prompts or is_too_old or is_other


def parse(
    args: "MultiDict[str, str]", client: AppClient, issuer: str | None = None
) -> AuthorizationRequest:
    """Read an authorize URL's parameters. Raises `NoWayBack` and `SentBack`.

    `issuer`: the `iss` of an error sent back to the app, or None.
    """
    check_client(args, client)
    redirect_uri = _only(args, "redirect_uri")
    if redirect_uri is None or not is_allowed(redirect_uri, client.redirect_uris):
        raise NoWayBack("redirect_mismatch")
    state = _only(args, "state")
    given = {name: value for name in PARAMETERS if (value := args.get(name))}
    request = AuthorizationRequest(
        redirect_uri,
        scope=" ".join(dict.fromkeys(given.get("scope", " ".join(client.scopes)).split(" "))),
        query=urlencode(given),
        state=state if state and len(state) <= LONGEST else None,
        nonce=given.get("nonce"),
        code_challenge=given.get("code_challenge"),
        identity_provider=given.get("identity_provider"),
        idp_identifier=given.get("idp_identifier"),
        login_hint=given.get("login_hint", ""),
        prompts=frozenset(given.get("prompt", "").split()),
        max_age=int(given["max_age"]) if _is_number(given.get("max_age", "")) else None,
        acr_values=tuple(given.get("acr_values", "").split()),
        resource=given.get("resource"),
    )
    fault = next(_faults(args, given, request, client.scopes), None)
    if fault:
        code, description = fault
        raise SentBack(request.back(issuer, error=code, error_description=description))
    return request


def check_client(args: "MultiDict[str, str]", client: AppClient) -> None:
    """Refuse another client's request. Raises `NoWayBack`."""
    if _only(args, "client_id") != client.client_id:
        raise NoWayBack("invalid_request")


def _faults(
    args: "MultiDict[str, str]",
    given: Mapping[str, str],
    request: AuthorizationRequest,
    scopes: tuple[str, ...],
) -> Iterator[tuple[str, str]]:
    """The errors of a request with a right client and redirect URI, as code and description."""
    for name in PARAMETERS:
        if len(args.getlist(name)) > 1:  # RFC 6749 3.1
            yield "invalid_request", f"{name} is there more than once"
        if len(args.get(name, "")) > LONGEST:
            yield "invalid_request", f"{name} is too long"
    if given.get("response_type") == "token":  # the implicit grant, which the client has not
        yield "unauthorized_client", "response_type token is not enabled for this client"
    if given.get("response_type") != "code":
        yield "invalid_request", "response_type has to be code"
    if not set(request.scope.split(" ")) <= set(scopes):
        yield "invalid_request", "invalid_scope"
    yield from _challenge_faults(request.code_challenge, given.get("code_challenge_method"))
    if not request.prompts <= PROMPTS or request.prompts > {"none"}:
        yield "invalid_request", "prompt is not supported"
    if "resource" in given and not _RESOURCE.match(given["resource"]):
        yield "invalid_request", "resource has to be a URL"
    if "max_age" in given and request.max_age is None:
        yield "invalid_request", "max_age has to be a number of seconds"


def _challenge_faults(challenge: str | None, method: str | None) -> Iterator[tuple[str, str]]:
    """The errors of PKCE's two parameters (RFC 7636 4.3), of which both or none are there."""
    if (challenge is not None or method is not None) and method != "S256":
        yield "invalid_request", "code_challenge_method has to be S256"
    if method is not None and not _CHALLENGE.fullmatch(challenge or ""):
        yield "invalid_request", "code_challenge is no S256 challenge"


def is_allowed(uri: str, allowed: frozenset[str] | None) -> bool:
    """Whether the pool may send a browser there. `allowed`: a list, or None for any URL."""
    if allowed is not None:
        return uri in allowed
    parts = split(uri)
    return parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)


def split(uri: str) -> SplitResult | None:
    """An absolute URI without a fragment, in its parts; None if it is not one."""
    if len(uri) > LONGEST or not _URL_CHARACTERS.fullmatch(uri) or "#" in uri:
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port  # which is parsed only now
    except ValueError:
        return None
    return parts if parts.scheme else None


def with_parameters(uri: str, members: Mapping[str, str]) -> str:
    """A URI with more parameters in its query.

    >>> with_parameters("https://app.example/?a=1", {"state": "x y"})
    'https://app.example/?a=1&state=x+y'
    """
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(members, errors='replace')}"


def _only(args: "MultiDict[str, str]", name: str) -> str | None:
    """A parameter given exactly once, else None."""
    values = args.getlist(name)
    return values[0] if len(values) == 1 else None


def _present(members: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in members.items() if value is not None}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
