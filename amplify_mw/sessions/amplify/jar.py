"""The `Set-Cookie` lines by which Amplify JS's cookies are written, cleaned and cleared.

Rules:
- Names are spelled as they were sent. Where none were, as js-cookie spells them, which deletes what
  it spells alone; with `http_only` as the Next adapter does. They differ for parentheses.
- Values are spelled as js-cookie does: a browser with Amplify JS and a Next server both read these.
  A `LastAuthUser` that was sent unencoded stays as it is: the adapter's sign-out decodes none.
- What a sign-in or refresh does not bring is cleared, so that no cookie of the one before is read
  beside it. `clockDrift` is the browser's measure of its own clock: it is left as it is, and begun
  with 0, which is what Amplify takes where it is missing.
- A cookie is deleted with the Path and Domain that it was set with; a browser would keep it
  otherwise. It is deleted as well for the domains that it may once have had (the host's own and
  `former_domains`), and where it was sent more than once for the paths above the request's. So is
  `LastAuthUser` at the end: without it, nobody is signed in whatever else is left.
- Where a sign-in or a sign-out finds a cookie twice, it is deleted at the domains above the site's,
  too, and `LastAuthUser` is there in any case. Never partitioned ones: Amplify JS makes none.
- Where `LastAuthUser` is missing Amplify reads the user called `username`, who is signed out too.
- With `http_only` no cookie is touched but those of the four suffixes that Next's server mode has.
- An ID token that no browser would keep for its length is cleared: an older one would be read.
- No bytes of a client's are repeated that could end a cookie or a header, and however many cookies
  there are to clean, the lines are not many more than a browser with all its duplicates needs.
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
_MAX_NAMES: Final = 32  # of a user, in all their spellings: no front end has so many
_MAX_ELSEWHERE: Final = 100  # lines: seven names in twelve places need fewer
_NAME: Final = re.compile(r"[ -:<>-~\x80-\xff]+")  # what may be repeated of a client's bytes

_Target = dict[str, str | None]  # cookies by their names: what to set them to; None clears


class AmplifyJar:
    """The cookies of Amplify JS, as `policy` sets them. `clients`: the app clients, in order.

    The policy's name is not used. `former_domains`: where else the cookies may once have been set.

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

    max_bytes = MAX_PAIR_BYTES  # of each of its cookies

    def __init__(
        self, policy: CookiePolicy, clients: tuple[str, ...], former_domains: tuple[str, ...] = ()
    ) -> None:
        self._policy = policy
        self._families = [CookieFamily(client) for client in clients]
        self._domains = tuple(dict.fromkeys((policy.domain, None, *former_domains)))
        self._owned = _TOKENS if policy.http_only else (*_TOKENS, *_BROWSERS)
        self.names = frozenset(f"{PREFIX}.{client}" for client in clients)
        self.scopes = frozenset({(policy.domain, policy.path)})
        self.is_strict = policy.same_site == "Strict"
        self.name = f"{PREFIX}.{clients[0]}.{LAST_AUTH_USER}"
        self.read: Callable[[bytes], bytes | Duplicate | None] = FamilyReader(self._families).read

    def ambiguous(self, sent: bytes) -> list[bytes]:  # noqa: ARG002
        """Nothing: which of several cookies belong together nobody knows."""
        return []

    def size(self, new: NewCookie) -> int:
        """Bytes of the largest cookie that a session cannot do without."""
        (mine, *_) = sets_in(new.value.encode())
        cookies = self._written(mine, js_name(mine.user), has_drift=True)
        return max(
            len(name) + len(text or "")
            for name, text in cookies.items()
            if not name.endswith(_OPTIONAL)
        )

    def setting(self, new: NewCookie, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that make `new` what Amplify reads, and leave nothing else to be read.

        They last as long as the policy says. `sent`: the request's `Cookie` header. `path`: the
        request's, as its URL spells it. Raises `SessionTooLargeError` for tokens that no browser
        would keep, and `ValueError` for what it would misread.
        """
        size = self.size(new)
        if size > self.max_bytes:
            raise SessionTooLargeError(size, self.max_bytes)
        (mine, *_) = sets_in(new.value.encode())
        return list(self._lines(sent, path, mine))

    def merged(self, earlier: NewCookie, later: NewCookie) -> NewCookie:  # noqa: ARG002
        """What is to be set where both are in one response: the latter."""
        return later

    def complaint(self, sent: bytes) -> str | None:
        """That cookies of one name come twice with one request, as Amplify's then differ."""
        for family in self._families:
            names = [name for name, _ in family.sent(sent).pairs]
            if len(set(names)) < len(names):
                return (
                    f"cookies {PREFIX}.{family.client}.* came twice with one request: the front "
                    "end sets them with a `domain` or `path` that AmplifyCookies has not, and each "
                    "side reads its own; write what its CookieStorage({domain, path}) or the "
                    "adapter's runtimeOptions say, AmplifyCookies(domain='example.com'), and in "
                    "former_domains=[...] those that were used before"
                )
        return None

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that sign the user of the cookies that were sent out."""
        return list(self._lines(sent, path, None))

    def elsewhere(
        self, sent: bytes | None, path: str, domains: Sequence[str], *, anywhere: bool = False
    ) -> list[CookieLine]:
        """The lines that clear what was sent and is not where `setting` and `clearing` look."""
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
        """The name of a cookie, if it is one that may be deleted."""
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
        """What becomes of a client's cookies: `mine` is written, what else is there is cleared."""
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
            is_mine = mine is not None and user == mine.user
            sent = dict.fromkeys(
                name.decode("latin-1")
                for name, suffix, _ in found.of_user(user)
                if suffix in self._owned and (not is_mine or suffix in _RENEWED)
            )
            stale = [*sent][:_MAX_NAMES]
            if stale and not is_mine:  # unseen ones as well: another response may just set them
                spellings = dict.fromkeys((server_name(user), js_name(user)))
                stale += [f"{name}.{suffix}" for name in spellings for suffix in _TOKENS]
            for name in stale:
                if _NAME.fullmatch(name):
                    target.setdefault(_name(client, name), None)
        return target

    def _spelled(self, found: SentCookies, user: str) -> str:
        """How a user is spelled in the names that are written."""
        default = server_name(user) if self._policy.http_only else js_name(user)
        return found.spelling(user) or default

    def _written(self, mine: AmplifySet, spelled: str, *, has_drift: bool) -> _Target:
        """A session's cookies by their names. None: those that are not to be there."""
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
        """The lines that clear what was sent wherever else it may have been set."""
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
    """Whether a browser keeps a cookie as it is written."""
    try:
        check_value(text)
    except ValueError:
        return False
    return bool(text) and len(name) + len(text) <= MAX_PAIR_BYTES


def _line(name: str, text: str | None, policy: CookiePolicy) -> CookieLine:
    """The policy's own line, for a cookie of another name; its attributes stay as they are."""
    line = policy.clearing if text is None else policy.setting("")
    return CookieLine(name, f"{name}={text or ''};{line.partition(';')[2]}")
