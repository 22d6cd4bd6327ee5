"""User pools in the state that a case asks for, and Cookie headers with tokens of theirs.

A case's set-up is a mapping (`setup_of`), which a vector keeps; nothing here needs Node.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from string import Template
from types import TracebackType
from typing import Any, Final, Self
from urllib.request import ProxyHandler, Request, build_opener
from uuid import uuid4

from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.amplify.sessions import AmplifyCookies
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import Body, CognitoError, Down, Fault, Status, Throttling
from tests.amplify_js.cases import (
    CLIENT,
    HOUR,
    OTHER,
    PREFIX,
    SUBS,
    USERS,
    USUAL,
    Case,
    Recipe,
    State,
)
from tests.amplify_js.cases import STATES as STATES
from tests.amplify_js.node import issuer

Setup = Mapping[str, Any]
# What a set-up leaves out.
ORDINARY: Final[dict[str, Any]] = {
    "tokens": {
        "access": {"use": "access"},
        "id": {"use": "id"},
        "refresh": {"use": "refresh", "is": "good"},
    },
    "user": "ada",
    "world": [],
    "operation": "getCurrentUser",
    "context": "NextResponse",
    "http_only": False,
    "domain": None,
    "path": "/page",
    "drift": False,
}
_OWN: Final = f"{PREFIX}.{CLIENT}."
_OWN_MARK: Final = "own"
_KEYS: Final = ("jwks ", "other keys", "rotates")  # what a pool does not come back from


class Pools:
    """User pools to ask cases of: one that all calm cases share. A context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._shared: list[LocalUserPool] = []
        self._engines: dict[AmplifyCookies, Engine] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextmanager
    def open(self, setup: Setup) -> Iterator[LocalUserPool]:
        """A pool with the case's users, in the case's state."""
        with ExitStack() as stack:
            if needs_own_pool(setup):
                rotates = "rotates" in setup["world"]
                pool = stack.enter_context(_pool(rotate_refresh_tokens=rotates))
            else:
                pool = self.calm()
            users = {"me": setup["user"], "other": OTHER}
            for who, username in users.items():
                email = {"email": f"{who}@example.com", "name": who.title()}
                pool.add_user(username, attributes={"sub": SUBS[who], **email})
                stack.callback(_forget, pool, username)
            yield pool

    def calm(self) -> LocalUserPool:
        """The pool of all calm cases."""
        if not self._shared:
            self._shared.append(self._stack.enter_context(_pool()))
        return self._shared[0]

    @contextmanager
    def engine(self, pool: LocalUserPool, setup: Setup) -> Iterator[Engine]:
        """Ours, for a pool: all calm cases share one, since a pause is remembered for a while."""
        session = AmplifyCookies(http_only=setup["http_only"], domain=setup["domain"])
        if pool not in self._shared or _pauses(setup):
            engine = _engine(pool, session)
            try:
                yield engine
            finally:
                engine.close()
            return
        if session not in self._engines:
            self._engines[session] = _engine(pool, session)
            self._stack.callback(self._engines[session].close)
        yield self._engines[session]


def _engine(pool: LocalUserPool, session: AmplifyCookies) -> Engine:
    # A clock of its own: nothing is shared with engines of earlier pools.
    return Engine(pool.config(session=session), clock=lambda: time.time())


def _pool(**options: Any) -> LocalUserPool:
    return LocalUserPool(issuer=issuer(), **options)


def _forget(pool: LocalUserPool, username: str) -> None:
    with suppress(LookupError):  # a case may have done so
        pool.delete_user(username)


def needs_own_pool(setup: Setup) -> bool:
    """Whether the keys' readers would remember more than their next request should know."""
    knows = any("key" in recipe for recipe in setup["tokens"].values())
    return knows or any(each.startswith(_KEYS) for each in setup["world"])


def _pauses(setup: Setup) -> bool:
    """Whether Cognito answers in a way after which it is not asked for a while."""
    faults = [event.rpartition(" ")[2] for event in setup["world"]]
    return any(fault in _FAULTS or fault.endswith("Exception") for fault in faults)


def recipes(state: State, label: str = "") -> dict[str, Recipe]:
    """What the placeholders of a set of cookies stand for."""
    found = {
        "access": state.access,
        "id": state.id,
        "refresh": None if state.refresh is None else {"use": "refresh", "is": state.refresh},
    }
    return {f"{label}{name}": recipe for name, recipe in found.items() if recipe is not None}


def minted(pool: LocalUserPool, setup: Setup) -> dict[str, str]:
    """The tokens that a set-up asks for, by their placeholders, made now."""
    return {name: _mint(pool, setup, recipe) for name, recipe in setup["tokens"].items()}


def header(setup: Setup, tokens: Mapping[str, str]) -> str:
    """The Cookie header with these tokens."""
    return Template(setup["cookie"]).substitute({_OWN_MARK: _OWN, **tokens})


