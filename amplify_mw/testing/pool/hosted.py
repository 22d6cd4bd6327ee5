"""The endpoints of the local user pool's domain for browsers, like those of managed login.

Rules:
- `/oauth2/authorize` has no page: it redirects to the app or to `/login`. The pages `/login` and
  `/signup` get the same parameters, which are checked again each time.
- Requests without a way back to the app are redirected to `/error`, as Cognito does, which names
  the error in its address (`?error=redirect_mismatch`).
- A cookie remembers a signed-in browser for an hour. `prompt`, `max_age` and `acr_values` may ask
  again earlier. The form is good for any `acr_values`: the sign-in is of the first kind asked for.
- A form counts only if it holds the value of a cookie, unknown to any other site.
- Nothing here locks; `LocalUserPool` does.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, NoReturn
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from . import pages
from .authorization import (
    AppClient,
    AuthorizationRequest,
    NoWayBack,
    SentBack,
    check_client,
    is_allowed,
    parse,
)
from .codes import Codes
from .ledger import BROWSER_LIFETIME, BrowserSession, Ledger, LocalUser, new_user
from .oauth import FORM, Paths
from .operations import Operations, check_state
from .pages import Frame
from .refusals import Refused
from .secrecy import fingerprint, is_same

SESSION_COOKIE: Final = "local-pool-session"
FORM_COOKIE: Final = "local-pool-form"
SHORTEST_PASSWORD: Final = 8
LONGEST_ERROR: Final = 64
_PROBLEMS: Final = {
    "redirect_mismatch": "The redirect_uri or logout_uri is not one of the app client's.",
    "invalid_request": "The client_id is of no app client of this user pool.",
}
_EXPIRED: Final = "The form had expired. Please try again."

Page = Callable[[Frame], Response]


@dataclass(frozen=True, slots=True)
class PageOptions:
    """The options of the pages. But for the `client` they are as `LocalUserPool` describes them."""

    client: AppClient
    identity_providers: Mapping[str, Iterable[str]]
    adds_iss: bool
    notes: Mapping[str, str]


class Hosted:
    """The endpoints, on the ledger and codes of one pool. `paths`: as those of `Domain`.

    `issuer`: says the pool's.
    """

    def __init__(
        self,
        ledger: Ledger,
        operations: Operations,
        codes: Codes,
        options: PageOptions,
        issuer: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._operations = operations
        self._codes = codes
        self._client = options.client
        self._identity_providers = {
            name: set(ids) for name, ids in options.identity_providers.items()
        }
        self._issuer = issuer if options.adds_iss else lambda: None
        self._notes = dict(options.notes)
        self.paths: Paths = {
            ("GET", "/oauth2/authorize"): ("authorize", partial(self._answer, self._authorize)),
            ("GET", "/login"): ("login", partial(self._answer, self._show_login)),
            ("POST", "/login"): ("login", partial(self._answer, self._log_in)),
            ("GET", "/signup"): ("signup", partial(self._answer, self._show_signup)),
            ("POST", "/signup"): ("signup", partial(self._answer, self._sign_up)),
            ("GET", "/logout"): ("logout", partial(self._answer, self._log_out)),
            ("GET", "/error"): ("error", self._show_error),
        }

    def _answer(self, endpoint: Callable[[Request], Response], request: Request) -> Response:
        try:
            return endpoint(request)
        except NoWayBack as error:
            return _redirect(f"/error?{_of_error(error.code, request)}")
        except SentBack as answer:
            return _redirect(answer.url)

    def _authorize(self, request: Request) -> Response:
        asked = self._parse(request)
        provider = self._provider(asked)
        session = self._known(request, asked)
        if session:
            user = self._ledger.user(session.username)
            is_meant = provider is None or provider == user.identity_provider
            if is_meant and "select_account" not in asked.prompts:
                return self._send_on(asked, user, session, _browser(request))
        if "none" in asked.prompts:
            self._refuse(asked, "login_required", "The browser is not signed in")
        return _redirect(f"/login?{asked.query}")

    def _show_login(self, request: Request) -> Response:
        asked = self._parse(request)
        return self._show(request, asked, self._login_page(request, asked, asked.login_hint))

    def _log_in(self, request: Request) -> Response:
        asked = self._parse(request)
        provider = self._provider(asked)
        form = _form(request)
        username = form.get("username", "")
        known = self._known(request, asked)
        page = self._login_page(request, asked, username)
        if not _is_ours(request, form):
            return self._show(request, asked, page, _EXPIRED, 403)
        if known and provider is None and form.get("session") == "continue":
            user = self._ledger.user(known.username)
            return self._send_on(asked, user, known, _browser(request))
        try:
            user = self._identify(provider, username, form.get("password", ""))
        except Refused as refused:
            return self._show(request, asked, page, refused.error.message, 400)
        return self._begin(asked, user)

    def _show_signup(self, request: Request) -> Response:
        asked = self._parse(request)
        page = partial(pages.sign_up, username=asked.login_hint, email="")
        return self._show(request, asked, page)

    def _sign_up(self, request: Request) -> Response:
        asked = self._parse(request)
        form = _form(request)
        username, email, password = (
            form.get(name, "") for name in ("username", "email", "password")
        )
        page = partial(pages.sign_up, username=username, email=email)
        if not _is_ours(request, form):
            return self._show(request, asked, page, _EXPIRED, 403)
        fault = next(self._faults(username, email, password), None)
        if fault:
            return self._show(request, asked, page, fault, 400)
        user = new_user(
            username, password, groups=(), attributes={"email": email}, status="CONFIRMED"
        )
        self._ledger.add(user)
        return self._begin(asked, user)

    def _log_out(self, request: Request) -> Response:
        check_client(request.args, self._client)
        uris = request.args.getlist("logout_uri")
        if uris:
            if len(uris) > 1 or not is_allowed(uris[0], self._client.logout_uris):
                raise NoWayBack("redirect_mismatch")
            target = uris[0]
        else:  # to sign in again
            target = f"/login?{self._parse(request).query}"
        self._ledger.end_browser(_browser(request))
        response = _redirect(target)
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="Lax")
        return response

    def _show_error(self, request: Request) -> Response:
        code = request.args.get("error", "")[:LONGEST_ERROR]
        return pages.problem(code, _PROBLEMS.get(code, "The request cannot be carried out."))

    def _parse(self, request: Request) -> AuthorizationRequest:
        return parse(request.args, self._client, self._issuer())

    def _refuse(self, asked: AuthorizationRequest, code: str, description: str) -> NoReturn:
        raise SentBack(asked.back(self._issuer(), error=code, error_description=description))

    def _provider(self, asked: AuthorizationRequest) -> str | None:
        """The requested identity provider; None is the pool itself."""
        wanted = asked.identity_provider
        if asked.idp_identifier is not None and wanted is None:
            providers = self._identity_providers.items()
            wanted = next((name for name, ids in providers if asked.idp_identifier in ids), "")
        if wanted in {None, "COGNITO"}:
            return None
        if wanted not in self._providers():
            self._refuse(asked, "invalid_request", "The identity provider does not exist")
        return wanted

    def _providers(self) -> list[str]:
        theirs = (user.identity_provider for user in self._ledger.users.values())
        return sorted({*self._identity_providers, *(name for name in theirs if name is not None)})

    def _identify(self, provider: str | None, username: str, password: str) -> LocalUser:
        """The user named in the form. Raises `Refused`."""
        if provider is None:
            return self._operations.authenticate(username, password)
        user = self._ledger.users.get(username)
        if user is None or user.identity_provider != provider:
            raise Refused("NotAuthorizedException", "There is no such user.")
        check_state(user)
        return user

    def _session(self, request: Request) -> BrowserSession | None:
        """The sign-in of this browser, unless it is too old or the user is gone."""
        session = self._ledger.browsers.get(_browser(request))
        if session is None or self._ledger.clock() - session.auth_time > BROWSER_LIFETIME:
            return None
        user = self._ledger.users.get(session.username)
        if user is None or user.sub != session.sub:
            return None
        with suppress(Refused):
            check_state(user)
            return session
        return None

    def _known(self, request: Request, asked: AuthorizationRequest) -> BrowserSession | None:
        """The sign-in of this browser, if it is enough for the request."""
        session = self._session(request)
        if session is None:
            return None
        age = self._ledger.clock() - session.auth_time
        return None if asked.asks_anew(age, session.acr) else session

    def _login_page(self, request: Request, asked: AuthorizationRequest, username: str) -> Page:
        provider = self._provider(asked)
        if provider is None:
            known = self._known(request, asked)
            name = known.username if known else None
            return partial(
                pages.sign_in,
                username=username,
                known=name,
                providers=self._providers(),
                notes=self._notes,
            )
        users = self._ledger.users.values()
        names = [user.username for user in users if user.identity_provider == provider]
        return partial(pages.provider, name=provider, usernames=names)

    def _show(
        self,
        request: Request,
        asked: AuthorizationRequest,
        page: Page,
        alert: str = "",
        status: int = 200,
    ) -> Response:
        # One value for all open forms of a browser.
        token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
        response = page(Frame(asked.query, token, asked.redirect_uri, alert, status))
        _set_cookie(response, FORM_COOKIE, token)
        return response

    def _begin(self, asked: AuthorizationRequest, user: LocalUser) -> Response:
        """Remember the browser, and redirect it to the app."""
        auth_time = int(self._ledger.clock())
        session_id = secrets.token_urlsafe(24)
        acr = next(iter(asked.acr_values), None)
        session = BrowserSession(user.username, user.sub, auth_time, acr)
        key = fingerprint(session_id)
        self._ledger.browsers[key] = session
        self._ledger.tracking.begin_browser(key, user.sub)
        response = self._send_on(asked, user, session, key)
        _set_cookie(response, SESSION_COOKIE, session_id)
        return response

    def _send_on(
        self, asked: AuthorizationRequest, user: LocalUser, shown: BrowserSession, browser: str
    ) -> Response:
        session = self._ledger.tracking.browsers.get(browser)
        origin = session.id if session else None
        code = self._codes.new(asked, user, shown.auth_time, origin, shown.acr)
        return _redirect(asked.back(self._issuer(), code=code))

    def _faults(self, username: str, email: str, password: str) -> Iterator[str]:
        """The mistakes in a new user's form."""
        if not 1 <= len(username) <= 128 or " " in username or not username.isprintable():
            yield "Please choose a user name of at most 128 characters, without spaces."
        if username in self._ledger.users:
            yield "User already exists"
        if len(email) > 2048 or "@" not in email or not email.isprintable():
            yield "Invalid email address format."
        if len(password) < SHORTEST_PASSWORD:
            yield "Password did not conform with policy: Password not long enough"


def _form(request: Request) -> Mapping[str, str]:
    """A form's fields; none if it is not encoded like the forms of the pages."""
    return request.form if request.mimetype == FORM else {}


def _of_error(code: str, request: Request) -> str:
    """The query of the error page's address: the error, and the client in the request."""
    client = request.args.get("client_id", "")[:LONGEST_ERROR]
    members = {"error": code} | ({"client_id": client} if client else {})
    return urlencode(members, errors="replace")


def _browser(request: Request) -> str:
    """The fingerprint of a browser's cookie."""
    return fingerprint(request.cookies.get(SESSION_COOKIE, ""))


def _is_ours(request: Request, form: Mapping[str, str]) -> bool:
    """Whether a form comes from a page shown to this browser."""
    known = request.cookies.get(FORM_COOKIE, "")
    return known != "" and is_same(form.get("_csrf", ""), known)


def _set_cookie(response: Response, name: str, value: str) -> None:
    # Without `Secure`: this is plain HTTP, which curl and other plain clients take at its word.
    response.set_cookie(name, value, max_age=BROWSER_LIFETIME, httponly=True, samesite="Lax")


def _redirect(url: str) -> Response:
    headers = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return Response(b"", 302, headers)
