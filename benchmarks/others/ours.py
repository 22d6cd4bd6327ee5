"""amplify_mw itself: around an app without a framework, and around that of each framework."""

from collections.abc import Callable, Iterator
from time import time
from typing import Any

from amplify_mw import AmplifyConfig
from amplify_mw.credentials import Credential
from amplify_mw.engine.engine import Engine

from ..requests import ask, cookie_header
from ..tokens import forged
from . import FIRST, KNOWN, Peer
from .users import Users

NAME = "amplify_mw"


def peers(
    users: Users, bare: str, build: Callable[[AmplifyConfig], Any], path: str = ""
) -> Iterator[Peer]:
    """`build` makes the app and puts the middleware of a configuration around it."""
    tokens = [tokens["id_token"] for tokens in users.sets]
    headers = [{"cookie": cookie_header(token)} for token in tokens]
    given = [each["cookie"].encode() for each in headers]
    bad = cookie_header(forged(tokens[0]))
    for kind in (KNOWN, FIRST):
        config = users.mint.config if kind == KNOWN else users.forgetful()
        reading = users.mint.config if kind == KNOWN else users.forgetful()
        yield Peer(
            NAME,
            bare,
            build(config),
            headers,
            reader(reading),
            given,
            ({"cookie": bad}, bad.encode()),
            (kind,),
            path or Peer.path,
        )


def reader(config: AmplifyConfig) -> Callable[[bytes], str | None]:
    """From the `Cookie` header to the user's name, as the shells do it."""
    engine = Engine(config)
    home, run = engine.authenticator, engine.driver.run

    def read(cookies: bytes) -> str | None:
        value, now = home.read(cookies), time()
        verdict = home.known(value)
        if verdict is None or now >= verdict.fresh_until:
            verdict = run(home.authenticate(Credential(home.source, value), now)).verdict
        user = verdict.user
        return None if user is None else user.username

    return read


def asks(*_: object) -> str | None:
    """What an app asks us, whatever its framework hands it."""
    return ask()