def _mint(pool: LocalUserPool, setup: Setup, recipe: Recipe) -> str:
    if "text" in recipe:
        return str(recipe["text"])
    of = "other" if recipe.get("of") == "other" or recipe.get("is") == "other" else "me"
    username = OTHER if of == "other" else setup["user"]
    if recipe["use"] == "refresh":
        return _refresh_token(pool, username, recipe["is"])
    now, later = time.time(), recipe.get("iat", 0)
    ends = math.ceil(now + recipe.get("left", USUAL)) + later
    start = min(ends - HOUR, int(now) + later)
    claims = {"exp": ends, **recipe.get("claims", {})}
    if "nbf" in recipe:
        claims["nbf"] = int(now) + recipe["nbf"]
    token = pool.mint(
        username,
        recipe["use"],
        issued_at=start,
        client_id=recipe.get("client"),
        issuer=recipe.get("issuer"),
        key=recipe.get("key", "current"),
        algorithm=recipe.get("algorithm", "RS256"),
        claims=claims,
        header=recipe.get("header"),
    )
    return _tampered(token) if recipe.get("tampered") else token


def _tampered(token: str) -> str:
    """Another payload's signature."""
    signed, _, signature = token.rpartition(".")
    flipped = "A" if signature[100] != "A" else "B"
    return f"{signed}.{signature[:100]}{flipped}{signature[101:]}"


def _refresh_token(pool: LocalUserPool, username: str, state: str) -> str:
    if state == "unknown":
        return f"unknown-{uuid4()}"
    token = pool.sign_in(username).refresh_token
    assert token is not None
    if state == "used up":
        body = {"ClientId": pool.client_id, "RefreshToken": token}
        call(pool, "GetTokensFromRefreshToken", body)
    return token


def call(pool: LocalUserPool, operation: str, body: Mapping[str, Any]) -> None:
    """Call the pool's API, as another device of the user does."""
    target = f"AWSCognitoIdentityProviderService.{operation}"
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    request = Request(f"{pool.url}/", json.dumps(body).encode(), headers)
    with build_opener(ProxyHandler({})).open(request):
        pass


_FAULTS: Final[dict[str, Fault]] = {
    "Down": Down(),
    "Throttling": Throttling(),
    "500": Status(500),
    "503": Status(503),
    "garbage": Body(b"<html>"),
    "empty": Body(b"{}"),
}


@contextmanager
def events(pool: LocalUserPool, setup: Setup) -> Iterator[None]:
    """What has happened since the cookies were written.

    "<operation> <fault>", where the fault is one of `_FAULTS` or an error of Cognito's; or of the
    user: "disabled", "deleted", "reset", "signed out everywhere"; or of the pool: "other keys", and
    "rotates", which it does from the beginning.
    """
    happen: dict[str, Callable[[], object]] = {
        "disabled": lambda: pool.disable_user(setup["user"]),
        "deleted": lambda: pool.delete_user(setup["user"]),
        "reset": lambda: pool.require_password_reset(setup["user"]),
        "signed out everywhere": lambda: call(
            pool, "GlobalSignOut", {"AccessToken": pool.sign_in(setup["user"]).access_token}
        ),
        "other keys": lambda: pool.rotate_keys(keep_old=False),
        "rotates": lambda: None,
    }
    with ExitStack() as faults:
        for event in setup["world"]:
            operation, _, fault = event.partition(" ")
            if event in happen:
                happen[event]()
            else:
                met = _FAULTS.get(fault) or CognitoError(fault, "It was refused.")
                faults.enter_context(pool.fault(operation, met))
        yield


def setup_of(case: Case, cookie: str) -> dict[str, Any]:
    """A case's set-up; `cookie`: its Cookie header with placeholders for tokens.

    `${own}` stands for how the names of the client's cookies begin.
    """
    tokens = recipes(STATES[case.tokens])
    for label, also in labelled(case):
        tokens |= recipes(_of(STATES[also.tokens], also), label)
    used = {name: recipe for name, recipe in tokens.items() if f"${{{name}}}" in cookie}
    told = {
        "id": case.id,
        "cookie": cookie.replace(_OWN, f"${{{_OWN_MARK}}}"),
        "tokens": used,
        "user": USERS[case.user],
        "world": list(case.world),
        "operation": case.operation,
        "context": case.context,
        "http_only": case.http_only,
        "domain": case.domain,
        "path": case.path,
        "drift": case.drift,
    }
    return {name: value for name, value in told.items() if ORDINARY.get(name) != value}


def full(setup: Setup) -> Setup:
    """A set-up, with what it leaves out as ordinary."""
    return {**ORDINARY, **setup}


def labelled(case: Case) -> list[tuple[str, Any]]:
    """A case's further sets of cookies, with the starts of their placeholders' names."""
    return [(f"s{i}_", also) for i, also in enumerate((*case.before, *case.after))]


def _of(state: State, also: Any) -> State:
    told = {} if also.of == "me" else {"of": "other"}
    if also.client != CLIENT:
        told["client"] = also.client
    made = [None if recipe is None else {**recipe, **told} for recipe in state[:2]]
    refresh = "other" if also.of == "other" and state.refresh == "good" else state.refresh
    return State(made[0], made[1], refresh)
