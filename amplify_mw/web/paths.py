r"""Which paths need whom.

Rules:
- A pattern is a path, or a path and everything below it (`/api/*`, which covers `/api` too). A
  slash at the end makes no difference.
- A path is protected if any normalisation of it matches, public or ignored only if all do:
  percent-decoding again and again, `\` for `/`, doubled slashes, dot segments, in any mixture; a
  slash put in front (waitress passes on `GET account`, Flask reads `/account`); a line feed taken
  from the end (the `$` of Starlette's and Bottle's routes matches before one); of what has no slash
  in front, the path of a URL (uvicorn and hypercorn pass on `GET http://a/account`, Quart reads
  `/account`).
- A path that begins with a mount is read without it, too, again and again: the app may take it off.
- A path that would take too much work to read in all its ways is protected, if anything is: the
  work on any path is bounded.
- `ignore` wins over `public`, which wins over `protect`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final
from urllib.parse import unquote, urlparse

from .mounts import PLAIN, Inside, is_below, server_mount, without

_MAX_WORK: Final = 80  # for all spellings of one path; see `_work`


class Access(Enum):
    """What a path asks of its visitor."""

    OPEN = "open"
    PROTECTED = "protected"
    IGNORED = "ignored"


class AccessRules:
    """The compiled `protect`, `public` and `ignore` lists."""

    def __init__(
        self,
        protect: Sequence[str],
        public: Sequence[str],
        ignore: Sequence[str],
        mounts: Sequence[str] = (),
        inside: Inside = PLAIN,
    ) -> None:
        """`mounts`: prefixes that paths may begin with. `inside`: the app that the rules are for.

        What is public or ignored is so below a mount, too, that the app is known to take off.
        """
        stripped = inside.stripped
        self._protect = Paths(protect)
        self._public = Paths([*public, *_mounted(public, stripped)])
        self._ignore = Paths([*ignore, *_mounted(ignore, stripped)])
        prefixes = (*mounts, *stripped, *inside.possible)
        self._mounts = tuple(dict.fromkeys(filter(None, prefixes)))
        self._taken_off = frozenset((*stripped, *inside.possible))
        self._splits = inside.splits
        self._unreadable = Access.PROTECTED if protect else Access.OPEN
        self.protects = bool(protect)

    def of(self, path: str | None) -> Access:
        """What `path` (below the mount, decoded once) asks of its visitor.

        None is a path that is no UTF-8: one framework drops such bytes, another replaces them.
        """
        if path is None:
            return self._unreadable
        if _is_plain(path) and not path.startswith(self._mounts):
            return self._decide([path])  # (`spellings` would say so, and takes longer)
        found = spellings(path, self._mounts)
        return self._unreadable if found is None else self._decide(found)

    def under(self, root: str, path: str) -> Access:
        """What a path asks whose server says `root` for its mount (ASGI: mostly, it is in both)."""
        mount = server_mount(root)
        if is_below(path, mount):
            readings = [without(path, mount)]
            is_exact = root == mount and (not self._taken_off or mount in self._taken_off)
            if not is_exact:  # an app that compares as it stands, or goes by its own, finds none
                readings.append(path)
        else:
            readings = [path]
            if not path.startswith("/"):  # a whole URL, whose path has the mount
                readings += [without(reading, mount) for reading in spellings(path) or ()]
            if path.startswith(mount):  # asgiref's and a2wsgi's adapters look no further
                readings.append("/" + path[len(mount) :])
            if self._splits and mount and mount in path:
                readings.append(path.split(mount, 1)[1])
        if len(readings) == 1:
            return self.of(readings[0])
        found = [spellings(reading, self._mounts) for reading in readings]
        if None in found:
            return self._unreadable
        return self._decide(set().union(*filter(None, found)))

    def _decide(self, spellings: Iterable[str]) -> Access:
        if all(map(self._ignore.match, spellings)):
            return Access.IGNORED
        if not any(map(self._protect.match, spellings)):
            return Access.OPEN
        return Access.OPEN if all(map(self._public.match, spellings)) else Access.PROTECTED


def _mounted(patterns: Sequence[str], mounts: Sequence[str]) -> list[str]:
    return [mount + pattern for mount in mounts for pattern in patterns]


class Paths:
    """A list of patterns, as a set of paths and a tuple of prefixes."""

    def __init__(self, patterns: Sequence[str]) -> None:
        below = [pattern.removesuffix("*") for pattern in patterns if pattern.endswith("/*")]
        exact = [pattern.rstrip("/") for pattern in patterns if not pattern.endswith("/*")]
        self._below = tuple(below)
        self._exact = frozenset(exact + [prefix.rstrip("/") for prefix in below])

    def match(self, path: str) -> bool:
        """Whether a path is among them."""
        return path.startswith(self._below) or path.rstrip("/") in self._exact


def spellings(path: str, mounts: Sequence[str] = ()) -> set[str] | None:
    """Every way `path` may be read further down; None if that would be too much work to say."""
    if _is_plain(path) and not path.startswith(tuple(mounts)):
        return {path}
    found, pending, work = {path}, [path], 0
    if 2 * _work(path) > _MAX_WORK:  # it has to be read once, and whatever that gives
        return None
    while pending:
        text = pending.pop()
        work += _work(text)
        if work > _MAX_WORK:
            return None
        readings = set(_readings(text, mounts)) - found
        found |= readings
        pending += readings
    return found


def _work(text: str) -> int:
    """What reading a path in one more way costs, in about a tenth of what a plain path takes.

    A percent sign or a slash is a step of an interpreted loop; other characters go by at once.
    """
    return 4 + 2 * text.count("%") + text.count("/") + len(text) // 32


def _is_plain(path: str) -> bool:
    """Whether no normalisation has anything to do; a pattern takes ten times as long to say so."""
    return (
        path.startswith("/")
        and "//" not in path
        and "/." not in path
        and "%" not in path
        and "\\" not in path
        and "\n" not in path
    )


def _readings(text: str, mounts: Sequence[str]) -> Iterator[str]:
    """What one step of normalisation makes of a path, each where it has something to do."""
    if "%" in text:
        yield unquote(text)
    if "\\" in text:
        yield text.replace("\\", "/")
    if "//" in text:
        yield _collapse(text)
    if "/." in text or not text.startswith("/"):
        yield _resolve_dots(text)
    if text.endswith("\n"):
        yield text[:-1]
    if not text.startswith("/"):
        with suppress(ValueError):  # such as of `//[`, which is no URL
            yield urlparse(text).path
    for mount in mounts:
        if text.startswith(mount):
            yield without(text, mount)


def _collapse(path: str) -> str:
    while "//" in path:
        path = path.replace("//", "/")
    return path


def _resolve_dots(path: str) -> str:
    """RFC 3986 5.2.4; with a slash in front in any case."""
    kept: list[str] = []
    segments = path.removeprefix("/").split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
