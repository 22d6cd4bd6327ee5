"""The credentials in a request's headers, as frameworks hand headers out.

Rules:
- A mapping: a dict, Starlette's, Werkzeug's, Django's, Sanic's, Streamlit's. Where it holds a name
  several times, `items()` gives each. Or pairs, as in an ASGI scope.
- A name counts in any case. Several `Cookie` fields are one cookie string (RFC 9113 8.2.3), several
  `Authorization` fields a list (RFC 9110 5.3), which is no credential.
- Text was decoded as latin-1 by most servers, and as UTF-8 by others. A session's own is ASCII.
- What a client sends raises nothing: `TypeError` is for the program's own mistakes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, TypeAlias

Headers: TypeAlias = Mapping[Any, Any] | Iterable[tuple[Any, Any]]

_READ: Final = {"cookie": b"; ", "authorization": b", "}  # and what joins several


def credentials_in(headers: Headers) -> tuple[bytes | None, bytes | None]:
    """The `Cookie` and the `Authorization` header; None without one.

    >>> credentials_in({"COOKIE": "a=1", "accept": "*/*"})
    (b'a=1', None)
    >>> credentials_in([(b"cookie", b"a=1"), (b"cookie", b"b=2")])
    (b'a=1; b=2', None)
    """
    found: dict[str, list[bytes]] = {name: [] for name in _READ}
    for pair in _pairs(headers):
        try:
            name, value = pair
        except (TypeError, ValueError):
            _refuse(pair)
        values = found.get(_text(name).lower())
        if values is not None:
            values += _octets(value)
    joined = [_READ[name].join(values) if values else None for name, values in found.items()]
    return joined[0], joined[1]


def _pairs(headers: Any) -> Iterable[Any]:
    if isinstance(headers, str | bytes):
        _refuse(headers)
    items = getattr(headers, "items", None)
    if callable(items):
        # No client's header has a value of these types.
        if isinstance(_member(headers, "asgi"), dict):
            raise TypeError("user_of: this is an ASGI scope: write scope['headers']")
        if hasattr(_member(headers, "wsgi.input"), "read"):
            raise TypeError(
                "user_of: this is a WSGI environ: write {'Cookie': environ.get('HTTP_COOKIE')}"
            )
        headers = items()
    if not isinstance(headers, Iterable):
        _refuse(headers)
    return headers


def _member(headers: Any, name: str) -> object:
    get = getattr(headers, "get", None)
    return get(name) if callable(get) else None


def _text(name: object) -> str:
    if isinstance(name, bytes):
        return name.decode("latin-1")
    if not isinstance(name, str):
        _refuse(name)
    return name


def _octets(value: object) -> list[bytes]:
    """The values of one name, as they were sent. None is none: a header that was looked up."""
    if value is None:
        return []
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, str):
        try:
            return [value.encode("latin-1")]
        except UnicodeEncodeError:
            return [value.encode("utf-8", "surrogatepass")]
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, str | bytes) for one in value
    ):
        _refuse(value)
    return [octets for one in value for octets in _octets(one)]


def _refuse(given: object) -> NoReturn:
    raise TypeError(
        "user_of: give the headers of a request, such as request.headers, {'Cookie': text} or a "
        f"list of pairs of text or bytes; there is a {type(given).__name__}"
    ) from None
