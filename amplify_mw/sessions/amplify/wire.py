"""Amplify JS's cookies: their names, their spellings, and reading them.

    CognitoIdentityServiceProvider.<client id>.LastAuthUser        the user who is signed in
    CognitoIdentityServiceProvider.<client id>.<user>.accessToken  and .idToken, .refreshToken,
                                                                   .signInDetails, .clockDrift, ...

Rules:
- `LastAuthUser` selects the cookies to read, and proves nothing about the user. Without it, Amplify
  reads the user called `username`. Cookies of other clients and users are ignored.
- Names and values are read in the spelling of every known writer: percent-encoded by js-cookie or
  by the Next adapter (which differ for parentheses), encoded in full, in part, or not at all. A
  cookie that does not decode is ignored, and so is an empty one.
- `<user>` may be any text; the last dot of a name ends it.
- A token with a comma is ignored: a server has joined two `Cookie` fields. Other values may have a
  comma, if their writer did not encode it.
- If a name is sent more than once, Next reads the last, js-cookie the first. If the two views
  differ, both are returned, and the caller decides.
- Linear time and no exception, on any bytes; other users' cookies cost almost nothing.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

PREFIX: Final = "CognitoIdentityServiceProvider"
LAST_AUTH_USER: Final = "LastAuthUser"
NOBODY_IN_PARTICULAR: Final = "username"  # amplify-js, TokenStore.getLastAuthUser
_READ: Final = ("accessToken", "idToken", "refreshToken", "signInDetails")
_SUFFIXES: Final = tuple(f".{suffix}".encode() for suffix in _READ)
_TOKENS: Final = 3  # the first of them
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_CHECKED: Final = (".accessToken", ".idToken")  # adapter-nextjs, createTokenValidator.ts
_LAST: Final = LAST_AUTH_USER.encode()
_FIELD: Final = b"\x1f"  # between the fields of a set: no cookie's value holds control characters
_SET: Final = b"\x1e"  # between sets
_MEMO_BYTES: Final = 4 * 1024 * 1024
_SAMPLED: Final = 2048  # bytes, of which every 16th tells most headers apart
_SAMPLING: Final = 16
_LONGEST_USER: Final = 128  # characters; longer ones are not Cognito's, and not kept
_SEMICOLON: Final = ord(";")
_LONGEST_KNOWN: Final = 12 * _LONGEST_USER  # bytes, percent-encoded


def server_name(user: str) -> str:
    """A user in a cookie's name, spelled as by the Next adapter. js-cookie reads it, too.

    >>> server_name("a@b.com"), server_name("a(b)")
    ('a%40b.com', 'a(b)')
    """
    return quote(user, safe="!~*'()#$&+^`|")


def js_name(user: str) -> str:
    """A user in a cookie's name, spelled as by js-cookie.

    >>> js_name("a(b)")
    'a%28b%29'
    """
    return server_name(user).replace("(", "%28").replace(")", "%29")


def user_of(username: str, sub: str) -> str:
    """The user in the names of a new session's cookies: the username, or else the `sub`.

    To readers it is only a part of names; tokens name the user. Amplify's readers agree only about
    plain characters (js-cookie and the Next adapter spell parentheses in two ways; the adapter's
    sign-out decodes no `LastAuthUser`), and the adapter mistakes a username with a token's suffix
    in it for that token.

    >>> user_of("ada", "8f14e45f"), user_of("ada(uk)", "8f14e45f"), user_of("a.idToken", "8f14e45f")
    ('ada', '8f14e45f', '8f14e45f')
    """
    for name in (username, sub):
        if _PLAIN.fullmatch(name) and not any(suffix in name for suffix in _CHECKED):
            return name
    return "".join(filter(str.isprintable, username)) or NOBODY_IN_PARTICULAR


def js_value(text: str) -> str:
    """A value spelled as by js-cookie: most of it is readable even without decoding.

    >>> js_value('{"loginId":"a@b.com"}')
    '{%22loginId%22:%22a@b.com%22}'
    """
    return quote(text, safe="!~*'()#$&+/:<=>?@[]^`{|}")


def decoded(raw: bytes) -> str | None:
    """A name or value without its percent-encoding; None if the result is not UTF-8.

    A `%` that begins no code stands for itself. What is not encoded is UTF-8, or else Latin-1.
    """
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    elif not raw.isascii():
        return _plain(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def text_of(raw: bytes) -> str:
    """A value decoded; or unchanged, if its writer did not encode it (`100%ada`)."""
    text = decoded(raw)
    return _plain(raw) if text is None else text


def _plain(raw: bytes) -> str:
    """An unencoded value."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _spellings(user: str) -> tuple[bytes, ...]:
    """A user in the spellings of all known writers, the Next adapter first.

    The adapter did not encode names before its version 1.7.
    """
    if user.isascii() and user.replace("-", "").isalnum():  # as UUIDs are: all spell it so
        return (user.encode(),)
    return _known_spellings(user) if len(user) <= _LONGEST_USER else _all_spellings(user)


