"""Faults of the redirect from the local user pool back to the app.

Rules:
- `AuthorizeError` is for `authorize`, `login` and `signup`. It goes to any absolute redirect URI:
  the lists of the pool are not asked.
- `AlteredRedirect` changes only a redirect with a `code` or an `error` in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from werkzeug.wrappers import Response

from .authorization import split, with_parameters
from .server import Exchange
from .signing import merged


@dataclass(frozen=True, slots=True)
class AuthorizeError:
    """The provider sends the browser back with an error, such as `access_denied`."""

    error: str = "access_denied"
    description: str | None = None
    uri: str | None = None

    def meet(self, exchange: Exchange, /) -> Response:
        """The redirect to the app, with the request's `state`."""
        given = exchange.request.args
        target = given.get("redirect_uri", "")
        if split(target) is None:
            return Response(b"", 400)
        members = {
            "error": self.error,
            "error_description": self.description,
            "error_uri": self.uri,
            "state": given.get("state"),
        }
        present = {name: value for name, value in members.items() if value is not None}
        return _redirect(with_parameters(target, present))


@dataclass(frozen=True, slots=True)
class AlteredRedirect:
    """The provider's answer with other parameters; None takes one out."""

    parameters: Mapping[str, str | None] = field(repr=False)

    def meet(self, exchange: Exchange, /) -> Response:
        """The answer, altered if it leads back to the app."""
        response = exchange.answer()
        parts = urlsplit(response.headers.get("Location", ""))
        members = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.netloc and members.keys() & {"code", "error"}:
            query = urlencode(merged(members, self.parameters), errors="replace")
            response.headers["Location"] = parts._replace(query=query).geturl()
        return response


def _redirect(url: str) -> Response:
    return Response(b"", 302, {"Location": url, "Cache-Control": "no-store"})
