"""What else would know a user in a Python web app: one module for each library beside us.

Rules:
- Each is used as its own documentation says, in its best configuration that needs no network: keys
  are preloaded or cached, and what a library would build anew for each request, and can be handed,
  is handed to it once.
- Each app has one route, which answers `ok` and tells the witness who is signed in.
- `read` is the library's narrowest call that makes a known user of what the request carries. What
  has to be cut out of the request first has been, where the library does not do that itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

KNOWN, FIRST = "known", "first seen"


@dataclass(frozen=True)
class Peer:
    """One library in an app, and alone.

    `bare`: what the app is without it. `headers`: what a request of each user carries, beyond what
    all do. `read`: gives the user's name for what `given` holds for each user. `refused`: headers,
    and something to read, that are to be nobody's. `kinds`: `FIRST`, too, where each look at a
    token is one.
    """

    name: str
    bare: str
    app: Any
    headers: Sequence[dict[str, str]]
    read: Callable[[Any], Any] | None
    given: Sequence[Any]
    refused: tuple[dict[str, str], Any]
    kinds: tuple[str, ...] = (KNOWN,)
    path: str = "/account/orders"
