r"""Access rules for paths: protected, ignored, or open to everybody.

Rules:
- A pattern is a path, or `/api/*` for a path and all paths below it (`/api` itself too). A slash at
  the end makes no difference.
- A path has several readings, because servers and frameworks normalise paths differently. It is
  protected if any reading matches `protect`; public or ignored only if all readings match.
- A reading is made by these steps, in any order and any number:
  - decode percent signs; take `\` for `/`; join doubled slashes; resolve dot segments;
  - put a slash in front (waitress passes on `GET account`, Flask reads `/account`);
  - drop a line feed at the end (`$` in Starlette's and Bottle's routes matches before one);
  - without a slash in front, take the path of the URL (uvicorn and hypercorn pass on
    `GET http://a/account`, Quart reads `/account`);
  - strip a mount (the app may do so).
- The work on one path is bounded. A path whose readings would take more is protected, if
  `protect` has a pattern at all.
- `ignore` wins over `public`, which wins over `protect`.
- With needs beside the patterns of `protect`, those of all patterns count that match any reading;
  all there are if the readings would take too much work.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote, urlparse

from .mounts import PLAIN, Inside, is_below, server_mount, without

_MAX_WORK: Final = 80  # for all spellings of one path; see `_work`


class Access(Enum):
    """The access rule of a path."""

    OPEN = "open"
    PROTECTED = "protected"
    IGNORED = "ignored"


class AccessRules:
    """The compiled `protect`, `public` and `ignore` lists."""

    def __init__(
        self,
        protect: Sequence[str] | Mapping[str, Any],
        public: Sequence[str],
        ignore: Sequence[str],
        mounts: Sequence[str] = (),
        inside: Inside = PLAIN,
    ) -> None:
        """`protect`: patterns, or a mapping from patterns to needs.

        `mounts`: prefixes that paths may have. `inside`: the app that the rules protect.

        `public` and `ignore` hold below each mount, too, that the app is known to strip.
        """
        stripped = inside.stripped
        self._protect = Paths(tuple(protect))
        pairs = protect.items() if isinstance(protect, Mapping) else ()
        self._needs = [(Paths([pattern]), needs) for pattern, needs in pairs]
        self._public = Paths([*public, *_mounted(public, stripped)])
        self._ignore = Paths([*ignore, *_mounted(ignore, stripped)])
        prefixes = (*mounts, *stripped, *inside.possible)
        self._mounts = tuple(dict.fromkeys(filter(None, prefixes)))
        self._strippable = frozenset((*stripped, *inside.possible))
        self._splits = inside.splits
        self._unreadable = Access.PROTECTED if protect else Access.OPEN
        self.protects: bool = bool(protect)
        self.demands: bool = bool(self._needs)

    def of(self, path: str | None) -> Access:
        """The access to `path`, which is below the mount and decoded once.

        None stands for a path that is not UTF-8: some frameworks drop such bytes, some replace
        them.
        """
        if path is None:
            return self._unreadable
        if _is_plain(path) and not path.startswith(self._mounts):
            return self._decide([path])  # (`spellings` would return the same, and takes longer)
        found = spellings(path, self._mounts)
        return self._unreadable if found is None else self._decide(found)

    def under(self, root: str, path: str) -> Access:
        """The access to `path`, for a server's mount `root` (in ASGI mostly a part of `path`)."""
        readings = self._readings(root, path)
        if len(readings) == 1:
            return self.of(readings[0])
        found = self._spellings(readings)
        return self._unreadable if found is None else self._decide(found)

    def needs(self, path: str | None) -> list[Any]:
        """The needs of all patterns that match a reading of `path`."""
        return self._needed([] if path is None else [path])

    def needs_under(self, root: str, path: str) -> list[Any]:
        """The same for a server's mount `root`."""
        return self._needed(self._readings(root, path))

    def _needed(self, readings: Sequence[str]) -> list[Any]:
        found = self._spellings(readings)
        if not found:
            return [needs for _, needs in self._needs]
        return [needs for paths, needs in self._needs if any(map(paths.match, found))]

    def _spellings(self, readings: Sequence[str]) -> set[str] | None:
        """All readings of these; None if they would take too much work."""
        found = [spellings(reading, self._mounts) for reading in readings]
        return None if None in found else set[str]().union(*filter(None, found))

    def _readings(self, root: str, path: str) -> list[str]:
        """The paths that an app may take off a server's mount."""
        mount = server_mount(root)
        if is_below(path, mount):
            readings = [without(path, mount)]
            is_exact = root == mount and (not self._strippable or mount in self._strippable)
            if not is_exact:  # an app may compare `root` unnormalised, or know another mount only
                readings.append(path)
        else:
            readings = [path]
            if not path.startswith("/"):  # a whole URL, with the mount in its path
                readings += [without(reading, mount) for reading in spellings(path) or ()]
            if path.startswith(mount):  # asgiref's and a2wsgi's adapters test no more than this
                readings.append("/" + path[len(mount) :])
            if self._splits and mount and mount in path:
                readings.append(path.split(mount, 1)[1])
        return readings

    def _decide(self, spellings: Iterable[str]) -> Access:
        if all(map(self._ignore.match, spellings)):
            return Access.IGNORED
        if not any(map(self._protect.match, spellings)):
            return Access.OPEN
        return Access.OPEN if all(map(self._public.match, spellings)) else Access.PROTECTED


def _mounted(patterns: Sequence[str], mounts: Sequence[str]) -> list[str]:
    return [mount + pattern for mount in mounts for pattern in patterns]


class Paths:
    """A list of patterns, compiled to a set of paths and a tuple of prefixes."""

    def __init__(self, patterns: Sequence[str]) -> None:
        below = [pattern.removesuffix("*") for pattern in patterns if pattern.endswith("/*")]
        exact = [pattern.rstrip("/") for pattern in patterns if not pattern.endswith("/*")]
        self._below = tuple(below)
        self._exact = frozenset(exact + [prefix.rstrip("/") for prefix in below])

    def match(self, path: str) -> bool:
        """Whether any pattern matches `path`."""
        return path.startswith(self._below) or path.rstrip("/") in self._exact


def spellings(path: str, mounts: Sequence[str] = ()) -> set[str] | None:
    """All readings of `path`; None if they would take too much work."""
    if _is_plain(path) and not path.startswith(tuple(mounts)):
        return {path}
    found, pending, work = {path}, [path], 0
    if 2 * _work(path) > _MAX_WORK:  # for the path itself, and for one reading of it
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
    """The cost of one more reading, in about tenths of the cost of a plain path.

    A percent sign or a slash is a step of an interpreted loop; other characters cost little.
    """
    return 4 + 2 * text.count("%") + text.count("/") + len(text) // 32


def _is_plain(path: str) -> bool:
    """Whether no step changes the path. (A regular expression would take ten times as long.)"""
    return (
        path.startswith("/")
        and "//" not in path
        and "/." not in path
        and "%" not in path
        and "\\" not in path
        and "\n" not in path
    )


def _readings(text: str, mounts: Sequence[str]) -> Iterator[str]:
    """The results of each step that changes the path, applied once."""
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
        with suppress(ValueError):  # `//[` is no URL
            yield urlparse(text).path
    for mount in mounts:
        if text.startswith(mount):
            yield without(text, mount)


def _collapse(path: str) -> str:
    while "//" in path:
        path = path.replace("//", "/")
    return path


def _resolve_dots(path: str) -> str:
    """Resolve dot segments (RFC 3986 5.2.4); the result begins with a slash in any case."""
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