def _all_spellings(user: str) -> tuple[bytes, ...]:
    known = [server_name(user).encode(), js_name(user).encode()]
    if "%" not in user:  # else it reads as another user's
        known.append(user.encode())
        with suppress(UnicodeEncodeError):
            known.append(user.encode("latin-1"))
    return tuple(dict.fromkeys(known))


_known_spellings = lru_cache(maxsize=1024)(_all_spellings)


@lru_cache(maxsize=1024)
def _user_in(raw: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The user in a `LastAuthUser`, and its spellings in names; empty if it is not text."""
    user = decoded(raw)
    return (user, _spellings(user)) if user else ("", ())


_NOBODYS: Final = _spellings(NOBODY_IN_PARTICULAR)


class AmplifySet(NamedTuple):
    """One user's cookies of one client. A missing cookie is empty.

    `user`: what the names of the cookies say. `sign_in_details`: JSON, encoded as it came.
    """

    client: str
    user: str
    access_token: bytes
    id_token: bytes
    refresh_token: bytes
    sign_in_details: bytes

    def __repr__(self) -> str:
        return "<AmplifySet>"

    @property
    def details(self) -> str:
        """The JSON of `sign_in_details`."""
        return text_of(self.sign_in_details)

    @property
    def value(self) -> bytes:
        """All fields as one value: the session's cookie value for the rest of the library."""
        return _FIELD.join((self.client.encode(), self.user.encode(), *self[2:]))


class SetsValue(bytes):
    """The value of the cookies that were sent. `sets`: the same, taken apart.

    `is_plain`: it is one set, only one client's cookies were looked for, and each came once.
    """

    sets: tuple[AmplifySet, ...]
    is_plain: bool = False

    def __repr__(self) -> str:
        return "<SetsValue>"

    __str__ = __repr__

    @classmethod
    def of(cls, sets: Sequence[AmplifySet]) -> "SetsValue":
        """The value of these sets: Next's view, and js-cookie's if it differs."""
        value = cls(_SET.join([mine.value for mine in sets]))
        value.sets = tuple(sets)
        return value


def sets_in(value: bytes) -> tuple[AmplifySet, ...]:
    """The sets in a value read by a `FamilyReader`."""
    if isinstance(value, SetsValue):
        return value.sets
    if not value:
        return ()
    parts = [part.split(_FIELD) for part in value.split(_SET)]
    return tuple(AmplifySet(client.decode(), user.decode(), *rest) for client, user, *rest in parts)


class SentCookies(NamedTuple):
    """A client's cookies in a header: their names without the client's part, and their values."""

    pairs: list[tuple[bytes, bytes]]

    def __repr__(self) -> str:
        return "<SentCookies>"

    @property
    def has_doubles(self) -> bool:
        """Whether one name came twice."""
        return len({name for name, _ in self.pairs}) < len(self.pairs)

    def users(self) -> tuple[str, ...]:
        """The users `LastAuthUser` may mean: in Next's view, then js-cookie's; most often one."""
        found = [value for name, value in self.pairs if name == _LAST and value]
        texts = [text for raw in (*found[-1:], *found[:1]) for text in _readings(raw)]
        return tuple(dict.fromkeys(texts)) or (NOBODY_IN_PARTICULAR,)

    def is_unencoded(self, user: str) -> bool:
        """Whether one `LastAuthUser` was sent, with this user unencoded, unlike `js_value`."""
        sent = [value for name, value in self.pairs if name == _LAST]
        # What those begin, some readers decode or strip.
        is_one = len(sent) == 1 and not {*b'%"'} & {*sent[0]}
        return is_one and _plain(sent[0]) == user != js_value(user)

    def spelling(self, user: str) -> str | None:
        """The spelling of a user in the names of its tokens: the Next adapter's or js-cookie's.

        None if they differ, or none was sent.
        """
        sent = {
            name.rpartition(b".")[0].decode("latin-1")
            for name, suffix, _ in self.of_user(user)
            if suffix in _READ[:_TOKENS]
        }
        found = sent & {server_name(user), js_name(user)}
        return found.pop() if len(found) == 1 else None

    def of_user(self, user: str) -> list[tuple[bytes, str, bytes]]:
        """A user's cookies, in any spelling: their names as sent, suffixes and values."""
        found, spellings = [], _spellings(user)
        for name, value in self.pairs:
            spelled, dot, suffix = name.rpartition(b".")
            if dot and (spelled in spellings or decoded(spelled) == user):
                found.append((name, suffix.decode("latin-1"), value))
        return found


def _readings(raw: bytes) -> list[str]:
    """The meanings of a `LastAuthUser`: decoded; or unchanged, if its writer did not encode it."""
    readings = [text for text in (decoded(raw), _plain(raw)) if text]
    return list(dict.fromkeys(readings))


class CookieFamily:
    """One client's cookies, found in headers.

    >>> family = CookieFamily("web")
    >>> prefix = "CognitoIdentityServiceProvider.web"
    >>> sent = f"{prefix}.LastAuthUser=a@b; {prefix}.a%40b.accessToken=A; {prefix}.c.idToken=C"
    >>> family.views(sent.encode())
    [<AmplifySet>]
    """

    def __init__(self, client: str) -> None:
        self.client: str = client
        self._start = f"{PREFIX}.{client}.".encode()
        self._between = b"; " + self._start

    def sent(self, header: bytes) -> SentCookies:
        """The cookies of this client in a header, in their order."""
        # The one spelling that browsers send is taken apart by one search.
        before, *parts = (b"; " + header).split(self._between)
        pairs = []
        if self._start in before:
            return self._sent_in_any_spelling(header)
        for part in parts:
            pair, more, others = part.partition(b";")
            if more and self._start in others:
                return self._sent_in_any_spelling(header)
            name, equals, value = pair.partition(b"=")
            if equals:
                pairs.append((name.rstrip(b" \t"), value.strip(b" \t")))
        return SentCookies(pairs)

    def _sent_in_any_spelling(self, header: bytes) -> SentCookies:
        pairs = []
        for cookie in header.split(b";"):
            name, equals, value = cookie.partition(b"=")
            name = name.strip(b" \t")
            if equals and name.startswith(self._start):
                pairs.append((name[len(self._start) :], value.strip(b" \t")))
        return SentCookies(pairs)

    def views(self, header: bytes) -> list[AmplifySet]:
        """The user's sets: one, two different ones, or none."""
        return self.views_of(self.sent(header))

    def views_of(self, sent: SentCookies) -> list[AmplifySet]:
        """The same in cookies of this client."""
        if not sent.pairs:
            return []
        last = dict(sent.pairs)
        if len(last) == len(sent.pairs):
            view = self._plain_view(last)
            if view is not None:
                return [view]
        views = [self._view(sent.pairs), self._view(sent.pairs[::-1])]
        return list(dict.fromkeys(view for view in views if view is not None))

    def _plain_view(self, cookies: dict[bytes, bytes]) -> AmplifySet | None:
        """The set of a user with cookies in one spelling; None if it is less simple."""
        raw = cookies.get(_LAST)
        if raw and len(raw) > _LONGEST_KNOWN:
            return None
        user, spellings = _user_in(raw) if raw else (NOBODY_IN_PARTICULAR, _NOBODYS)
        present = [name for name in spellings if name + b".accessToken" in cookies]
        if len(present) != 1:
            return None
        return self._set(user, [cookies.get(present[0] + suffix, b"") for suffix in _SUFFIXES])

    def _view(self, pairs: list[tuple[bytes, bytes]]) -> AmplifySet | None:
        """The set as read by a reader for which later cookies win; None if there is none."""
        sent, fallback = SentCookies(pairs), None
        raw = dict(pairs).get(_LAST)
        for user in _readings(raw) if raw else [NOBODY_IN_PARTICULAR]:
            found = {suffix: value for _, suffix, value in sent.of_user(user)}
            if found.keys() & set(_READ):
                view = self._set(user, [found.get(suffix, b"") for suffix in _READ])
                if found.get("accessToken"):
                    return view
                fallback = fallback or view
        return fallback

    def _set(self, user: str, values: list[bytes]) -> AmplifySet | None:
        values = [b"" if b"," in value else value for value in values[:_TOKENS]] + values[_TOKENS:]
        if not any(values):
            return None
        mine = AmplifySet(self.client, user, *values)
        text = b"".join((user.encode(), *values))
        return None if _FIELD in text or _SET in text else mine  # which no cookie's value holds


class FamilyReader:
    """Reads the sets of one or more clients from `Cookie` headers.

    Of several clients the first with an access token counts, good or not.
    """

    def __init__(self, families: list[CookieFamily]) -> None:
        self._families = families
        self._marker = f"{PREFIX}.".encode()
        # What was read before. Reading is a function of what is read, so that whichever thread
        # writes an entry, it is right.
        self._memo: dict[bytes, tuple[bytes, bytes | None]] = {}
        self._memo_bytes = 0

    def read(self, header: bytes) -> bytes | None:
        """The value of the sets in a header; None if there is none."""
        at = header.find(self._marker)
        if at < 0:
            return None
        # From the first to the last cookie of such a name: what changes around them, as analytics
        # cookies do on each page, is not looked at.
        start = header.rfind(b";", 0, at) + 1
        if header.startswith(b" ", start):
            start += 1
        sample = header[start : start + _SAMPLED : _SAMPLING]
        known = self._memo.get(sample)
        if known is not None and self._is_all(header, start, known[0]):
            return known[1]
        end = header.find(b";", header.rfind(self._marker))
        region = header[start : end if end >= 0 else None]
        value = self._read(region)
        self._note(sample, region, value)
        return value

    def _is_all(self, header: bytes, start: int, region: bytes) -> bool:
        """Whether a header has just `region` from `start` on, and none of our cookies after it."""
        if not header.startswith(region, start):
            return False
        end = start + len(region)
        ends = end == len(header) or header[end] == _SEMICOLON
        return ends and header.find(self._marker, end) < 0

    def _read(self, header: bytes) -> bytes | None:
        fallback: list[AmplifySet] = []
        for family in self._families:
            sent = family.sent(header)
            views = family.views_of(sent)
            if any(mine.access_token for mine in views):
                value = SetsValue.of(views)
                is_alone = len(self._families) == len(views) == 1
                value.is_plain = is_alone and not sent.has_doubles
                return value
            fallback = fallback or views
        return SetsValue.of(fallback) if fallback else None

    def _note(self, sample: bytes, region: bytes, value: bytes | None) -> None:
        if self._memo_bytes > _MEMO_BYTES:
            self._memo.clear()
            self._memo_bytes = 0
        self._memo_bytes += 3 * len(region) + 500
        self._memo[sample] = (region, value)
