"""The users that all libraries are to know, their tokens, and the witness of their requests."""

import base64
import json
import secrets
from itertools import count

from joserfc import jwt

from amplify_mw import AmplifyConfig

from ..requests import OTHERS
from ..tokens import Mint


class Witness:
    """Whom the app saw last."""

    name: str | None = None

    def __call__(self, name: str | None) -> None:
        self.name = name


class Users:
    """`number` users of one pool. Their names are their `sub`s."""

    def __init__(self, number: int) -> None:
        self.mint = Mint()
        self.sets = self.mint.sets(number)
        self.claims = [claims_of(tokens["id_token"]) for tokens in self.sets]
        self.names = [claims["sub"] for claims in self.claims]
        self.secret = secrets.token_urlsafe(48)
        self.witness = Witness()
        self._sizes = count(number // 2, -1)

    def sign(self, claims: dict) -> str:
        """A token with these claims."""
        return jwt.encode({"kid": self.mint.kid, "alg": "RS256"}, claims, self.mint.key)

    def forgetful(self) -> AmplifyConfig:
        """A configuration that has forgotten each user before the turn comes again.

        No two are equal: what one has seen is not to be known to another.
        """
        return self.mint.config.replace(cache_entries=next(self._sizes))

    @property
    def profile(self) -> dict[str, str]:
        """What an app would keep of the first user in a session."""
        claims = self.claims[0]
        return {name: claims[name] for name in ("sub", "email", "given_name", "family_name")}


def claims_of(token: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def cookies(**values: str) -> dict[str, str]:
    """The `Cookie` header of a browser that has these cookies and others."""
    return {"cookie": "; ".join([OTHERS, *(f"{name}={value}" for name, value in values.items())])}


def bearer(token: str) -> dict[str, str]:
    return {"cookie": OTHERS, "authorization": f"Bearer {token}"}


def spoilt(value: str) -> str:
    """`value` with another character in its signature (its last 27 characters, or more)."""
    at = len(value) - 10
    return f"{value[:at]}{'B' if value[at] == 'A' else 'A'}{value[at + 1 :]}"
