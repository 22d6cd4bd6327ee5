"""A visitor whose browser keeps cookies as browsers do: by name, domain, path and partition."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.routes.going import ORIGIN, Visitor, hop_of, pool_of
from tests.shells import Got
from tests.sites import NAME, attributes

HOST = "app.example.com"
MAX_REQUESTS = 40


class Place(NamedTuple):
    """What tells one cookie from another of its name. `domain`: None for the host's own."""

    domain: str | None = None
    path: str = "/"
    is_partitioned: bool = False

    @classmethod
    def of(cls, line: str) -> "Place":
        said = attributes(line)
        return cls(said.get("domain"), said.get("path", "/"), "partitioned" in said)

    def covers(self, path: str) -> bool:
        return path == self.path or path.startswith(self.path.rstrip("/") + "/")


class Keeper(Visitor):
    """Keeps cookies by their places. `stubborn`: those that no line deletes or changes.

    `requests`: what it has asked the site, and where the pool was asked.
    """

    def __init__(self, site: Any, stubborn: frozenset[Place] = frozenset()) -> None:
        super().__init__(site)
        self.cookies: dict[tuple[str, Place], str] = {}
        self.stubborn = stubborn
        self.requests: list[str] = []

    def plant(self, place: Place, value: str = "planted", name: str = NAME) -> None:
        self.cookies[name, place] = value

    @property
    def header(self) -> str:
        sent = [
            (at, item) for item in self.cookies.items() if (at := item[0][1]).covers(self.place)
        ]
        longest_first = sorted(sent, key=lambda pair: -len(pair[0].path))
        return "; ".join([f"{name}={value}" for _, ((name, _), value) in longest_first])

    def keep(self, got: Got) -> None:
        for line in got.all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            place = Place.of(line)
            is_theirs = place.domain is not None and not f".{HOST}".endswith(f".{place.domain}")
            if is_theirs or (name == NAME and place in self.stubborn):
                continue
            self.cookies.pop((name, place), None)
            if attributes(line).get("max-age") != "0":
                self.cookies[name, place] = value

    def places(self, name: str = NAME) -> set[Place]:
        return {place for known, place in self.cookies if known == name}

    def open(self, path: str, user: str = "ada") -> Got:
        """Open a page, and go on wherever one is sent. At the pool `user` is signed in."""
        url, fetch_site = path, "same-origin"
        facts: Any = {"headers": {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}}
        for _ in range(MAX_REQUESTS):
            if url.startswith(pool_of(self).url):
                self.requests.append("the pool")
                url, fetch_site = pool_of(self).authorize(url, user), "cross-site"
            self.place = urlsplit(url).path
            self.requests.append(f"GET {self.place}")
            got = self.go(url, fetch_site=fetch_site, **facts)
            onward = got.one("location") or hop_of(got)
            if onward is None:
                return got
            is_hop = got.one("location") is None
            url, fetch_site = onward.removeprefix(ORIGIN), "same-origin" if is_hop else fetch_site
        raise AssertionError(f"it goes round in circles: {self.requests}")


Planter = Callable[[Keeper], None]
