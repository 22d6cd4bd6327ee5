"""The session's cookie: reading it from a `Cookie` header, and the `Set-Cookie` lines it takes.

Rules for reading (RFC 6265bis, as a server must):
- Pairs are split at `;`, a pair at its first `=`; only SP and HTAB around them are trimmed.
- Nothing is unquoted or decoded, names are compared byte for byte, a pair without `=` has no name.
- The cookie sent twice with one value is one cookie; with two values it is `DUPLICATE`.
- A value with a comma in it is not there: none of ours has one. Servers and adapters that join two
  `Cookie` fields by a comma make such values. Nothing is split there: the value of any cookie at
  all, which a script or a sibling subdomain may set, could then plant ours.
- Linear time and no exception, on any bytes.

Rules for a value in chunks (`name.0`, `name.1`, ... up to `name.9`):
- A value that fits one cookie is written as one; a single cookie that was sent is read, whatever
  chunks there are beside it.
- Each chunk begins with the last one's number and the CRC of the whole value, so that chunks of
  two values do not mix. Missing, surplus and foreign chunks make the value `UNREADABLE`.
- Where a comma has joined one of them to another cookie, none of them are there.
- Whatever is written, the cookies of the family that it leaves stale are cleared with it.

Rules for cookies of one name in several places (set by an earlier policy, or a sibling subdomain):
- A request that brings them changes nothing. A sign-in or a sign-out clears what was sent wherever
  a browser may have it: for the host and the domains above it, partitioned or not; at the paths
  above the request's where it was sent more than once.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol
from zlib import crc32

from ..errors import ConfigurationError, SessionTooLargeError
from .cookie_policy import MAX_PAIR_BYTES, CookiePolicy, check_value, paths_above

MAX_CHUNKS: Final = 10  # one digit numbers them; servers refuse longer headers long before
MAX_COOKIE_BYTES: Final = MAX_CHUNKS * MAX_PAIR_BYTES  # of a value in whatever cookies of ours
_MAX_AMBIGUOUS: Final = 10  # values that are looked up where a cookie has several
_MAX_ELSEWHERE: Final = 48  # lines: all places of one name, or the nearest of several
_MARK = len("1") + len("0123abcd")  # the last chunk's number, and the CRC in hexadecimal
UNREADABLE: Final = b""  # what chunks that make no value read as: no kind of session has it


class Duplicate(Enum):
    """The cookie was sent more than once, with different values."""

    DUPLICATE = "duplicate"


DUPLICATE: Final = Duplicate.DUPLICATE


class CookieLine(NamedTuple):
    """A `Set-Cookie` value and the name of its cookie."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"<CookieLine {self.name}>"


class NewCookie(NamedTuple):
    """A value for the session's cookies, and how long they last: seconds, or None for the policy's.

    `value`: as its kind of session writes it.
    """

    value: str
    max_age: int | None = None

    def __repr__(self) -> str:
        return "<NewCookie>"


class CookieReader:
    """Reads the cookie `name` from `Cookie` headers.

    `read(header)` gives its value, None if it was not sent, `DUPLICATE` if it is ambiguous.

    >>> CookieReader(b"amplify-session").read(b"theme=dark; amplify-session=abc")
    b'abc'
    """

    def __init__(self, name: bytes) -> None:
        self._name = name
        self.read = _reader(name, self._read_any_spelling)

    def _read_any_spelling(self, header: bytes) -> bytes | Duplicate | None:
        return _unless_joined(_sent(header, {self._name}).get(self._name))


def _unless_joined(value: bytes | Duplicate | None) -> bytes | Duplicate | None:
    return None if isinstance(value, bytes) and b"," in value else value


