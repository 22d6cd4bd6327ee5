"""The session's cookie: read from a `Cookie` header, and written as `Set-Cookie` lines.

Rules for reading (RFC 6265bis, as a server must):
- Split pairs at `;`, and a pair at its first `=`. Trim SP and HTAB around both, and nothing else.
- Unquote and decode nothing. Compare names byte for byte. A pair without `=` has no name.
- A cookie sent twice with one value is one cookie; with two values it is `DUPLICATE`.
- A value with a comma counts as not sent: the library writes no commas. A server or an adapter does
  if it joins two `Cookie` fields. Never split there: any cookie's value could then plant ours, and
  scripts and sibling subdomains can set cookies.
- Take linear time and raise nothing, on any bytes.

Rules for a value in chunks (`name.0`, `name.1`, ... up to `name.9`):
- Write a value as one cookie if it fits. If a single cookie was sent, read it and ignore chunks.
- Each chunk begins with the number of the last chunk and the CRC of the whole value, to keep the
  chunks of two values apart. With a missing, surplus or foreign chunk the value is `UNREADABLE`.
- If a comma joins a chunk to another cookie, all chunks count as not sent.
- Setting a value also clears the chunks and the single cookie it makes stale.

Rules for cookies of one name in several places (from an earlier policy, or a sibling subdomain):
- Reading them changes nothing. A sign-in or a sign-out clears each cookie of the request at every
  place a browser may keep it: for the host and the domains above it, partitioned or not; and if it
  was sent more than once, at the paths above the request's.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol
from zlib import crc32

from ..errors import ConfigurationError, SessionTooLargeError
from .cookie_policy import MAX_PAIR_BYTES, CookiePolicy, check_value, paths_above

MAX_CHUNKS: Final = 10  # one digit numbers them; servers refuse longer headers long before
MAX_COOKIE_BYTES: Final = MAX_CHUNKS * MAX_PAIR_BYTES  # of a value, with the names of its cookies
_MAX_AMBIGUOUS: Final = 10  # values to look up if a cookie has several
_MAX_ELSEWHERE: Final = 48  # lines: all places of one name, or the nearest of several
_MARK: Final = len("1") + len("0123abcd")  # the last chunk's number, and the CRC in hexadecimal
UNREADABLE: Final = b""  # the value of chunks that do not fit together: no kind of session has it


class Duplicate:
    """The cookie was sent more than once, with different values: the type of `DUPLICATE`."""

    def __repr__(self) -> str:
        return "<DUPLICATE>"


DUPLICATE: Final = Duplicate()


class CookieLine(NamedTuple):
    """A `Set-Cookie` value and the name of its cookie."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"<CookieLine {self.name}>"


class NewCookie(NamedTuple):
    """A value for the session's cookies, and how long they last: seconds, or None for the policy's.

    `value`: as its kind of session writes it. `made_at`: seconds since the epoch, at which its
    session was good; 0 if that is not told.
    """

    value: str
    max_age: int | None = None
    made_at: float = 0.0

    def __repr__(self) -> str:
        return "<NewCookie>"


class CookieReader:
    """Reads the cookie `name` from `Cookie` headers.

    `read(header)`: its value; None if it was not sent; `DUPLICATE` if it has two values.

    >>> CookieReader(b"amplify-session").read(b"theme=dark; amplify-session=abc")
    b'abc'
    """

    def __init__(self, name: bytes) -> None:
        self._name = name
        self.read: Callable[[bytes], bytes | Duplicate | None] = _reader(
            name, self._read_any_spelling
        )

    def _read_any_spelling(self, header: bytes) -> bytes | Duplicate | None:
        return _unless_joined(_sent(header, {self._name}).get(self._name))


def _unless_joined(value: bytes | Duplicate | None) -> bytes | Duplicate | None:
    return None if isinstance(value, bytes) and b"," in value else value


