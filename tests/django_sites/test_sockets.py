"""Channels on real servers: consumers see the user, each its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from amplify_mw.testing import LocalUserPool
from tests.patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent
APP = "tests.django_sites.project.sockets_app:application"
SERVERS = {
    "daphne": ("daphne", "--fd", "{fd}", APP),
    "uvicorn": ("uvicorn", "--fd", "{fd}", APP),
}


@pytest.fixture(scope="module")
def cognito() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        for name, groups in (("ada", ["editors"]), ("grace", [])):
            pool.add_user(name, groups=groups, email=f"{name}@example.com", email_verified="true")
        yield pool


class Server:
    """Channels on a server of its own, which inherits the listening socket."""

    def __init__(self, kind: str, pool: LocalUserPool, folder: Path) -> None:
        self.pool = pool
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.django_sites.project.sockets",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            "SITE_FOLDER": str(folder),
            "AMPLIFY_USER_POOL_ID": pool.user_pool_id,
            "AMPLIFY_CLIENT_ID": pool.client_id,
            "AMPLIFY_ENDPOINT_URL": pool.url,
            "AMPLIFY_ISSUER": pool.issuer,
        }
        self.log = folder / "log"
        with socket.create_server(("127.0.0.1", 0)) as listener, self.log.open("wb") as log:
            self.port = listener.getsockname()[1]
            fd = listener.fileno()
            command = [part.format(fd=fd) for part in SERVERS[kind]]
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=environment,
                pass_fds=(fd,),
                stdout=log,
                stderr=log,
            )

    def cookie(self, user: str) -> str:
        return f"amplify-session={self.pool.sign_in(user).id_token}"

    def dial(self, path: str, cookie: str = "", **options: Any) -> ClientConnection:
        return connect(
            f"ws://127.0.0.1:{self.port}{path}",
            additional_headers={"Cookie": cookie} if cookie else {},
            proxy=None,
            compression=None,
            open_timeout=PATIENCE,
            ping_interval=None,
            **options,
        )


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, cognito: LocalUserPool, tmp_path_factory: Any
) -> Iterator[Server]:
    server = Server(request.param, cognito, tmp_path_factory.mktemp("sockets"))
    yield server
    server.process.terminate()
    server.process.wait(PATIENCE)


def ask(dialed: ClientConnection, what: str = "who") -> Any:
    import json

    dialed.send(json.dumps(what))
    return json.loads(dialed.recv(PATIENCE))


@pytest.mark.parametrize("path", ["/ws/async", "/ws/sync"])
def test_consumers_see_the_user(server: Server, path: str) -> None:
    with (
        server.dial(path, server.cookie("ada")) as hers,
        server.dial(path, server.cookie("grace")) as other,
        server.dial(path) as nobodys,
    ):
        for _ in range(2):
            told = ask(hers)
            assert (
                told.items() >= {"text": "ada", "verb": "ada", "change": True, "in": True}.items()
            )
            told = ask(other)
            assert told.items() >= {"text": "grace", "verb": "grace", "change": False}.items()
            told = ask(nobodys)
            assert (
                told.items() >= {"in": False, "pk": None, "verb": "NotAuthorizedException"}.items()
            )


def test_the_database_is_asked_on_a_thread_with_the_user(server: Server) -> None:
    with server.dial("/ws/async", server.cookie("ada")) as dialed:
        assert ask(dialed, "database") == {"database": ["ada", "ada@example.com", "ada"]}


def test_a_group_message_runs_as_its_receiver(server: Server) -> None:
    import json

    with (
        server.dial("/ws/async", server.cookie("ada")) as hers,
        server.dial("/ws/async", server.cookie("grace")) as other,
    ):
        ask(hers), ask(other)  # both are in the room
        hers.send(json.dumps("say"))
        mine, others = (json.loads(each.recv(PATIENCE)) for each in (hers, other))
        assert (mine["by"], mine["text"], mine["verb"]) == ("ada", "ada", "ada")
        assert (others["by"], others["text"], others["verb"]) == ("ada", "grace", "grace")


def test_a_local_user_of_djangos_session(server: Server) -> None:
    session = httpx2.get(
        f"http://127.0.0.1:{server.port}/session", timeout=PATIENCE, trust_env=False
    ).text
    with server.dial("/ws/async", f"sessionid={session}") as dialed:
        assert ask(dialed)["text"] == "local"
    cookies = f"sessionid={session}; {server.cookie('ada')}"
    with server.dial("/ws/async", cookies) as dialed:
        assert ask(dialed)["text"] == "ada"


def test_a_token_that_runs_out_leaves_nobody(server: Server) -> None:
    """Its leeway is over already when the socket has been open for the moment it takes to ask."""
    token = server.pool.mint("ada", expires_in=-60)
    with server.dial("/ws/async", f"amplify-session={token}") as dialed:
        told = ask(dialed)
        assert (told["in"], told["verb"]) == (False, "TokenExpiredException")


def test_another_sites_page_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        server.dial("/ws/async", server.cookie("ada"), origin="https://evil.example")
    assert refused.value.response.status_code == 403


def test_a_key_that_cannot_be_had_is_no_stranger(tmp_path: Path) -> None:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        server = Server("uvicorn", pool, tmp_path)
        cookie = server.cookie("ada")
    try:
        with server.dial("/ws/async", cookie) as dialed:
            assert ask(dialed) == {"error": "NetworkError", "verb": "NetworkError"}
    finally:
        server.process.terminate()
        server.process.wait(PATIENCE)


def test_channels_own_middleware(server: Server) -> None:
    with server.dial("/theirs/async", server.cookie("ada")) as dialed:
        told = ask(dialed)
    assert (told["text"], told["verb"]) == ("AnonymousUser", "ada")
