"""Credentials: where a request's sign-in comes from, and the value it brought.

    source    read from                sent by                          for
    cookie    the Cookie header        browsers, on their own           `CookieSource`
    bearer    the Authorization header programs, on purpose             `bearer.BearerSource`
    cookie    headers out of a request browsers (`user_of`)             `ReadSource`
    handover  a job's argument         `hand_over_user`                 `HandoverSource`
    test      nothing                  `amplify_mw.testing.signed_in`   `PinnedSource`

Each kind is one object per authenticator, made once. A request with a known cookie makes no object
here: its visit points to the source.

Rules:
- Browsers send cookies with requests of other sites' pages, too, and keep them until told
  otherwise. The source therefore decides on CSRF, on hops (a page that loads itself again, to get
  `SameSite=Strict` cookies), on clearing, on `Vary`, on the challenge of a 401, and on the conflict
  of two nested middlewares that read cookies of one name.
- The defaults of `Source` are those of a header that a program sets on purpose: no page can forge
  it, no response clears it, and it starts or ends no session.
- The Bearer header is read before the cookie, with `bearer=True`. Then answers to requests without
  one depend on both headers.
"""

# Annotations stay unevaluated: each one costs every import some microseconds.
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .errors import ConfigurationError
from .sessions.verdicts import NO_COOKIE
from .web.answers import Refusals
from .web.cookies import CookieLine
from .web.headers import OCTETS, TEXT, Spelling, with_cookies, with_default_cookies
from .web.requests import is_foreign, may_hop, request_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, AnyStr, ClassVar, TypeAlias

    from .config.config import AmplifyConfig
    from .effects import Flow
    from .sessions.verdicts import Resolution, Write
    from .web.answers import Asked
    from .web.cookies import SessionCookies
    from .web.mounts import Mounts

    Resolve: TypeAlias = Callable[[Any, float], Flow[Resolution]]

_BOTH: Final = ("Cookie", "Authorization")


class Credential:
    """A value, and its source. The value is not verified; no repr shows it."""

    __slots__ = ("source", "value")

    def __init__(self, source: Source, value: Any) -> None:
        self.source: Source = source
        self.value: Any = value

    def __repr__(self) -> str:
        return f"<Credential from a {self.source.name}>"


class Source:
    """A place that credentials come from, as a header which a program sets.

    `resolve`: the flow for the verdict on a value. `refusals`: makes the answers to errors. `text`
    and `octets`: header names and values as WSGI and ASGI spell them; `Vary` names this source.
    """

    name: ClassVar[str] = "header"
    clears: ClassVar[bool] = False
    """Whether a response clears an invalid credential, and may set a new one."""
    is_ambient: ClassVar[bool] = False
    """Whether browsers send it on their own, with requests of other sites' pages too."""
    is_pinned: ClassVar[bool] = False
    """Whether a test has chosen the user."""
    text: Spelling[str] = TEXT
    octets: Spelling[bytes] = OCTETS

    def __init__(self, resolve: Resolve, refusals: Refusals) -> None:
        self.resolve: Resolve = resolve
        self.refusals: Refusals = refusals

    def is_forged(self, headers: object) -> bool:  # noqa: ARG002
        """Whether another site's page made this request in the user's name (CSRF)."""
        return False

    def is_withheld(self, asked: Asked, cookies: bytes | None) -> bool:  # noqa: ARG002
        """Whether a browser may hold a credential and has not sent it with this link."""
        return False


