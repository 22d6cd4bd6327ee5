"""The cookies of a request: those of the session, sent once, sent twice, in chunks, or misnamed.

Rules:
- Names of other cookies are shown only if they are nearly those of the session: a name may hold a
  username, as Amplify's do. No value is shown.
- The library decides on the value. These checks only describe the header.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from ...models.check import Check
from ...sessions.amplify.wire import LAST_AUTH_USER, PREFIX
from ...web.cookie_policy import MAX_PAIR_BYTES
from ...web.cookies import SessionCookies
from ...web.requests import excerpt
from .facts import counted, mend_of

_MAX_NAMES: Final = 300
_MAX_NEAR: Final = 10
_LONGEST: Final = 100  # characters
_LAST: Final = frozenset("123456789")  # the number of a last chunk: one alone is a whole cookie
_CHUNK: Final = re.compile(r"(.+)\.([0-9])")
USUAL_NAMES: Final = ("amplify-session", "__Host-amplify-session", "__Secure-amplify-session")
_PARTS: Final = frozenset(("accessToken", "idToken", "refreshToken", "signInDetails", "clockDrift"))


def cookie_checks(header: bytes, cookies: SessionCookies | None) -> list[Check]:
    """The cookies of a header, beside the session's. `cookies`: those; None if they are unknown."""
    pairs = list(_pairs(header))
    names = frozenset(USUAL_NAMES) if cookies is None else cookies.names
    own = {name for name in names if not name.startswith(PREFIX)}
    checks = [Check("cookies", "ok", f"{len(pairs)} in the header")]
    for name in sorted(own):
        checks += _of_name(name, pairs, is_expected=cookies is not None)
    checks += _amplify(pairs, names, is_expected=cookies is not None)
    if cookies is not None and cookies.read(header) is None:
        checks += _near(own, pairs)
    return checks


def _pairs(header: bytes) -> Iterator[tuple[str, bytes]]:
    for pair in header.split(b";", _MAX_NAMES)[:_MAX_NAMES]:
        name, equals, value = pair.partition(b"=")
        if equals:
            yield name.strip(b" \t").decode("latin-1"), value.strip(b" \t")


def _of_name(name: str, pairs: list[tuple[str, bytes]], *, is_expected: bool) -> Iterator[Check]:
    """The cookie of one name, whole or in chunks."""
    values = [value for key, value in pairs if key == name]
    chunks = {
        match[2]: value
        for key, value in pairs
        if (match := _CHUNK.fullmatch(key)) and match[1] == name
    }
    if values:
        yield _whole(name, values)
    if chunks:
        yield _chunked(name, chunks, is_read=not values)
    if is_expected and not values and not chunks:
        yield Check("cookie", "wrong", "not sent", repr(name), mend_of("no_session"))


def _whole(name: str, values: list[bytes]) -> Check:
    distinct, size = len(set(values)), max(map(len, values))
    if distinct > 1:
        found = f"{name!r} came {len(values)} times, with {distinct} values"
        return Check("cookie", "wrong", found, "one value", mend_of("duplicate_cookie"))
    if b"," in values[0]:
        found = f"{name!r} with a comma: a server has joined two Cookie headers"
        return Check("cookie", "wrong", found, "a value without a comma")
    found = f"{name!r}, {counted(size)}"
    if len(name) + size > MAX_PAIR_BYTES:
        wanted = f"at most {counted(MAX_PAIR_BYTES)} with its name, or browsers drop it"
        return Check("cookie", "warning", found, wanted)
    return Check("cookie", "ok", found + (", sent twice alike" if len(values) > 1 else ""))


def _chunked(name: str, chunks: dict[str, bytes], *, is_read: bool) -> Check:
    """The chunks sent, and those missing by their own mark."""
    found = f"{name}.{', .'.join(sorted(chunks))}"
    if not is_read:
        return Check("chunks", "warning", f"{found}, beside a whole cookie, which counts")
    marks = {value[:9] for value in chunks.values()}
    lasts = {mark[:1].decode("latin-1") for mark in marks}
    if len(marks) > 1:
        return Check("chunks", "wrong", f"{found}, of different values", "the chunks of one value")
    last = lasts.pop() if lasts else ""
    wanted = [str(number) for number in range(int(last) + 1)] if last in _LAST else []
    missing = [number for number in wanted if number not in chunks]
    surplus = [number for number in chunks if number not in wanted]
    if not wanted or missing or surplus:
        said = f"{found}; missing: {', '.join(missing) or 'none'}"
        every = f"{name}.0 to .{last}" if wanted else "chunks written by this library"
        return Check("chunks", "wrong", said, every, mend_of("invalid_session"))
    return Check("chunks", "ok", f"{found}, all there")


def _amplify(
    pairs: list[tuple[str, bytes]], names: frozenset[str], *, is_expected: bool
) -> Iterator[Check]:
    """Amplify JS's own cookies. The users in their names are not shown."""
    of_client: dict[str, Counter[str]] = {}
    for name, _ in pairs:
        if name.startswith(f"{PREFIX}."):
            client, _, rest = name[len(PREFIX) + 1 :].partition(".")
            part = rest.rpartition(".")[2]
            if part == LAST_AUTH_USER or part in _PARTS:
                of_client.setdefault(client, Counter())[part] += 1
    for client, parts in sorted(of_client.items()):
        found = f"of app client {excerpt(client)}: {', '.join(sorted(parts))}"
        if is_expected and f"{PREFIX}.{client}" not in names:
            yield Check("amplify_cookies", "warning", found, "cookies that this site reads")
        elif missing := {LAST_AUTH_USER, "accessToken"} - parts.keys():
            yield Check("amplify_cookies", "warning", found, f"{' and '.join(sorted(missing))} too")
        else:
            yield Check("amplify_cookies", "ok", found)
    for name in sorted(names):
        if name.startswith(PREFIX) and name[len(PREFIX) + 1 :] not in of_client:
            yield Check("amplify_cookies", "warning", "not sent", f"{name}.*")


def _near(own: set[str], pairs: list[tuple[str, bytes]]) -> Iterator[Check]:
    """Cookies with nearly the right name: the first few."""
    bare = {_plain(name): name for name in sorted(own)}
    others = dict.fromkeys(name for name, _ in pairs if name not in own)
    found = ((name, _nearest(name, bare)) for name in others)
    near = ((name, wanted) for name, wanted in found if wanted or name in USUAL_NAMES)
    for name, wanted in islice(near, _MAX_NEAR):
        wanted = wanted or min(own, default="")
        yield Check(
            "cookie_name",
            "warning",
            excerpt(name),
            repr(wanted) if wanted else "",
            "if this site sets it, correct cookie=CookiePolicy(name=...) or session=",
        )


def _nearest(name: str, bare: dict[str, str]) -> str:
    """The session's cookie that is meant by a name; "" if none is."""
    from difflib import get_close_matches  # 10 ms, seldom

    plain = _plain(name[:_LONGEST]).lower()
    match = _CHUNK.fullmatch(plain)
    near = get_close_matches(match[1] if match else plain, bare, n=1, cutoff=0.8)
    return bare[near[0]] if near else ""


def _plain(name: str) -> str:
    return name.removeprefix("__Host-").removeprefix("__Secure-")
