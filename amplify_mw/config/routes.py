"""`AuthRoutes`: the options of the sign-in routes.

Rules:
- The site's origin comes from here, never from a request's headers. So do all redirects.
- An origin on plain http is refused with the whole configuration in view (`check_site`).
- A redirect URI that is not in the app client's list, if that is known, is refused when the
  configuration is made.
- The routes' names are here (`ROUTES`); the function behind each is in `routes.handler`.
- All paths here are below the app's mount (`AmplifyConfig(mount=...)`), which is put in front once.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import ConfigurationError, check_number, kind_of
from ..models import SignInFailure
from ..naming import named_options
from ..web.cookie_policy import CookiePolicy, is_covered, is_path
from ..web.origins import is_loopback, split_origin
from .checks import check_seal_keys, set_fields

if TYPE_CHECKING:
    from ..models.session import NewSignIn
else:
    NewSignIn = object  # loaded later; tools that read annotations at run time see this

_SCOPES: Final = ("openid", "email", "profile", "aws.cognito.signin.user.admin")
_ASK_AGAIN: Final = "amplify-ask-again"
_TRIED: Final = "amplify-tried"
_TRIED_LASTS: Final = 60  # seconds: a circle takes less than one
_POOL_REMEMBERS: Final = 3600  # seconds for which Cognito's pages know a browser
TARGETS: Final = ("after_sign_in", "after_sign_out", "on_error")
_RESOURCE: Final = r"[A-Za-z][A-Za-z0-9+.\-]*://[!\"$-~]+"  # RFC 8707 2: absolute, no fragment
ROUTES: Final = ("sign-in", "sign-up", "sign-in-callback", "sign-out", "sign-out-callback")


@named_options
@dataclass(frozen=True, kw_only=True)
class AuthRoutes:
    """Routes for hosted sign-in, under Amplify's names.

        GET        /auth/sign-in            to the pool's sign-in page; ?next= and ?provider=
        GET        /auth/sign-up            to its page for new users
        GET        /auth/sign-in-callback   back from there, signed in
        GET, POST  /auth/sign-out           ends the session here and at the pool
        GET        /auth/sign-out-callback  back from there, signed out

    >>> AuthRoutes(origin="https://app.example.com").callback_url
    'https://app.example.com/auth/sign-in-callback'
    """

    origin: str
    """The site's own origin, such as `https://app.example.com`. Required."""

    prefix: str = "/auth"
    """The path above the routes. Default: `/auth`.

    With `AmplifyConfig(mount="/shop")` it is below that: `/auth` stands for `/shop/auth`. Without
    `mount` it is the whole path, and a server's own prefix is not added.
    """

    keys: Sequence[str | bytes] = field(default=(), repr=False)
    """Keys that seal a browser's state during a sign-in. Default: those of the `SealedSession`.

    `amplify-mw keygen` prints one; all processes need the same. The first one seals, all of them
    open. To change keys, give all processes `[old, new]`, then `[new, old]`, then `[new]`.
    """

    scopes: Sequence[str] | None = None
    """The scopes to ask for. Default: those of `amplify_outputs.json`.

    Without such a file: openid, email, profile and aws.cognito.signin.user.admin. Without `openid`
    there is no ID token, so it is required.
    """

    resource: str | None = None
    """The API that access tokens are for, such as `https://orders.example.com`. Default: None, any.

    It is asked for at each sign-in (RFC 8707), and Cognito writes it into `aud`. Cognito takes
    `https://`, `http://localhost` and schemes of one's own. It has to be in
    `AmplifyConfig(audience=...)`, if that is set.
    """

    after_sign_in: str = "/"
    """The path to go to after a sign-in without `next`. Default: `/`.

    Below the mount, like `prefix`. Outside of it, write the whole address:
    `https://app.example.com/`.
    """

    after_sign_out: str = "/"
    """The path to go to after a sign-out without `next`, likewise. Default: `/`."""

    on_error: str | None = None
    """The path to go to after a failed sign-in. Default: None, the library's own plain page.

    It gets `?error=` with a code, and `&pool_error=` with the user pool's own, if it sent one.
    """

    on_sign_in: Callable[[NewSignIn], object] | None = None
    """A function that is called once with each sign-in, before it begins. Default: None.

    For one's own user row, an invitation, a block. It gets a `NewSignIn`: user, attributes, tokens.
    An exception of its own ends the sign-in: no session begins, an earlier one stays, the tokens
    are revoked, and a page says so. Raise `PermissionError` or an `AuthError` to refuse the user
    (403, `sign_in_denied`). Anything else is a fault, and logged with its traceback (500,
    `sign_in_error`).

    Behind ASGI it may be async, and a plain function runs on a thread; behind WSGI an async one is
    refused at construction. The user is in its argument: `get_current_user()` has nobody yet. If
    the session cannot be stored afterwards, the next attempt calls it again. `start_session` does
    not call it.
    """

    on_sign_in_failed: Callable[[SignInFailure], object] | None = None
    """A function that is called with each failed sign-in, before the answer goes. Default: None.

    Behind ASGI it may be async, and a plain function runs on a thread. An exception of its own is
    logged.
    """

    attempt_lifetime: int = 300
    """Seconds to complete a sign-in. Default: 300, from 30 to 3,600."""

    get_sign_out: Literal["same-origin", "same-site", "never"] = "same-origin"
    """The pages whose links may sign out. Default: "same-origin", the site's own.

    "same-site": its subdomains' too. "never": a form has to post.
    """

    redirect_sign_in: Sequence[str] | None = None
    """The sign-in redirect URIs that the app client allows. Default: those of the file, if any.

    If they are known, a redirect URI that is missing there is refused at construction.
    """

    redirect_sign_out: Sequence[str] | None = None
    """The sign-out redirect URIs that the app client allows, likewise."""

    def __post_init__(self) -> None:
        split_origin(self.origin)
        longest = f"{self.prefix}/{max(ROUTES, key=len)}"  # the cookies of hops have it as Path
        is_plain = is_path(longest) and "//" not in longest and "/." not in longest
        if not is_plain or not self.prefix or "%" in self.prefix:
            raise ConfigurationError("AuthRoutes.prefix: write a decoded path such as '/auth'")
        for name in TARGETS:
            self._check_target(name, getattr(self, name))
        _check_listener("on_sign_in", self.on_sign_in, "NewSignIn")
        _check_listener("on_sign_in_failed", self.on_sign_in_failed, "SignInFailure")
        check_number("attempt_lifetime", self.attempt_lifetime, 30, 3600)
        if self.get_sign_out not in ("same-origin", "same-site", "never"):
            raise ConfigurationError(
                "AuthRoutes.get_sign_out: write 'same-origin', 'same-site' or 'never'"
            )
        set_fields(self, keys=check_seal_keys("AuthRoutes.keys", self.keys))
        is_uri = isinstance(self.resource, str) and re.fullmatch(_RESOURCE, self.resource)
        if self.resource is not None and not is_uri:
            raise ConfigurationError(
                "AuthRoutes.resource: write the API's address without '#', such as "
                f"'https://orders.example.com'; got {self.resource!r}"
            )
        for name in ("scopes", "redirect_sign_in", "redirect_sign_out"):
            set_fields(self, **{name: _strings(name, getattr(self, name))})
        if self.scopes is not None and "openid" not in self.scopes:
            raise ConfigurationError("AuthRoutes.scopes: without 'openid' nobody is signed in")

    def _check_target(self, name: str, target: object) -> None:
        is_target = isinstance(target, str) and re.fullmatch(r"[!-~]+", target) is not None
        path = str(target).removeprefix(self.origin)
        is_here = is_target and path.startswith("/") and path[1:2] not in ("/", "\\")
        if target is not None and not is_here:
            raise ConfigurationError(f"AuthRoutes.{name}: write a path of this site, such as '/'")
        if name == "on_error" and "#" in str(target):
            raise ConfigurationError("AuthRoutes.on_error: the code goes into its query; drop '#'")
        if target is not None and self.route_of(path.partition("?")[0]) is not None:
            raise ConfigurationError(f"AuthRoutes.{name}: {target!r} is one of the routes itself")

    def check_listed(self) -> None:
        """Raise `ConfigurationError` if the app client does not allow these redirect URIs."""
        for name, url in (
            ("redirect_sign_in", self.callback_url),
            ("redirect_sign_out", self.sign_out_callback_url),
        ):
            listed: Sequence[str] | None = getattr(self, name)
            if listed is not None and url not in listed:
                raise ConfigurationError(
                    f"AuthRoutes: {url!r} is not among the app client's {name} "
                    f"({', '.join(listed)}): add it there, or write the origin, mount and prefix "
                    "of one that is"
                )

    def at(self, mount: str) -> "AuthRoutes":
        """The routes of an app below `mount`, with whole paths.

        >>> AuthRoutes(origin="https://app.example.com").at("/shop").callback_url
        'https://app.example.com/shop/auth/sign-in-callback'
        """
        if not mount:
            return self
        paths = {name: getattr(self, name) for name in TARGETS}
        below = {
            name: mount + path
            for name, path in paths.items()
            if path is not None and path.startswith("/")
        }
        return replace(self, prefix=mount + self.prefix, **below)

    @property
    def callback_url(self) -> str:
        """The redirect URI of sign-in, for an app without a mount (see `at`)."""
        return f"{self.origin}{self.prefix}/sign-in-callback"

    @property
    def sign_out_callback_url(self) -> str:
        """The redirect URI of sign-out, likewise."""
        return f"{self.origin}{self.prefix}/sign-out-callback"

    @property
    def is_secure(self) -> bool:
        """Whether the site is on https."""
        return self.origin.startswith("https:")

    @property
    def scope(self) -> str:
        """The scopes to ask for, as one text (RFC 6749 3.3)."""
        return " ".join(_SCOPES if self.scopes is None else self.scopes)

    @property
    def ask_again(self) -> CookiePolicy:
        """The cookie that makes `sign-in` ask for the password again.

        A browser gets it if its session was ended from elsewhere: the pool remembers the browser,
        and would sign it in silently. Planting one only makes somebody type a password once more.
        """
        return CookiePolicy(
            name=_ASK_AGAIN,
            max_age=_POOL_REMEMBERS,
            path=self.prefix,
            secure=self.is_secure,
            same_site="Lax",
        )

    @property
    def tried(self) -> CookiePolicy:
        """The cookie that remembers an attempt to clear one of two session cookies.

        It keeps sign-ins from going round in circles in a browser that keeps both.
        """
        return CookiePolicy(
            name=_TRIED,
            max_age=_TRIED_LASTS,
            path=self.prefix,
            secure=self.is_secure,
            same_site="Lax",
        )

    @property
    def paths(self) -> dict[str, str]:
        """The routes' names by their paths."""
        return {f"{self.prefix}/{name}": name for name in ROUTES}

    def route_of(self, path: str) -> str | None:
        """The name of the route at a path; None if it is none."""
        return self.paths.get(path)

    def completed(self, **given: Any) -> "AuthRoutes":
        """With the app client's settings from a file, for options that were not given."""
        missing = {name: value for name, value in given.items() if getattr(self, name) is None}
        return replace(self, **missing)