def _reader(
    name: bytes, read_any_spelling: Callable[[bytes], bytes | Duplicate | None]
) -> Callable[[bytes], bytes | Duplicate | None]:
    """The function to read a header: a closure, faster than a method that looks up attributes."""
    first = name + b"="
    later = b"; " + first
    width = len(first)
    comma = ord(",")  # a search for a number, not bytes, costs next to nothing

    def read(header: bytes) -> bytes | Duplicate | None:
        at = header.find(name)
        if at < 0:
            return None
        # The spelling of browsers is found without a look at the other cookies.
        start = at + width
        if header[at - 2 : start] == later or header[:start] == first:
            end = header.find(b";", start)
            if end < 0:
                value = header[start:].strip(b" \t")
                return None if comma in value else value
            if header.find(name, end) < 0:
                value = header[start:end].strip(b" \t")
                return None if comma in value else value
        return read_any_spelling(header)

    return read


class ChunkReader(CookieReader):
    """Reads the cookie `name`, or else joins its chunks: at most `limit` of them."""

    def __init__(self, name: bytes, limit: int) -> None:
        super().__init__(name)
        self._limit = limit
        self._chunks = [b"%b.%d" % (name, number) for number in range(MAX_CHUNKS)]
        self._family = frozenset({name, *self._chunks})
        self._joined = re.compile(rb",[ \t]*" + re.escape(name) + rb"(?:\.[0-9])?[ \t]*=")

    def _read_any_spelling(self, header: bytes) -> bytes | Duplicate | None:
        sent = _sent(header, self._family)
        if self._name in sent or not sent:
            return _unless_joined(sent.get(self._name))
        if DUPLICATE in sent.values():
            return DUPLICATE
        if any(_unless_joined(chunk) is None for chunk in sent.values()):
            return None
        value = self._together(sent)
        # The missing chunks may be in another cookie's value, behind a comma.
        return None if value is UNREADABLE and self._joined.search(header) else value

    def wholes(self, header: bytes) -> list[bytes]:
        """The values of the chunks in a header, joined by their marks."""
        by_mark: dict[bytes, dict[bytes, bytes | Duplicate]] = {}
        for name, value in _pairs(header, self._family):
            by_mark.setdefault(value[:_MARK], {})[name] = value
        values = (self._together(chunks) for chunks in by_mark.values())
        return [value for value in values if value is not UNREADABLE]

    def _together(self, sent: dict[bytes, bytes | Duplicate]) -> bytes:
        """The value of these chunks, or `UNREADABLE`."""
        first = (sent.get(name) for name in self._chunks[: len(sent)])
        chunks = [chunk for chunk in first if isinstance(chunk, bytes)]
        if len(chunks) < len(sent) or not 1 < len(chunks) <= self._limit:
            return UNREADABLE
        mark = chunks[0][:_MARK]
        is_whole = len(mark) == _MARK and mark.startswith(b"%d" % (len(chunks) - 1))
        if not is_whole or not all(chunk.startswith(mark) for chunk in chunks):
            return UNREADABLE
        return b"".join([chunk[_MARK:] for chunk in chunks])


def _sent(header: bytes, names: Container[bytes]) -> dict[bytes, bytes | Duplicate]:
    """The values of the cookies `names` in a header."""
    sent: dict[bytes, bytes | Duplicate] = {}
    for name, value in _pairs(header, names):
        if sent.setdefault(name, value) != value:
            sent[name] = DUPLICATE
    return sent


