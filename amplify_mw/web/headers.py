"""The headers a response gains when its visit ends.

Rules:
- A response with session cookies, set or cleared, is never cached: its `Cache-Control` becomes
  `no-store`, even if the app wrote another.
- If the app itself sets one of these cookies, the library's own changes are dropped and no header
  is touched. Changes by the app's request (a session started or ended) replace the app's lines.
- If the app asked for the user, `Vary` names `Cookie`, or the headers of the `Spelling`, once. A
  signed-in response without a `Cache-Control` becomes `private`, or `no-store` behind a guard.
- At a sign-in or a sign-out the browser forgets the pages it fetched ahead for the previous user
  (`Clear-Site-Data`); at a refresh it does not. "cookies" is never among the values: it would clear
  all cookies of the domain and its subdomains, and those of the same response. The app's own values
  stay, and the library's are added.
- The app's list is never changed in place; other headers keep their order and spelling.

Both shells use this: WSGI spells headers in `str`, ASGI in `bytes`; a `Spelling` holds the words.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import AnyStr, Final, Generic

from .cookies import CookieLine

CLEAR_SITE_DATA: Final = "Clear-Site-Data"
_FETCHED_AHEAD: Final = ('"prefetchCache"', '"prerenderCache"')
FETCHED_AHEAD: Final = ", ".join(_FETCHED_AHEAD)


class Spelling(Generic[AnyStr]):
    """The words to compare and write, in the shell's own string type (`write`).

    Names are compared in lower case; `spell` gives them the case that the shell's servers expect.
    `varies_by`: the request headers for `Vary` to name. `is_private`: no answer is for others,
    even if nobody is signed in.
    """

    def __init__(
        self,
        write: Callable[[str], AnyStr],
        spell: Callable[[AnyStr], AnyStr],
        *varies_by: str,
        is_private: bool = False,
    ) -> None:
        names = varies_by or ("Cookie",)
        self.write: Callable[[str], AnyStr] = write
        self.spell: Callable[[AnyStr], AnyStr] = spell
        self.vary: AnyStr = write("vary")
        self.varies_by: tuple[AnyStr, ...] = tuple(map(write, names))
        self.is_private: bool = is_private
        self.any: AnyStr = write("*")
        self.comma: AnyStr = write(",")
        self.equals: AnyStr = write("=")
        self.blank: AnyStr = write(" \t")
        self.between: AnyStr = write(", ")
        self.cache_control: AnyStr = write("cache-control")
        self.set_cookie: AnyStr = write("set-cookie")
        self.clear_site_data: AnyStr = write(CLEAR_SITE_DATA.lower())
        self.fetched_ahead: tuple[AnyStr, ...] = tuple(map(write, _FETCHED_AHEAD))
        # Few other headers have names as long as these: most are not compared at all.
        self.lengths: Container[int] = frozenset({len("vary"), len("cache-control")})
        # As they are written: two names, and whole headers.
        self.setting: AnyStr = spell(self.set_cookie)
        self.clearing: AnyStr = spell(self.clear_site_data)
        self.vary_cookie: tuple[AnyStr, AnyStr] = (spell(self.vary), write(", ".join(names)))
        caching = spell(self.cache_control)
        self.cache_private: tuple[AnyStr, AnyStr] = (caching, write("private"))
        self.cache_no_store: tuple[AnyStr, AnyStr] = (caching, write("no-store"))


TEXT: Final[Spelling[str]] = Spelling(str, str.title)
OCTETS: Final[Spelling[bytes]] = Spelling(lambda text: text.encode("latin-1"), bytes.lower)


def with_default_cookies(
    headers: list[tuple[AnyStr, AnyStr]],
    lines: Sequence[CookieLine],
    words: Spelling[AnyStr],
    *,
    forgets: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` with the cookies set, unless the app itself sets one of them.

    `forgets`: the browser is to drop the pages it fetched ahead.
    """
    own = [value for name, value in headers if name.lower() == words.set_cookie]
    if own:
        names = _names(lines, words)
        if any(_cookie_of(value, words) in names for value in own):
            return headers
    return _uncached(headers, lines, words, forgets=forgets)


def with_cookies(
    headers: list[tuple[AnyStr, AnyStr]],
    lines: Sequence[CookieLine],
    words: Spelling[AnyStr],
    *,
    forgets: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` with the cookies set, in place of the app's own lines for the same names.

    `forgets`: the browser is to drop the pages it fetched ahead.
    """
    names = _names(lines, words)
    others = [
        (name, value)
        for name, value in headers
        if name.lower() != words.set_cookie or _cookie_of(value, words) not in names
    ]
    return _uncached(others, lines, words, forgets=forgets)


def _names(lines: Sequence[CookieLine], words: Spelling[AnyStr]) -> set[AnyStr]:
    return {words.write(line.name) for line in lines}


def _cookie_of(value: AnyStr, words: Spelling[AnyStr]) -> AnyStr:
    """The name of the cookie that a `Set-Cookie` sets."""
    return value.partition(words.equals)[0].strip(words.blank)


def _uncached(
    headers: list[tuple[AnyStr, AnyStr]],
    lines: Sequence[CookieLine],
    words: Spelling[AnyStr],
    *,
    forgets: bool,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` with the lines, and with `no-store` in place of another `Cache-Control`."""
    if forgets:
        headers = _forgetting(headers, words)
    if not lines:
        return headers
    kept = [header for header in headers if header[0].lower() != words.cache_control]
    kept.append(words.cache_no_store)
    kept += [(words.setting, words.write(line.value)) for line in lines]
    return kept


def _forgetting(
    headers: list[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr]
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` whose `Clear-Site-Data` clears the pages fetched ahead, beside the app's values."""
    result = list(headers)
    own = [index for index, (name, _) in enumerate(result) if name.lower() == words.clear_site_data]
    if not own:
        result.append((words.clearing, words.between.join(words.fetched_ahead)))
        return result
    said = [result[index][1] for index in own]
    name, value = result[own[0]]
    kinds = [value.strip(words.blank)] if value.strip(words.blank) else []
    kinds += [kind for kind in words.fetched_ahead if not any(kind in text for text in said)]
    result[own[0]] = (name, words.between.join(kinds))
    return result


def varied(
    headers: Iterable[tuple[AnyStr, AnyStr]],
    words: Spelling[AnyStr],
    signed_in: bool,
    no_store: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` of a response that depends on the cookie.

    `no_store`: give a signed-in one without a `Cache-Control` `no-store`, not `private`.
    """
    result = list(headers)
    varies = cached = False
    for name, _ in result:
        if len(name) in words.lengths:
            lowered = name.lower()
            if lowered == words.vary:
                varies = True
            elif lowered == words.cache_control:
                cached = True
    if varies:
        _name_cookie(result, words)
    else:
        result.append(words.vary_cookie)
    if (signed_in or words.is_private) and not cached:
        result.append(words.cache_no_store if no_store else words.cache_private)
    return result


def _name_cookie(headers: list[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr]) -> None:
    """Add `Cookie`, or what else it is, to the first `Vary`, unless one of them names it."""
    varying = [index for index, (name, _) in enumerate(headers) if name.lower() == words.vary]
    named = {
        field.strip(words.blank).lower()
        for index in varying
        for field in headers[index][1].split(words.comma)
    }
    missing: list[AnyStr] = [name for name in words.varies_by if name.lower() not in named]
    if missing and words.any not in named:
        name, value = headers[varying[0]]
        value = value.strip(words.blank)
        said = [value] if value else []
        headers[varying[0]] = (name, words.comma.join(said + missing))