def _check_listener(name: str, listener: object, value: str) -> None:
    is_usable = callable(listener) and isinstance(listener, Hashable)
    if listener is not None and (not is_usable or isinstance(listener, type)):
        raise ConfigurationError(
            f"AuthRoutes.{name}: write a function that takes a {value}; got {kind_of(listener)}"
        )


def _strings(name: str, values: Any) -> tuple[str, ...] | None:
    if values is None:
        return None
    is_list = not isinstance(values, str) and isinstance(values, Sequence)
    if not is_list or not all(isinstance(value, str) and value for value in values):
        raise ConfigurationError(f"AuthRoutes.{name}: write a list of strings; got {values!r}")
    return tuple(values)


def check_site(routes: AuthRoutes, *, insecure: bool) -> None:
    """Refuse a site that would sign in over plain http, and one on https with such a pool.

    `insecure`: the pool has `allow_insecure_http`.
    """
    _, host, _ = split_origin(routes.origin)
    if is_loopback(host):
        return
    if not routes.is_secure and not insecure:
        raise ConfigurationError(
            f"AuthRoutes.origin: {routes.origin!r} would send codes and cookies in the clear; "
            "write an https:// origin, or http://localhost for development (tests in a compose "
            "file: allow_insecure_http=True)"
        )
    if routes.is_secure and insecure:
        raise ConfigurationError(
            "allow_insecure_http: it is for emulators, and AuthRoutes.origin "
            f"{routes.origin!r} is a site for people, whose tokens may not go over plain http; "
            "leave it out and write https:// addresses of the pool"
        )


def check_scopes(scopes: frozenset[tuple[str | None, str]], routes: AuthRoutes, mount: str) -> None:
    """Raise unless browsers keep the session's cookies from these routes, and send them there.

    `scopes`: the cookies' domains and paths. `routes`: with whole paths, `mount` included.
    """
    _, host, _ = split_origin(routes.origin.lower())
    for domain, path in scopes:
        if not is_covered(f"{routes.prefix}/", path):
            elsewhere = (
                f"path={mount!r}"
                if mount
                else f"AuthRoutes(prefix={path.rstrip('/') + routes.prefix!r})"
            )
            raise ConfigurationError(
                f"cookie: browsers do not send a cookie of the path {path!r} to the sign-in routes "
                f"at {routes.prefix!r}, so that nobody could sign out; write path='/' "
                f"(CookiePolicy and AmplifyCookies have it by default), or {elsewhere}"
            )
        if domain is not None and not f".{host}".endswith(f".{domain.lower()}"):
            raise ConfigurationError(
                f"cookie: browsers drop a cookie of the domain {domain!r} that {routes.origin!r} "
                f"sets; write domain={host!r}, one above it, or None"
            )
