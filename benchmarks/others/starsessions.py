"""starsessions, with its store in memory and with its store in the cookie."""

from collections.abc import Iterator

from starlette.middleware import Middleware
from starsessions import (
    CookieStore,
    InMemoryStore,
    JsonSerializer,
    SessionAutoloadMiddleware,
    SessionMiddleware,
)

from ..harness import drive
from . import Peer, frameworks
from .users import Users, cookies, spoilt

LIFETIME = 14 * 24 * 3600


def peers(users: Users) -> Iterator[Peer]:
    for store in (InMemoryStore(), CookieStore(users.secret)):
        yield _peer(users, store)


def _peer(users: Users, store) -> Peer:
    serializer = JsonSerializer()
    session = serializer.serialize({"user": users.profile})
    ids: list[str] = []

    async def write() -> None:
        ids.append(await store.write("0" * 32, session, LIFETIME, LIFETIME))

    drive(write())
    (cookie,) = ids

    async def read(value: str) -> str | None:
        found = serializer.deserialize(await store.read(value, LIFETIME))
        return found["user"]["sub"] if found else None

    def ask(request) -> str | None:
        user = request.session.get("user")
        return None if user is None else user["sub"]

    app = frameworks.starlette(
        users,
        ask,
        Middleware(SessionMiddleware, store=store, lifetime=LIFETIME),
        Middleware(SessionAutoloadMiddleware),
    )
    return Peer(
        f"starsessions, {type(store).__name__}",
        "Starlette",
        app,
        [cookies(session=cookie)],
        read,
        [cookie],
        (cookies(session=spoilt(cookie)), spoilt(cookie)),
    )