class CookieSource(Source):
    """The session's cookie. `cookie`: reads and writes it. `mounts`: the app's."""

    name = "cookie"
    clears = True
    is_ambient = True

    def __init__(
        self,
        config: AmplifyConfig,
        cookie: SessionCookies,
        mounts: Mounts,
        *,
        resolve: Resolve,
    ) -> None:
        refusals = Refusals(
            cookie_name=cookie.name,
            login_url=config.login_url,
            origins=config.origins,
            tells_of_two=config.has_own_login,
            challenges=_challenges(config),
            sign_in_route=f"{config.routes.prefix}/sign-in" if config.routes else None,
        )
        super().__init__(resolve, refusals)
        if config.bearer:
            self.text: Spelling[str] = Spelling(TEXT.write, TEXT.spell, *_BOTH)
            self.octets: Spelling[bytes] = Spelling(OCTETS.write, OCTETS.spell, *_BOTH)
        self._config = config
        self._cookie = cookie
        self._mounts = mounts
        self._issuers = frozenset(config.pools_by_issuer)
        # Browsers ignore Clear-Site-Data on plain http, and warn of it.
        self.forgets: Final[bool] = not config.is_insecure
        self._ask_again = {
            mount: config.routes.at(mount).ask_again
            for mount in config.mount or ("",)
            if config.routes is not None
        }

    def is_forged(self, headers: object) -> bool:
        """Whether `Origin` or `Sec-Fetch-Site` says so. Not with `csrf=None`."""
        config = self._config
        return config.csrf is not None and is_foreign(headers, config.known_origins)

    def is_withheld(self, asked: Asked, cookies: bytes | None) -> bool:
        """Whether the cookie is `SameSite=Strict`, and another site's link opened this page."""
        is_hop = may_hop(asked.sec_fetch_site, cookies)
        return is_hop and asked.is_navigation and self._cookie.is_strict

    def refuse_conflict(self, outer: CookieSource) -> None:
        """Raise `ConfigurationError` if each middleware would clear the other's sessions."""
        shared = outer._cookie.names & self._cookie.names
        if not shared:
            return
        if outer._issuers != self._issuers:
            differ = "different user pools"
        elif outer._config.session != self._config.session:
            differ = "different kinds of session"
        else:
            return
        raise ConfigurationError(
            f"two middlewares around one app read {min(shared)!r} for {differ}, and each "
            "would clear the other's sessions: give one of them a cookie of its own, "
            "AmplifyConfig(cookie=CookiePolicy(name='...')), or an app client of its own"
        )

    def write(
        self,
        headers: list[tuple[AnyStr, AnyStr]],
        words: Spelling[AnyStr],
        new: Write,
        sent: bytes | None,
        request: Mapping[str, Any],
        *,
        by_app: bool,
        asks_again: bool,
    ) -> list[tuple[AnyStr, AnyStr]]:
        """`headers` with the cookie set to `new`, or cleared.

        `sent`: the request's `Cookie` header. `by_app`: the app started or ended a session; that
        also replaces cookies the app sets itself, and clears stray ones. `asks_again`: the next
        sign-in asks for the password.
        """
        mount, path = self._mounts.place_of("", request_path(request), request)
        clears = new is NO_COOKIE
        if clears:
            lines = self._cookie.clearing(sent, path)
        else:
            lines = self._cookie.setting(new, sent, path)
        if by_app:  # in front: the lines behind may set again a cookie which these clear
            lines = self._cookie.elsewhere(sent, path, self._config.cookie_domains) + lines
        if asks_again and self._ask_again:
            again = self._ask_again[mount]
            lines.append(CookieLine(again.name, again.setting("1")))
        put = with_cookies if by_app else with_default_cookies
        return put(headers, lines, words, forgets=self.forgets and (by_app or clears))


class PinnedSource(CookieSource):
    """A user that a test has chosen. No cookie was read; a sign-in or sign-out still writes one."""

    name = "test"
    is_pinned = True

    def __init__(self, source: CookieSource) -> None:
        vars(self).update(vars(source))

    def is_forged(self, headers: object) -> bool:  # noqa: ARG002
        """Never: tests send no `Origin`."""
        return False


class ReadSource(CookieSource):
    """The session's cookie, read where no response can set another. `look`: a kind's flow."""

    def __init__(self, source: CookieSource, look: Resolve) -> None:
        vars(self).update(vars(source))
        self.resolve = look


class HandoverSource(Source):
    """A job's text with a user in it (`acting_as`). There is no request, and no response."""

    name = "handover"

    def __init__(self, source: CookieSource) -> None:
        super().__init__(source.resolve, source.refusals)


def _challenges(config: AmplifyConfig) -> tuple[str, ...]:
    """The challenges for a request without a Bearer token, with `bearer=True`."""
    if not config.bearer:
        return ()
    from .web.authorization import challenge  # for sites that use it

    return (challenge(metadata=config.metadata_url),)