def _pairs(header: bytes, names: Container[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The names and values of the cookies `names` in a header, as they were sent."""
    for pair in header.split(b";"):
        name, equals, value = pair.partition(b"=")
        name = name.strip(b" \t")
        if equals and name in names:
            yield name, value.strip(b" \t")


def _counts(header: bytes, names: Container[bytes]) -> Counter[bytes]:
    """How often each of the cookies `names` was sent."""
    return Counter(name for name, _ in _pairs(header, names))


class SessionCookies(Protocol):
    """The cookies of a session kind: how to read them, and the lines to change them.

    Each kind has its own type of value: `read` returns it, and `setting` takes it. A single kind
    reads bytes and sets a `NewCookie`; for several kinds see `sessions.several`. Callers pass these
    values on and never look inside.
    """

    name: str
    """The name to show in a challenge."""
    is_strict: bool
    """Browsers leave them out of a request that another site's link makes."""
    names: frozenset[str]
    """Names to tell them from the cookies of other kinds."""
    scopes: frozenset[tuple[str | None, str]]
    """The domains (None: the host that set them) and paths for which browsers send them."""
    max_bytes: int
    """The most that `size` may be."""

    @property
    def read(self) -> Callable[[bytes], Any]:
        """Reads a header: the value; None if none was sent; `DUPLICATE` if there are two."""
        ...

    def ambiguous(self, sent: bytes) -> Sequence[Any]:
        """The first few values of a cookie sent with several, each as it would read alone."""
        ...

    def size(self, new: Any) -> int:
        """Bytes of `max_bytes` that a new value takes."""
        ...

    def setting(self, new: Any, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that set `new` and clear cookies that it makes stale.

        `sent`: the request's `Cookie` header. `path`: the request's, as its URL spells it.
        """
        ...

    def merged(self, earlier: Any, later: Any) -> Any:
        """The value to set if both are to be set in one response."""
        ...

    def complaint(self, sent: bytes) -> str | None:
        """A mistake in how these cookies are set, for the operator; nothing of a client's text."""
        ...

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that clear the session."""
        ...

    def elsewhere(
        self, sent: bytes | None, path: str, domains: Sequence[str], *, anywhere: bool = False
    ) -> list[CookieLine]:
        """The lines that clear the cookies `sent` at every place except their own.

        `domains`: the domains whose cookies browsers may send here. `path`: the request's. The
        paths above it are tried for cookies sent more than once; for all cookies if `anywhere`.
        """
        ...


class SessionCookie:
    """The session's cookie as `policy` sets it; in chunks if it is too large for one.

    `max_bytes`: the most that its names and values may take together, up to 40,960. Up to 4,096
    there is one cookie only: a cookie with the name of a chunk belongs to somebody else.
    `needs`: bytes of the shortest value. Raises `ConfigurationError` for a name that leaves less
    room than `needs` or half of `max_bytes`, the smaller of the two.

    `read(header)`: the value; None if it was not sent; `DUPLICATE` if it has two values;
    `UNREADABLE` if its chunks do not fit together.

    >>> cookie = SessionCookie(CookiePolicy(name="sid"), max_bytes=12_288)
    >>> [line.name for line in cookie.setting(NewCookie("a" * 5000), sent=b"sid.2=b; sid.3=c")]
    ['sid.0', 'sid.1', 'sid', 'sid.2', 'sid.3']
    >>> cookie.read(b"theme=dark; sid=abc")
    b'abc'
    """

    read: Callable[[bytes], bytes | Duplicate | None]

    def __init__(
        self, policy: CookiePolicy, max_bytes: int = MAX_PAIR_BYTES, needs: int = 1
    ) -> None:
        if type(max_bytes) is not int or not 0 < max_bytes <= MAX_COOKIE_BYTES:
            raise ConfigurationError(
                f"max_bytes: write whole bytes from 1 to {MAX_COOKIE_BYTES}, which "
                f"{MAX_CHUNKS} cookies hold; got {max_bytes!r}"
            )
        self.policy = policy
        self.name: str = policy.name
        self.names: frozenset[str] = frozenset({policy.name})
        self.scopes: frozenset[tuple[str | None, str]] = frozenset({(policy.domain, policy.path)})
        self.is_strict: bool = policy.same_site == "Strict"
        self.max_bytes = max_bytes
        name = policy.name.encode("ascii")
        limit = -(-max_bytes // MAX_PAIR_BYTES)
        self._surcharge = len(f"{policy.name}.0") + _MARK  # of each chunk, beside its text
        self._room = MAX_PAIR_BYTES - self._surcharge
        self._chunks: dict[bytes, CookiePolicy] = {}
        self._check_room(min(needs, max_bytes // 2), limit)
        self._policies = {name: policy}
        self._wholes: Callable[[bytes], list[bytes]] = lambda _: []
        if limit == 1:
            self.read = CookieReader(name).read
            return
        reader = ChunkReader(name, limit)
        self.read, self._wholes = reader.read, reader.wholes
        for number in range(MAX_CHUNKS):
            chunk = replace(policy, name=f"{policy.name}.{number}")
            self._chunks[chunk.name.encode("ascii")] = chunk
        self._policies |= self._chunks

    def _check_room(self, needs: int, limit: int) -> None:
        """Raise `ConfigurationError` if the name leaves a value less room than it `needs`."""
        most = min(self.max_bytes, limit * MAX_PAIR_BYTES)
        cost = len(self.name) if limit == 1 else limit * self._surcharge
        if most - cost < needs:
            raise ConfigurationError(
                f"CookiePolicy.name: browsers keep {MAX_PAIR_BYTES:,} bytes of a cookie's name and "
                f"value; a name of {len(self.name):,} leaves no room for a session, which takes "
                f"{needs:,} or more; write a short one, such as 'amplify-session'"
            )

    def ambiguous(self, sent: bytes) -> list[bytes]:
        """Its first few values, single or joined from chunks, if there is more than one."""
        singles = [value for _, value in _pairs(sent, {self.name.encode("ascii")})]
        found = dict.fromkeys(singles + self._wholes(sent))
        return list(found)[:_MAX_AMBIGUOUS] if len(found) > 1 else []

    def setting(
        self,
        new: NewCookie,
        sent: bytes | None,
        path: str = "/",  # noqa: ARG002  # it has one place
    ) -> list[CookieLine]:
        """The lines that set `new` and clear cookies that it makes stale.

        `sent`: the request's `Cookie` header. Raises `SessionTooLargeError` for a value over
        `max_bytes`, and `ValueError` for one that a browser would misread.
        """
        value, max_age, _ = new
        check_value(value)
        size = self.size(new)
        if size > self.max_bytes:
            raise SessionTooLargeError(size, self.max_bytes)
        if self._fits_one(value):
            pairs = [(self.policy, value)]
        else:
            pairs = list(zip(self._chunks.values(), self._cut(value), strict=False))
        lines = [CookieLine(policy.name, policy.setting(text, max_age)) for policy, text in pairs]
        written = {line.name for line in lines}
        return lines + [line for line in self.clearing(sent) if line.name not in written]

    def merged(self, earlier: NewCookie, later: NewCookie) -> NewCookie:  # noqa: ARG002
        """The value to set if both are to be set in one response: the later."""
        return later

    def complaint(self, sent: bytes) -> str | None:
        """A text if one request brings two cookies of its name."""
        if self.read(sent) is not DUPLICATE:
            return None
        return (
            f"the cookie {self.name!r} came twice with one request, and signs nobody in: one was "
            "set with another `domain` or `path`, by an earlier CookiePolicy or a sibling "
            "subdomain; a new `name`, best that of CookiePolicy.host_prefixed(), leaves both behind"
        )

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:  # noqa: ARG002
        """The lines that clear the session: the single cookie and the chunks `sent`.

        The single one is cleared even if it was not sent: another response may have just set it.
        """
        single = CookieLine(self.name, self.policy.clearing)
        if not sent or not self._chunks:
            return [single]
        found = _sent(sent, self._chunks)
        stale = [chunk for name, chunk in self._chunks.items() if name in found]
        return [single, *(CookieLine(chunk.name, chunk.clearing) for chunk in stale)]

    def elsewhere(
        self, sent: bytes | None, path: str, domains: Sequence[str], *, anywhere: bool = False
    ) -> list[CookieLine]:
        """The lines that clear cookies of these names which another policy has set.

        A request does not tell the place of a cookie: try every place, the likeliest first, and
        `_MAX_ELSEWHERE` at most.
        """
        counts = _counts(sent or b"", self._policies)
        above = paths_above(path)
        lines: list[CookieLine] = []
        for name, count in sorted(counts.items(), key=lambda item: -item[1]):
            policy = self._policies[name]
            places = ("/", *(above if count > 1 or anywhere else ()))
            ends = policy.clearing_elsewhere(domains, places)
            lines += [CookieLine(policy.name, end) for end in ends]
        return lines[:_MAX_ELSEWHERE]

    def size(self, new: NewCookie) -> int:
        """Bytes of cookies, names and values, that a new value takes."""
        value = new.value
        if self._fits_one(value) or not self._chunks:
            return len(self.policy.name) + len(value)
        return len(value) + self._surcharge * len(self._starts(value))

    def _fits_one(self, value: str) -> bool:
        return len(self.policy.name) + len(value) <= MAX_PAIR_BYTES

    def _starts(self, value: str) -> range:
        """The indices in `value` at which its chunks begin."""
        return range(0, len(value), self._room)

    def _cut(self, value: str) -> list[str]:
        starts = self._starts(value)
        mark = f"{len(starts) - 1}{crc32(value.encode('ascii')):08x}"
        return [mark + value[start : start + self._room] for start in starts]
