"""Checks of hosted sign-in: the requests of a browser at its beginning and its end, seen from here.

Rules:
- The authorize endpoint is asked as a browser would be sent there, for each mount, without cookies:
  it answers with the address of the sign-in page, or with an error. No page is opened, and no form
  is sent. The sign-out endpoint likewise: nobody is signed in.
- Cognito names errors of the redirect URI or the client in the address of its own page
  (`/error?error=redirect_mismatch`), any other in the callback's. Otherwise it sends the browser to
  its sign-in page (`/login`, with the request's parameters) or to another identity provider's.
- The token endpoint gets a made-up code, once. The callback's own address is never asked.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

from ...cognito import oauth
from ...cognito.api import printable
from ...config.pool import UserPool
from ...config.routes import AuthRoutes
from ...effects import Request
from ...models.check import Check
from ...routes.attempt import Attempt
from ...routes.provider import Provider
from .subject import LATER, Answer, Subject, origin_of, quoted

_MADE_UP: Final = "amplify-mw-doctor-made-up"
_VERIFIER: Final = "amplify-mw-doctor-made-up-verifier-of-43-characters"
_ATTEMPT: Final = Attempt(_MADE_UP, _MADE_UP, _VERIFIER, 0, "/", None)
_STRANGER: Final = "check domain: a captive portal or another service answers there"
_REACH: Final = "check domain, and that this machine may connect there"
_ADD: Final = (
    "add {url} to the app client's allowed {what} URLs, letter for letter, or correct origin, "
    "mount and prefix"
)
_GRANT: Final = "allow the authorization code grant for the app client"
_MENDS: Final = {  # by Cognito's word, in the callback's address or in that of its error page
    "invalid_scope": ("scopes", "allow these scopes in the app client, or write others"),
    "unauthorized_client": ("code_grant", _GRANT),
    "unsupported_response_type": ("code_grant", _GRANT),
    "invalid_request": (
        "sign_in",
        "correct client_id; and give the app client an identity provider (COGNITO or another)",
    ),
}
_OTHER: Final = "look the error up in the Amazon Cognito developer guide (authorize endpoint)"


class _Hosted(NamedTuple):
    """The sign-in of one mount."""

    subject: Subject
    pool: UserPool
    routes: AuthRoutes
    provider: Provider

    def __repr__(self) -> str:
        return "<_Hosted>"


def _mounts(subject: Subject) -> Iterator[_Hosted]:
    """The sign-in below each mount; none without routes."""
    config, pool = subject.config, subject.config.user_pools[0]
    if config.routes is None:
        return
    for mount in config.mount or ("",):
        routes = config.routes.at(mount)
        yield _Hosted(
            subject,
            pool,
            routes,
            Provider(
                domain=str(pool.domain),
                token_url=str(pool.token_url),
                client_id=(pool.client_id or ("",))[0],
                redirect_uri=routes.callback_url,
                scope=routes.scope,
                resource=routes.resource,
            ),
        )


def sign_in(subject: Subject) -> Iterator[Check]:
    """The authorize endpoint, for each mount."""
    for number, hosted in enumerate(_mounts(subject)):
        url = hosted.provider.authorization_url("oauth2/authorize", _ATTEMPT, _MADE_UP, {})
        answer = subject.ask(Request("GET", url))
        checks = _authorized(hosted, answer)
        # The lines of the app client are the same for all mounts.
        yield from (one for one in checks if not number or one.name in ("callback_url", "sign_in"))


def _authorized(hosted: _Hosted, answer: Answer) -> list[Check]:
    callback = hosted.routes.callback_url
    target = _target(answer)
    if target is None:
        return [_not_redirected("sign_in", answer)]
    words = _words(target)
    is_back = target.partition("?")[0] == callback
    error = words.get("error", "")
    if not is_back and not _is_error_page(hosted, target):
        if not ("SAMLRequest" in words or {"client_id", "redirect_uri"} <= words.keys()):
            found, mend = f"a redirect to {quoted(origin_of(target))}", _STRANGER
            return [Check("sign_in", "wrong", found, "one to a sign-in page", mend)]
        scopes = hosted.routes.scope
        return [
            Check("sign_in", "ok", f"the pool shows its sign-in page to visitors of {callback}"),
            Check("callback_url", "ok", callback),
            Check("scopes", "ok", scopes),
            Check("code_grant", "ok", "allowed"),
        ]
    if error == "redirect_mismatch":
        mend = _ADD.format(url=callback, what="callback")
        return [Check("callback_url", "wrong", error, callback, mend)]
    known = [Check("callback_url", "ok", callback)] if is_back else []
    return [*known, _refused(hosted, error, words.get("error_description", ""))]


def _refused(hosted: _Hosted, error: str, description: str) -> Check:
    """The pool's error, other than for the callback's address."""
    code = description if description in _MENDS else error
    name, mend = _MENDS.get(code, ("sign_in", _OTHER))
    wanted = hosted.routes.scope if name == "scopes" else ""
    return Check(name, "wrong", printable(code), wanted, mend)


def sign_out(subject: Subject) -> Iterator[Check]:
    """The sign-out endpoint, for each mount."""
    for hosted in _mounts(subject):
        url = hosted.routes.sign_out_callback_url
        answer = subject.ask(Request("GET", hosted.provider.logout_url(url)))
        target = _target(answer)
        if target == url:
            yield Check("sign_out_url", "ok", url)
        elif answer.response is None or answer.response.status >= 500:
            yield _not_redirected("sign_out_url", answer)
        else:
            error = _words(target or "").get("error")
            found = answer.told if error is None else printable(error)
            mend = _ADD.format(url=url, what="sign-out")
            mend = "correct client_id, or domain" if error == "invalid_request" else mend
            yield Check("sign_out_url", "wrong", found, url, mend)


def token_endpoint(subject: Subject) -> Iterator[Check]:
    """The exchange of a code, with each of the client's secrets."""
    hosted = next(_mounts(subject), None)
    if hosted is None:
        return
    name, url = "token_endpoint", str(hosted.pool.token_url)
    for secret in hosted.pool.client_secrets or (None,):
        answer = subject.ask(hosted.provider.token_request(_MADE_UP, _ATTEMPT, secret))
        failure = None if answer.response is None else oauth.read_failure(answer.response)
        if failure is None or failure.is_outage:
            yield Check(name, "unknown", f"{url}: {answer.told}", mend=LATER)
        elif failure.ends_session:  # `invalid_grant`: the code is refused, and the client is not
            yield Check(name, "ok", url)
        else:
            yield Check(name, "wrong", f"{url}: {failure.code}", mend=failure.mend)


def _target(answer: Answer) -> str | None:
    """The address to which a browser is sent; None if there is none."""
    if answer.response is None or not 300 <= answer.response.status < 400:
        return None
    location = answer.response.headers.get("location", "")
    try:
        return urljoin(answer.request.url, location) if location else None
    except ValueError:
        return None


def _words(url: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(url).query, max_num_fields=50))
    except ValueError:
        return {}


def _is_error_page(hosted: _Hosted, target: str) -> bool:
    return origin_of(target) == hosted.pool.domain and urlsplit(target).path == "/error"


def _not_redirected(name: str, answer: Answer) -> Check:
    """A line for an answer without a redirect."""
    url = origin_of(answer.request.url)
    if answer.follows:
        return Check(name, "unknown", f"{url}: {answer.told}", mend=LATER)
    if answer.response is None:
        return Check(name, "wrong", f"{url}: {answer.told}", mend=_REACH)
    found = f"{url}: HTTP status {answer.response.status}"
    return Check(name, "wrong", found, "a redirect of the pool's domain", "check domain")