def _reader(
    name: bytes, read_any_spelling: Callable[[bytes], bytes | Duplicate | None]
) -> Callable[[bytes], bytes | Duplicate | None]:
    """What reads a header: a closure, whose names are found faster than an object's attributes."""
    first = name + b"="
    later = b"; " + first
    width = len(first)
    comma = ord(",")  # looked for as a number, and not as bytes, it costs next to nothing

    def read(header: bytes) -> bytes | Duplicate | None:
        at = header.find(name)
        if at < 0:
            return None
        # The one spelling that browsers send is found without looking at any other cookie.
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
    """Reads the cookie `name`, or else what its chunks make together: at most `limit` of them."""

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
        # Those that are missing may be in another cookie's value, behind a comma.
        return None if value is UNREADABLE and self._joined.search(header) else value

    def wholes(self, header: bytes) -> list[bytes]:
        """What the chunks in a header make that belong together by their marks."""
        by_mark: dict[bytes, dict[bytes, bytes | Duplicate]] = {}
        for name, value in _pairs(header, self._family):
            by_mark.setdefault(value[:_MARK], {})[name] = value
        values = (self._together(chunks) for chunks in by_mark.values())
        return [value for value in values if value is not UNREADABLE]

    def _together(self, sent: dict[bytes, bytes | Duplicate]) -> bytes:
        """What these chunks make."""
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
    """The cookies among `names` that a header brings, in whatever spelling."""
    sent: dict[bytes, bytes | Duplicate] = {}
    for name, value in _pairs(header, names):
        if sent.setdefault(name, value) != value:
            sent[name] = DUPLICATE
    return sent


