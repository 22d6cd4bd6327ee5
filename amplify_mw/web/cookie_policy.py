"""`CookiePolicy`: the attributes of the session's cookie, and its `Set-Cookie` lines.

Rules:
- A policy whose cookie browsers would drop or misread raises `ConfigurationError` when it is made.
- `clearing` repeats every attribute of setting. `clearing_elsewhere` writes those without which a
  browser would keep the cookie. A browser deletes one cookie: of this name, path and domain, in
  this partition. (No Domain, and a Domain equal to the host, are two cookies.)
- Only the characters of a cookie's value (RFC 6265 4.1.1) are ever written.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final, Literal

from ..errors import ConfigurationError
from ..naming import named_options
from .origins import is_domain, is_loopback, split_origin

MAX_AGE_LIMIT: Final = 400 * 24 * 3600  # RFC 6265bis 5.5: browsers cap ages at 400 days
MAX_PAIR_BYTES: Final = 4096  # RFC 6265bis 5.6: browsers drop a longer name and value
_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IN_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~" + _LETTERS)  # RFC 9110 5.6.2
_IN_PATH: Final = frozenset("-._~!$%&'()*+,:=@/" + _LETTERS)  # a Path is written as it is
_MAX_PATH: Final = 1024  # RFC 6265bis 5.6: browsers ignore attributes over 1024 bytes
_MAX_PATHS: Final = 3
_EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"
_OCTETS: Final = r"[!#-+\--:<-\[\]-~]*"  # RFC 6265 4.1.1: the characters of a value


@named_options
@dataclass(frozen=True)
class CookiePolicy:
    """The attributes of the session cookie.

    Use `host_prefixed()` in production: only the `__Host-` prefix stops a sibling subdomain from
    planting a cookie. Raises `ConfigurationError`, with the field's name, for a cookie no browser
    would keep.

    >>> CookiePolicy(same_site="None", secure=False)
    Traceback (most recent call last):
    amplify_mw.errors.ConfigurationError: CookiePolicy.same_site: browsers drop SameSite=None \
without Secure; write secure=True
    """

    name: str = "amplify-session"
    """The cookie's name, an RFC 9110 token."""
    max_age: int = 86_400
    """Seconds for which a browser keeps the cookie of a `TokenSession`: a day, at most 400 days.
    The cookie of a sealed or stored session lasts as long as the session may."""
    path: str = "/"
    """Browsers send the cookie to this path and below it. At most 1,024 characters."""
    domain: str | None = None
    """Browsers send the cookie to this domain and its subdomains. None: to its own host only."""
    secure: bool = True
    """Sent over https only. False is for http on a development machine."""
    http_only: bool = True
    """Hidden from scripts."""
    same_site: Literal["Strict", "Lax", "None"] = "Strict"
    """"Strict": no request from another site brings the cookie. "Lax": links do. "None": all do."""
    partitioned: bool = False
    """If other sites embed this one: a cookie of its own under each of them (CHIPS)."""
    priority: Literal["Low", "Medium", "High"] | None = None
    """Chromium has room for about 180 cookies of a domain and its subdomains, and drops those of
    the lowest priority first. None writes no priority, which counts as "Medium". Other browsers
    ignore it."""

    @classmethod
    def for_origin(cls, origin: str) -> "CookiePolicy":
        """The default policy for a site at `origin`; without `Secure` for http on this machine.

        >>> CookiePolicy.for_origin("http://localhost:3000").secure
        False
        """
        scheme, host, _ = split_origin(origin)
        if scheme == "http" and not is_loopback(host):
            raise ConfigurationError(
                f"CookiePolicy.for_origin: {origin!r} would send the session in the clear; "
                "write an https:// origin, or http://localhost for development"
            )
        return cls(secure=scheme == "https")

    @classmethod
    def host_prefixed(cls) -> "CookiePolicy":
        """The policy for production: `__Host-amplify-session`, bound to one https host."""
        return cls(name="__Host-amplify-session")

    def __post_init__(self) -> None:
        for field, mend in _mends(self):
            raise ConfigurationError(f"CookiePolicy.{field}: {mend}")

    @cached_property
    def clearing(self) -> str:
        """The value of the `Set-Cookie` to end this cookie."""
        return self._dump("", max_age=0, expires=_EPOCH)

    def clearing_elsewhere(self, domains: Sequence[str], paths: Sequence[str]) -> list[str]:
        """The values of the `Set-Cookie`s that end cookies of this name set by another policy.

        One for each place: this policy's path and each of `paths`; the host itself and each of
        `domains` (in lower case); partitioned or not. Its own place is left out, and places at
        which no browser keeps a cookie of this name.

        >>> CookiePolicy(name="sid", domain="example.com").clearing_elsewhere(["example.com"], [])
        ['sid=; Max-Age=0; Path=/; Secure; HttpOnly', \
'sid=; Max-Age=0; Path=/; Secure; HttpOnly; Partitioned', \
'sid=; Max-Age=0; Path=/; Domain=example.com; Secure; HttpOnly; Partitioned']
        """
        own = (self.path, self.domain and self.domain.lower(), self.partitioned)
        if self.name.lower().startswith("__host-"):
            domains = paths = ()
        places = product(dict.fromkeys((self.path, *paths)), (None, *domains), (False, True))
        return [self._clearing_at(*place) for place in places if place != own]

    def _clearing_at(self, path: str, domain: str | None, partitioned: bool) -> str:
        """As short as browsers accept: there may be many, and servers limit a response's head."""
        attributes = {
            f"Domain={domain}": domain is not None,
            "Secure": self.secure or partitioned,
            "HttpOnly": self.http_only,
            "SameSite=None": self.same_site == "None",
            "Partitioned": partitioned,
        }
        said = [attribute for attribute, is_said in attributes.items() if is_said]
        return "; ".join([f"{self.name}=", "Max-Age=0", f"Path={path}", *said])

    def setting(self, value: str, max_age: int | None = None) -> str:
        """The value of the `Set-Cookie` to set this cookie to `value`, such as a token.

        `max_age`: in seconds; None: the policy's. Raises `ValueError` for a value that a browser
        would misread, or drop for its length.

        >>> CookiePolicy(name="sid").setting("abc")
        'sid=abc; Max-Age=86400; Secure; HttpOnly; Path=/; SameSite=Strict'
        """
        check_value(value)
        if len(self.name) + len(value) > MAX_PAIR_BYTES:
            raise ValueError(
                f"browsers drop a cookie whose name and value are over {MAX_PAIR_BYTES} bytes; "
                f"this name has {len(self.name)}, this value {len(value)}"
            )
        return self._dump(value, max_age=self.max_age if max_age is None else max_age)

    def _dump(self, value: str, *, max_age: int, expires: str | None = None) -> str:
        from werkzeug.http import dump_cookie  # 60 ms, for writing alone

        line = dump_cookie(
            self.name,
            value,
            max_age=max_age,
            expires=expires,
            sync_expires=False,
            path=self.path,
            domain=self.domain,
            secure=self.secure,
            httponly=self.http_only,
            samesite=self.same_site,
            partitioned=self.partitioned,
            max_size=0,  # it would warn; sizes are `setting`'s business
        )
        return line if self.priority is None else f"{line}; Priority={self.priority}"


