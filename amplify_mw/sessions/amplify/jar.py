"""The `Set-Cookie` lines by which Amplify JS's cookies are written, cleaned and cleared.

Rules:
- Names are spelled as they were sent. If none were, they are spelled as by js-cookie, which deletes
  only its own spelling; with `http_only`, as by the Next adapter. The two differ for parentheses.
- Values are spelled as by js-cookie: a browser with Amplify JS and a Next server both read these. A
  `LastAuthUser` sent unencoded stays as it is: the adapter's sign-out does not decode it.
- A cookie missing from a new sign-in or refresh is cleared, so that no earlier one is read beside
  the new ones. `clockDrift` measures the browser's own clock: it is left alone, and starts with 0,
  Amplify's default.
- A cookie is deleted with the Path and Domain of its setting; otherwise a browser would keep it. It
  is also deleted for its possible former domains (the host's own and `former_domains`), and, if it
  was sent more than once, for the paths above the request's. At sign-out so is `LastAuthUser`:
  without it nobody is signed in, even if other cookies are left.
- If a sign-in or a sign-out finds a cookie twice, the cookie is also deleted at the domains above
  the site's, and `LastAuthUser` always is. Partitioned cookies are not: Amplify JS makes none.
- Without `LastAuthUser` Amplify reads the user called `username`: that user is signed out, too.
- With `http_only` only cookies of the four suffixes of Next's server mode are touched.
- An ID token too long for any browser is cleared: an older one would be read.
- No bytes from a client are repeated if they could end a cookie or a header. The number of lines is
  bounded, near the number for a real browser with all its duplicates.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from ...errors import SessionTooLargeError
from ...web.cookie_policy import MAX_PAIR_BYTES, CookiePolicy, check_value, paths_above
from ...web.cookies import CookieLine, Duplicate, NewCookie
from .wire import (
    LAST_AUTH_USER,
    NOBODY_IN_PARTICULAR,
    PREFIX,
    AmplifySet,
    CookieFamily,
    FamilyReader,
    SentCookies,
    js_name,
    js_value,
    server_name,
    sets_in,
)

_TOKENS: Final = ("accessToken", "idToken", "refreshToken")
_BROWSERS: Final = ("signInDetails", "clockDrift", "oauthMetadata")  # beside them, with Amplify JS
_RENEWED: Final = (*_TOKENS, "signInDetails")
_OPTIONAL: Final = ("idToken", "signInDetails")
_MAX_NAMES: Final = 32  # of a user, in all spellings: no front end has so many
_MAX_ELSEWHERE: Final = 100  # lines: seven names in twelve places need fewer
_NAME: Final = re.compile(r"[ -:<>-~\x80-\xff]+")  # bytes from a client that may be repeated

_Target = dict[str, str | None]  # cookies by their names: what to set them to; None clears


class AmplifyJar:
    """The cookies of Amplify JS, as `policy` sets them. `clients`: the app clients, in order.

    The policy's name is not used. `former_domains`: other domains these cookies once had.

    >>> jar = AmplifyJar(CookiePolicy(http_only=False, same_site="Lax"), ("web",))
    >>> mine = AmplifySet("web", "a@b.com", b"A", b"I", b"R", b"")
    >>> for line in jar.setting(NewCookie(mine.value.decode()), sent=None):
    ...     print(line.value.partition(";")[0].removeprefix("CognitoIdentityServiceProvider.web."))
    LastAuthUser=a@b.com
    a%40b.com.accessToken=A
    a%40b.com.idToken=I
    a%40b.com.refreshToken=R
    a%40b.com.clockDrift=0
    """

    max_bytes: int = MAX_PAIR_BYTES  # of each of its cookies

    def __init__(
        self, policy: CookiePolicy, clients: tuple[str, ...], former_domains: tuple[str, ...] = ()
    ) -> None:
        self._policy = policy
        self._families = [CookieFamily(client) for client in clients]
        self._domains = tuple(dict.fromkeys((policy.domain, None, *former_domains)))
        self._owned = _TOKENS if policy.http_only else (*_TOKENS, *_BROWSERS)
        self.names: frozenset[str] = frozenset(f"{PREFIX}.{client}" for client in clients)
        self.scopes: frozenset[tuple[str | None, str]] = frozenset({(policy.domain, policy.path)})
        self.is_strict: bool = policy.same_site == "Strict"
        self.name: str = f"{PREFIX}.{clients[0]}.{LAST_AUTH_USER}"
        self.read: Callable[[bytes], bytes | Duplicate | None] = FamilyReader(self._families).read

    def ambiguous(self, sent: bytes) -> list[bytes]:  # noqa: ARG002
        """Nothing: it is unknown which of several cookies belong together."""
        return []

    def size(self, new: NewCookie) -> int:
        """Bytes of a session's largest indispensable cookie."""
        (mine, *_) = sets_in(new.value.encode())
        cookies = self._written(mine, js_name(mine.user), has_drift=True)
        return max(
            len(name) + len(text or "")
            for name, text in cookies.items()
            if not name.endswith(_OPTIONAL)
        )

    def setting(self, new: NewCookie, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines after which Amplify reads `new`, and no older cookie.

        They last as long as the policy says. `sent`: the request's `Cookie` header. `path`: the
        request's, as its URL spells it. Raises `SessionTooLargeError` for tokens too long for a
        browser, and `ValueError` for values a browser would misread.
        """
        size = self.size(new)
        if size > self.max_bytes:
            raise SessionTooLargeError(size, self.max_bytes)
        (mine, *_) = sets_in(new.value.encode())
        return list(self._lines(sent, path, mine))

    def merged(self, earlier: NewCookie, later: NewCookie) -> NewCookie:  # noqa: ARG002
        """The value to set if both are in one response: the later."""
        return later

    def complaint(self, sent: bytes) -> str | None:
        """A warning if a request brings two cookies of one name: Amplify's readers then differ."""
        for family in self._families:
            if family.sent(sent).has_doubles:
                return (
                    f"cookies {PREFIX}.{family.client}.* came twice with one request: the front "
                    "end sets them with a `domain` or `path` that AmplifyCookies has not, and each "
                    "side reads its own; write what its CookieStorage({domain, path}) or the "
                    "adapter's runtimeOptions say, AmplifyCookies(domain='example.com'), and in "
                    "former_domains=[...] those that were used before"
                )
        return None

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that sign out the user of these cookies."""
        return list(self._lines(sent, path, None))

    def elsewhere(
        self, sent: bytes | None, path: str, domains: Sequence[str], *, anywhere: bool = False
    ) -> list[CookieLine]:
        """The lines that clear these cookies at domains `setting` and `clearing` do not reach."""
        foreign = [domain for domain in domains if domain not in self._domains]
        lines = (
            _line(full, None, replace(self._policy, path=codec, domain=domain))
            for family in self._families
            for name, count in Counter(name for name, _ in family.sent(sent or b"").pairs).items()
            if (full := self._owned_name(family.client, name)) is not None
            if count > 1 or anywhere or name == LAST_AUTH_USER.encode()
            for codec in ("/", *(paths_above(path) if count > 1 or anywhere else ()))
            for domain in foreign
        )
        return list(islice(lines, _MAX_ELSEWHERE))

    def _owned_name(self, client: str, name: bytes) -> str | None:
        """The full name of a cookie, if it may be deleted."""
        text = name.decode("latin-1")
        is_owned = text == LAST_AUTH_USER or text.rpartition(".")[2] in self._owned
        return _name(client, text) if is_owned and _NAME.fullmatch(text) else None

    def _lines(
        self, sent: bytes | None, path: str, mine: AmplifySet | None
    ) -> Iterator[CookieLine]:
        for family in self._families:
            found = family.sent(sent or b"")
            own = mine if mine is not None and mine.client == family.client else None
            target = self._target(family.client, found, own)
            ours = set(target)
            if own is not None and not self._policy.http_only:
                ours.add(_name(f"{own.client}.{self._spelled(found, own.user)}", "clockDrift"))
            elsewhere = self._elsewhere(family.client, found, target, ours, path)
            yield from islice(elsewhere, _MAX_ELSEWHERE)
            for name, text in target.items():
                yield _line(name, text, self._policy)

    def _target(self, client: str, found: SentCookies, mine: AmplifySet | None) -> _Target:
        """A client's cookies after the response: `mine` is written, all others are cleared."""
        target: _Target = {}
        if mine is not None:
            drift = "clockDrift" in {suffix for _, suffix, _ in found.of_user(mine.user)}
            target = self._written(mine, self._spelled(found, mine.user), has_drift=drift)
            if found.is_unencoded(mine.user):
                del target[_name(client, LAST_AUTH_USER)]
        elif found.pairs:
            target[_name(client, LAST_AUTH_USER)] = None
        current = mine.user if mine is not None else NOBODY_IN_PARTICULAR
        for user in dict.fromkeys((*found.users(), current)):
            for name in self._stale(found, user, is_mine=mine is not None and user == mine.user):
                if _NAME.fullmatch(name):
                    target.setdefault(_name(client, name), None)
        return target

    def _stale(self, found: SentCookies, user: str, *, is_mine: bool) -> list[str]:
        """The names of a user's cookies to clear unless they are written. `is_mine`: some are."""
        sent = dict.fromkeys(
            name.decode("latin-1")
            for name, suffix, _ in found.of_user(user)
            if suffix in self._owned and (not is_mine or suffix in _RENEWED)
        )
        stale = [*sent][:_MAX_NAMES]
        if stale and not is_mine:  # unseen ones as well: another response may just set them
            spellings = dict.fromkeys((server_name(user), js_name(user)))
            stale += [f"{name}.{suffix}" for name in spellings for suffix in _TOKENS]
        return stale

    def _spelled(self, found: SentCookies, user: str) -> str:
        """A user as spelled in the names to be written."""
        default = server_name(user) if self._policy.http_only else js_name(user)
        return found.spelling(user) or default

    def _written(self, mine: AmplifySet, spelled: str, *, has_drift: bool) -> _Target:
        """A session's cookies by their names. None: a cookie to clear."""
        user = f"{mine.client}.{spelled}"
        target: _Target = {_name(mine.client, LAST_AUTH_USER): js_value(mine.user)}
        for suffix, token in zip(_TOKENS, (mine[2], mine[3], mine[4]), strict=True):
            target[_name(user, suffix)] = token.decode("latin-1") or None
        if not self._policy.http_only:
            if mine.sign_in_details:
                target[_name(user, "signInDetails")] = js_value(mine.details)
            if not has_drift:
                target[_name(user, "clockDrift")] = "0"
        for name, text in target.items():
            if not name.endswith(_OPTIONAL):
                check_value(text or "")
            elif not _is_kept(name, text or ""):
                target[name] = None
        return target

    def _elsewhere(
        self, client: str, found: SentCookies, target: _Target, ours: Container[str], path: str
    ) -> Iterator[CookieLine]:
        """The lines that clear the cookies of `ours` at other paths and domains."""
        counts = Counter(_name(client, name.decode("latin-1")) for name, _ in found.pairs)
        above = paths_above(path)
        for name, count in counts.items():
            if name not in ours:
                continue
            ends_all = name.endswith(LAST_AUTH_USER) and target.get(name) is None
            for codec in ("/", *(above if count > 1 or ends_all else [])):
                for domain in self._domains:
                    if (codec, domain) != (self._policy.path, self._policy.domain):
                        policy = replace(self._policy, path=codec, domain=domain)
                        yield _line(name, None, policy)


def _name(client: str, rest: str) -> str:
    return f"{PREFIX}.{client}.{rest}"


def _is_kept(name: str, text: str) -> bool:
    """Whether a browser keeps a cookie unchanged."""
    try:
        check_value(text)
    except ValueError:
        return False
    return bool(text) and len(name) + len(text) <= MAX_PAIR_BYTES


def _line(name: str, text: str | None, policy: CookiePolicy) -> CookieLine:
    """The policy's own line, for a cookie of another name; its attributes stay as they are."""
    line = policy.clearing if text is None else policy.setting("")
    return CookieLine(name, f"{name}={text or ''};{line.partition(';')[2]}")
