"""A machine, by its Bearer token.

Only sites with `bearer=True` need it: nothing else imports this file.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """A program that has signed in as itself, by client credentials.

    >>> Machine("orders-job", frozenset({"orders/write"})).client_id
    'orders-job'
    """

    client_id: str
    """The app client whose credentials it has."""

    scopes: frozenset[str] = frozenset()
    """The scopes of its access token, such as `orders/write`."""