def check_value(value: str) -> None:
    """Raise `ValueError` unless a cookie may have this value."""
    if not isinstance(value, str) or not re.fullmatch(_OCTETS, value):
        raise ValueError(
            "a cookie's value is printable ASCII without space, quote, comma, semicolon and "
            "backslash; encode it, for example as base64url"
        )


def _mends(policy: CookiePolicy) -> "list[tuple[str, str]]":
    """The wrong fields of `policy`, each with a text on how to write it."""
    found: list[tuple[str, str]] = []
    wrong = found.append
    if not _is_token(policy.name):
        return [("name", "a cookie's name is an RFC 9110 token, such as 'amplify-session'")]
    if type(policy.max_age) is not int or not 0 < policy.max_age <= MAX_AGE_LIMIT:
        wrong(("max_age", f"write whole seconds from 1 to {MAX_AGE_LIMIT} (400 days)"))
    if not is_path(policy.path):
        wrong(("path", "write an absolute URL path of at most 1024 characters, such as '/app'"))
    if policy.domain is not None and not is_domain(policy.domain):
        wrong(("domain", "write a bare host name such as 'example.com', or None for this host"))
    for field in ("secure", "http_only", "partitioned"):
        if type(getattr(policy, field)) is not bool:
            wrong((field, "write True or False"))
    if policy.same_site not in ("Strict", "Lax", "None"):
        wrong(("same_site", "write 'Strict', 'Lax' or 'None'"))
    if policy.priority not in ("Low", "Medium", "High", None):
        wrong(("priority", "write 'Low', 'Medium' or 'High', or None to leave it out"))
    if policy.same_site == "None" and not policy.secure:
        wrong(("same_site", "browsers drop SameSite=None without Secure; write secure=True"))
    if policy.partitioned and not policy.secure:
        wrong(("partitioned", "browsers drop Partitioned without Secure; write secure=True"))
    return found + _prefix_mends(policy)


def _is_token(name: object) -> bool:
    return isinstance(name, str) and name != "" and _IN_TOKEN.issuperset(name)


def _prefix_mends(policy: CookiePolicy) -> "list[tuple[str, str]]":
    name = policy.name.lower()  # RFC 6265bis 5.7: browsers compare the prefixes without case
    if name.startswith(("__secure-", "__host-")) and not policy.secure:
        return [("name", "browsers drop a __Secure- or __Host- cookie without secure=True")]
    if name.startswith(("__http-", "__host-http-")) and not (policy.secure and policy.http_only):
        return [("name", "browsers drop an __Http- cookie without secure=True and http_only=True")]
    if name.startswith("__host-") and (policy.domain is not None or policy.path != "/"):
        return [("name", "browsers drop a __Host- cookie unless domain=None and path='/'")]
    return []


def is_path(path: object) -> bool:
    """Whether a cookie may have this Path as it is."""
    return (
        isinstance(path, str)
        and path.startswith("/")
        and len(path) <= _MAX_PATH
        and _IN_PATH.issuperset(path)
    )


def is_covered(path: str, by: str) -> bool:
    """Whether browsers send a cookie of the Path `by` to `path` (RFC 6265 5.1.4).

    >>> is_covered("/app/a", by="/app"), is_covered("/application", by="/app")
    (True, False)
    """
    return path == by or path.startswith(by if by.endswith("/") else f"{by}/")


def paths_above(path: str) -> list[str]:
    """The paths, except "/", whose cookies a request for `path` brings; the shortest first.

    At most `_MAX_PATHS`, each with and without a slash at its end.
    """
    steps = path.split("/")[1:]
    paths = ["/" + "/".join(steps[: count + 1]) for count in range(min(len(steps), _MAX_PATHS))]
    both = [spelled for above in paths for spelled in (above, f"{above.rstrip('/')}/")]
    return [
        above for above in dict.fromkeys(both) if above not in ("/", f"{path}/") and is_path(above)
    ]
