"""What a response's headers gain when its visit ends.

Rules:
- A response that clears (or sets) the session cookie is never stored by a cache: its
  `Cache-Control` becomes `no-store`, whatever the app had said.
- If the app itself sets a cookie of that name, ours is not added and nothing else is touched.
- Where the user was asked for, `Vary` names `Cookie`, once; a signed-in answer that says nothing
  of caches becomes `private`.
- The app's own list is never changed in place; other headers keep their order and spelling.

Both shells share this: WSGI spells headers in `str`, ASGI in `bytes`; a `Spelling` holds the words.
"""

from collections.abc import Callable, Iterable
from typing import AnyStr, Final, Generic, NamedTuple


class Spelling(NamedTuple, Generic[AnyStr]):
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
    private: AnyStr
    no_store: AnyStr
    set_cookie: AnyStr
    equals: AnyStr
    blank: AnyStr

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
            private=write("private"),
            no_store=write("no-store"),
            set_cookie=write("set-cookie"),
            equals=write("="),
            blank=write(" \t"),
        )


TEXT: Final[Spelling[str]] = Spelling.of(str, str.title)
OCTETS: Final[Spelling[bytes]] = Spelling.of(lambda text: text.encode("latin-1"), bytes.lower)


class CookieLine(NamedTuple, Generic[AnyStr]):
    """A `Set-Cookie` value and the name of its cookie."""

    name: AnyStr
    value: AnyStr


def sets_cookie(
    headers: Iterable[tuple[AnyStr, AnyStr]], name: AnyStr, words: Spelling[AnyStr]
) -> bool:
    """Whether one of `headers` sets the cookie `name`."""
    wanted = words.set_cookie
    return any(
        header.lower() == wanted and value.partition(words.equals)[0].strip(words.blank) == name
        for header, value in headers
    )


def with_cookie(
    headers: list[tuple[AnyStr, AnyStr]], line: CookieLine[AnyStr], words: Spelling[AnyStr]
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` with the cookie set, and kept out of every cache."""
    if sets_cookie(headers, line.name, words):
        return headers
    kept: list[tuple[AnyStr, AnyStr]] = [
        header for header in headers if header[0].lower() != words.cache_control
    ]
    kept.append((words.spell(words.cache_control), words.no_store))
    kept.append((words.spell(words.set_cookie), line.value))
    return kept


def varied(
    headers: list[tuple[AnyStr, AnyStr]], words: Spelling[AnyStr], *, signed_in: bool
) -> list[tuple[AnyStr, AnyStr]]:
    """`headers` of an answer that depends on the cookie."""
    result = list(headers)
    names = [name.lower() for name, _ in headers]
    varying = [index for index, name in enumerate(names) if name == words.vary]
    if not varying:
        result.append((words.spell(words.vary), words.cookie))
    elif not any(_names_cookie(headers[index][1], words) for index in varying):
        name, value = headers[varying[0]]
        value = value.strip(words.blank)
        result[varying[0]] = (name, value + words.comma + words.cookie if value else words.cookie)
    if signed_in and words.cache_control not in names:
        result.append((words.spell(words.cache_control), words.private))
    return result


def _names_cookie(vary: AnyStr, words: Spelling[AnyStr]) -> bool:
    fields = [field.strip(words.blank).lower() for field in vary.split(words.comma)]
    return words.any in fields or words.cookie.lower() in fields