def _pairs(header: bytes, names: Container[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The names and values of the cookies among `names`, as they were sent."""
    for pair in header.split(b";"):
        name, equals, value = pair.partition(b"=")
        name = name.strip(b" \t")
        if equals and name in names:
            yield name, value.strip(b" \t")


def _counts(header: bytes, names: Container[bytes]) -> Counter[bytes]:
    """How often the cookies among `names` were sent."""
    return Counter(name for name, _ in _pairs(header, names))


class SessionCookies(Protocol):
    """The cookies of a session kind: reading them from a header, and the lines that change them.

    `name`: what a challenge calls them. `names`: what tells them from the cookies of other kinds.
    `is_strict`: browsers do not send them where another site's link leads here.
    `scopes`: where browsers send them: a domain, or None for the host that set them, and a path.
    `max_bytes`: what `size` may say at most.

    What `read` gives, and what `setting` takes, is the kind's own: bytes and a `NewCookie`; of
    several kinds, one of each a kind (see `sessions.several`). Others hand it on unopened.
    """

    name: str
    is_strict: bool
    names: frozenset[str]
    scopes: frozenset[tuple[str | None, str]]
    max_bytes: int

    @property
    def read(self) -> Callable[[bytes], Any]:
        """Gives a header's value, None if it was not sent, `DUPLICATE` if it is ambiguous."""
        ...

    def ambiguous(self, sent: bytes) -> Sequence[Any]:
        """Where a cookie has several values: the first few, each as it would read alone."""
        ...

    def size(self, new: Any) -> int:
        """How much of `max_bytes` a new value takes."""
        ...

    def setting(self, new: Any, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that make `new` the session's value, and clear what it leaves stale.

        `sent`: the request's `Cookie` header; `path`: the request's, as its URL spells it.
        """
        ...

    def merged(self, earlier: Any, later: Any) -> Any:
        """What is to be set where both are in one response."""
        ...

    def complaint(self, sent: bytes) -> str | None:
        """What an operator should know of how these cookies are set; nothing of a client's."""
        ...

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:
        """The lines that clear the session."""
        ...

    def elsewhere(
        self, sent: bytes | None, path: str, domains: Sequence[str], *, anywhere: bool = False
    ) -> list[CookieLine]:
        """The lines that clear what was `sent`, wherever else than where these cookies are set.

        `domains`: those whose cookies browsers may send here. `path`: the request's; at the paths
        above it is looked for what was sent more than once, or for all of it, `anywhere`.
        """
        ...


class SessionCookie:
    """The session's cookie as `policy` sets it; chunks of it where it is too large for one.

    `max_bytes`: what the names and values of its cookies may take together. Up to 4,096 there is
    one cookie only, and what is called like a chunk of it is somebody else's. At most 40,960.
    `needs`: bytes of the shortest value. A name that leaves less room than that, or than half of
    `max_bytes`, is refused.

    `read(header)` gives the cookie's value, None if it was not sent, `DUPLICATE` if it is
    ambiguous, and `UNREADABLE` if its chunks make no value.

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
        self.name = policy.name
        self.names = frozenset({policy.name})
        self.scopes = frozenset({(policy.domain, policy.path)})
        self.is_strict = policy.same_site == "Strict"
        self.max_bytes = max_bytes
        name = policy.name.encode("ascii")
        limit = -(-max_bytes // MAX_PAIR_BYTES)
        self._surcharge = len(f"{policy.name}.0") + _MARK  # what each chunk costs beside its text
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
        """Raise `ConfigurationError` for a name that leaves a value less room than it `needs`."""
        most = min(self.max_bytes, limit * MAX_PAIR_BYTES)
        cost = len(self.name) if limit == 1 else limit * self._surcharge
        if most - cost < needs:
            raise ConfigurationError(
                f"CookiePolicy.name: browsers keep {MAX_PAIR_BYTES:,} bytes of a cookie's name and "
                f"value; a name of {len(self.name):,} leaves no room for a session, which takes "
                f"{needs:,} or more; write a short one, such as 'amplify-session'"
            )

    def ambiguous(self, sent: bytes) -> list[bytes]:
        """Its first few values, and what its chunks make, where that is more than one."""
        singles = [value for _, value in _pairs(sent, {self.name.encode("ascii")})]
        found = dict.fromkeys(singles + self._wholes(sent))
        return list(found)[:_MAX_AMBIGUOUS] if len(found) > 1 else []

    def setting(
        self,
        new: NewCookie,
        sent: bytes | None,
        path: str = "/",  # noqa: ARG002  # it has one place
    ) -> list[CookieLine]:
        """The lines that make `new` the session's value, and clear what it leaves stale.

        `sent`: the request's `Cookie` header. Raises `SessionTooLargeError` for a value over
        `max_bytes`, and `ValueError` for one that a browser would misread.
        """
        value, max_age = new
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
        """What is to be set where both are in one response: the latter."""
        return later

    def complaint(self, sent: bytes) -> str | None:
        """That two cookies of its name come with one request."""
        if self.read(sent) is not DUPLICATE:
            return None
        return (
            f"the cookie {self.name!r} came twice with one request, and signs nobody in: one was "
            "set with another `domain` or `path`, by an earlier CookiePolicy or a sibling "
            "subdomain; a new `name`, best that of CookiePolicy.host_prefixed(), leaves both behind"
        )

    def clearing(self, sent: bytes | None, path: str = "/") -> list[CookieLine]:  # noqa: ARG002
        """The lines that clear the session: the single cookie's, and those of the chunks `sent`.

        The single one is cleared unseen: one that another response has just set would be read.
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
        """The lines that clear cookies of these names which the policy has not set.

        A browser does not say where the cookies are that it sends: all places are tried, the most
        likely ones first, and at most `_MAX_ELSEWHERE` of them.
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
        """How many bytes of cookies, names and values, a new value takes."""
        value = new.value
        if self._fits_one(value) or not self._chunks:
            return len(self.policy.name) + len(value)
        return len(value) + self._surcharge * len(self._starts(value))

    def _fits_one(self, value: str) -> bool:
        return len(self.policy.name) + len(value) <= MAX_PAIR_BYTES

    def _starts(self, value: str) -> range:
        """Where the chunks of `value` begin in it."""
        return range(0, len(value), self._room)

    def _cut(self, value: str) -> list[str]:
        starts = self._starts(value)
        mark = f"{len(starts) - 1}{crc32(value.encode('ascii')):08x}"
        return [mark + value[start : start + self._room] for start in starts]
