"""What a response's headers gain when its visit ends, and what a request's header says.

Rules:
- A response that clears or sets the session's cookies is never stored by a cache: its
  `Cache-Control` becomes `no-store`, whatever the app had said.
- If the app itself sets one of those cookies, what the library would do on its own is left undone
  and nothing else is touched. What the app asked for (a session started or ended) replaces it.
- Where the user was asked for, `Vary` names `Cookie`, once; a signed-in answer that says nothing
  of caches becomes `private`, or `no-store` where a guard stands before it.
- A response that begins or ends a session makes the browser forget what it has fetched ahead for
  whoever was signed in before (`Clear-Site-Data`); one that renews a session does not. "cookies" is
  never among what it clears: that is all cookies of the domain and its subdomains, with the lines
  of the very response. What the app says there is kept, and added to.
- The app's own list is never changed in place; other headers keep their order and spelling.

Both shells share this: WSGI spells headers in `str`, ASGI in `bytes`; a `Spelling` holds the words.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import AnyStr, Final, Generic

from .cookies import CookieLine

CLEAR_SITE_DATA: Final = "Clear-Site-Data"
_FETCHED_AHEAD: Final = ('"prefetchCache"', '"prerenderCache"')
FETCHED_AHEAD: Final = ", ".join(_FETCHED_AHEAD)


@dataclass(frozen=True, slots=True, eq=False)
class Spelling(Generic[AnyStr]):
    """The words that are compared and written, in the shell's own string type (`write`).

    Names are compared in lower case; `spell` gives them the case that the shell's servers expect.
    """

    write: Callable[[str], AnyStr]
    spell: Callable[[AnyStr], AnyStr]
    vary: AnyStr
    cookie: AnyStr
    any: AnyStr
    comma: AnyStr
    cache_control: AnyStr
    set_cookie: AnyStr
    equals: AnyStr
    blank: AnyStr
    setting: AnyStr  # "Set-Cookie", as it is written
    lengths: Container[int]  # of "Vary" and "Cache-Control": few other headers are compared at all
    vary_cookie: tuple[AnyStr, AnyStr]  # whole headers, as answers gain them
    cache_private: tuple[AnyStr, AnyStr]
    cache_no_store: tuple[AnyStr, AnyStr]
    clear_site_data: AnyStr
    fetched_ahead: tuple[AnyStr, ...]  # what `Clear-Site-Data` calls it
    between: AnyStr
    clearing: AnyStr  # "Clear-Site-Data", as it is written

    @classmethod
    def of(
        cls, write: Callable[[str], AnyStr], spell: Callable[[AnyStr], AnyStr]
    ) -> "Spelling[AnyStr]":
        """The words, each written by `write`."""
        return cls(
            write=write,
            spell=spell,
            vary=write("vary"),
            cookie=write("Cookie"),
            any=write("*"),
            comma=write(","),
            cache_control=write("cache-control"),
            set_cookie=write("set-cookie"),
            equals=write("="),
            blank=write(" \t"),
            setting=spell(write("set-cookie")),
            lengths=frozenset({len("vary"), len("cache-control")}),
            vary_cookie=(spell(write("vary")), write("Cookie")),
            cache_private=(spell(write("cache-control")), write("private")),
            cache_no_store=(spell(write("cache-control")), write("no-store")),
            clear_site_data=write(CLEAR_SITE_DATA.lower()),
            fetched_ahead=tuple(write(kind) for kind in _FETCHED_AHEAD),
            between=write(", "),
            clearing=spell(write(CLEAR_SITE_DATA.lower())),
        )


TEXT: Final[Spelling[str]] = Spelling.of(str, str.title)
OCTETS: Final[Spelling[bytes]] = Spelling.of(lambda text: text.encode("latin-1"), bytes.lower)


def with_default_cookies(
    headers: list[tuple[AnyStr, AnyStr]],
    lines: Sequence[CookieLine],
    words: Spelling[AnyStr],
    *,
    forgets: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` with the cookies set, unless the app itself sets one of them.

    `forgets`: the browser is to drop what it has fetched ahead.
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
    """`headers` with the cookies set, in the place of what the app itself sets by their names.

    `forgets`: as above.
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
    """`headers` that clear what was fetched ahead, and what the app clears itself."""
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
    *,
    signed_in: bool,
    no_store: bool = False,
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` of an answer that depends on the cookie.

    `no_store`: what becomes of a signed-in one that says nothing of caches; else it is `private`.
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
    if signed_in and not cached:
        result.append(words.cache_no_store if no_store else words.cache_private)
    return result


def _name_cookie(headers: list[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr]) -> None:
    """Name `Cookie` in the first `Vary` of `headers`, unless one of them does."""
    varying = [index for index, (name, _) in enumerate(headers) if name.lower() == words.vary]
    if not any(_names_cookie(headers[index][1], words) for index in varying):
        name, value = headers[varying[0]]
        value = value.strip(words.blank)
        headers[varying[0]] = (name, value + words.comma + words.cookie if value else words.cookie)


def _names_cookie(vary: AnyStr, words: Spelling[AnyStr]) -> bool:
    fields = [field.strip(words.blank).lower() for field in vary.split(words.comma)]
    return words.any in fields or words.cookie.lower() in fields
