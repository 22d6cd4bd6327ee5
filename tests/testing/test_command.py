"""`amplify-mw pool`, as a process of its own, and an app beside it."""

import json
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from werkzeug.test import Client

import amplify_mw.__main__ as cli
from amplify_mw import (
    AmplifyConfig,
    AuthRoutes,
    SealedSession,
    fetch_auth_session,
    get_current_user,
)
from amplify_mw.sessions.seal import key_text
from amplify_mw.testing.pool.browserless import walk
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE
from tests.testing.asking import client

COMMAND = [sys.executable, "-m", "amplify_mw", "pool"]
ORIGIN = "http://localhost:8000"


class Pool:
    """A running command, in a folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=folder, stdout=pipe, stderr=pipe, text=True
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C" in line:
                break
        else:
            raise AssertionError(self.process.communicate()[1])
        self.url = re.findall(r"http://127\.0\.0\.1:\d+", self.said)[0]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, complaints = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, complaints

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    with ExitStack() as stack:

        def start(*arguments: str) -> Pool:
            pool = Pool(tmp_path, *arguments)
            stack.callback(pool.close)
            return pool

        yield start


def refused(folder: Path, *arguments: str) -> str:
    """The line that the command ends with."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"amplify-mw pool: .+\n", done.stderr)
    return done.stderr


def app(environ: Any, start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/refresh":
        fetch_auth_session(force_refresh=True)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [get_current_user().username.encode()]


def client_of(outputs: Path) -> Client:
    """A browser at an app that the command's file configures."""
    config = AmplifyConfig.from_outputs(
        outputs,
        session=SealedSession(keys=[key_text(bytes(32))]),
        routes=AuthRoutes(origin=ORIGIN),
        protect=["/*"],
        http_timeout=60,
    )
    return Client(AmplifyWSGIMiddleware(app, config))


def sign_in(browser: Client, pool: Pool, password: str) -> None:
    sent = browser.get("/auth/sign-in?next=/", base_url=ORIGIN)
    back = urlsplit(walk(pool.url, sent.location, {"username": "ada", "password": password}, {}))
    page = browser.get(f"{back.path}?{back.query}", base_url=ORIGIN)
    if page.status_code == 200:  # a page that goes on by itself, so that strict cookies are sent
        page = browser.get(f"{back.path}?{back.query}", base_url=ORIGIN)
    assert page.status_code in (200, 302, 303), page.text


def test_a_restart_signs_nobody_out(started: Callable[..., Pool], tmp_path: Path) -> None:
    arguments = ["--user", "ada:password", "--state", "pool.json", "--port"]
    pool = started(*arguments, "0")
    port = pool.url.rpartition(":")[2]
    browser = client_of(tmp_path / "amplify_outputs.json")
    sign_in(browser, pool, "password")
    assert browser.get("/", base_url=ORIGIN).text == "ada"
    assert pool.end() == (0, "")
    pool = started(*arguments, port)
    assert browser.get("/refresh", base_url=ORIGIN).text == "ada"
    assert pool.end(signal.SIGKILL)[0] == -signal.SIGKILL  # and not even that does
    pool = started(*arguments, port)
    assert browser.get("/refresh", base_url=ORIGIN).text == "ada"
    # An app in reload mode: another process, with the same file and the same keys.
    reloaded = client_of(tmp_path / "amplify_outputs.json")
    for cookie in browser._cookies.values():
        reloaded._cookies[cookie._storage_key] = cookie
    assert reloaded.get("/refresh", base_url=ORIGIN).text == "ada"


def test_it_says_what_there_is_and_that_it_is_for_development(
    started: Callable[..., Pool], tmp_path: Path
) -> None:
    given = ["--user", "ada:sesame", "--group", "admins", "--group", "staff"]
    given += ["--attribute", "name=Ada", "--user", "grace", "--attribute", "email=g@example.org"]
    pool = started("--port", "0", "--state", "pool.json", *given)
    assert "FOR DEVELOPMENT" in pool.said
    assert "ada, password: sesame, in admins, staff" in pool.said
    assert "grace, password: correct horse" in pool.said
    assert 'AmplifyConfig.from_outputs("amplify_outputs.json")' in pool.said
    users = json.loads((tmp_path / "pool.json").read_text())["users"]
    assert [user["groups"] for user in users] == [["admins", "staff"], []]
    assert users[0]["attributes"] == {
        "email": "ada@example.com",
        "email_verified": "true",
        "name": "Ada",
    }
    assert users[1]["attributes"]["email"] == "g@example.org"
    assert "sesame" not in (tmp_path / "pool.json").read_text()


def test_without_a_user_there_is_ada_and_without_a_state_no_file_of_it(
    started: Callable[..., Pool], tmp_path: Path
) -> None:
    pool = started("--port", "0")
    assert "ada, password: correct horse" in pool.said
    assert [path.name for path in tmp_path.iterdir()] == ["amplify_outputs.json"]
    assert pool.end(signal.SIGINT) == (0, "")


def test_it_listens_on_this_machine_alone(started: Callable[..., Pool]) -> None:
    port = int(started("--port", "0").url.rpartition(":")[2])
    with socket.create_server(("127.0.0.2", port)):  # of another address the port is free
        pass


def test_the_users_of_the_state_stay_without_options(started: Callable[..., Pool]) -> None:
    started("--port", "0", "--state", "pool.json", "--user", "grace:secret").end()
    pool = started("--port", "0", "--state", "pool.json")
    assert "grace" in pool.said
    assert "ada" not in pool.said


def test_tls_writes_its_certificate_and_says_how_to_trust_it(
    started: Callable[..., Pool], tmp_path: Path
) -> None:
    given = ["--port", "0", "--state", "pool.json", "--tls", "--origin", "http://localhost:5173"]
    pool = started(*given)
    certificate = tmp_path / "pool.json.certificate.pem"
    assert "BEGIN CERTIFICATE" in certificate.read_text()
    assert "PRIVATE" not in certificate.read_text()
    assert all(word in pool.said for word in ("https://127.0.0.1:", certificate.name, "accept"))
    assert stat.S_IMODE((tmp_path / "pool.json").stat().st_mode) == 0o600
    pool.end()
    started(*given).end()
    certificate.write_text("mine")
    assert "stays" in refused(tmp_path, *given)
    assert certificate.read_text() == "mine"


def test_a_port_in_use_names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = refused(tmp_path, "--port", port)
    assert f"port {port}" in said
    assert "in use" in said
    assert "--port" in said
    assert list(tmp_path.iterdir()) == []


def test_outputs_of_somebody_elses_stay_and_nothing_starts(tmp_path: Path) -> None:
    outputs = tmp_path / "amplify_outputs.json"
    outputs.write_text('{"version": "1.4"}')
    said = refused(tmp_path, "--port", "0", "--state", "pool.json")
    assert "--outputs" in said
    assert outputs.read_text() == '{"version": "1.4"}'
    assert list(tmp_path.iterdir()) == [outputs]


def test_a_damaged_state_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "pool.json").write_text("{")
    said = refused(tmp_path, "--port", "0", "--state", "pool.json")
    assert "pool.json.damaged-1" in said
    assert (tmp_path / "pool.json.damaged-1").read_text() == "{"


def test_a_second_command_on_one_state_is_refused(
    started: Callable[..., Pool], tmp_path: Path
) -> None:
    started("--port", "0", "--state", "pool.json")
    assert "in use by another local pool" in refused(
        tmp_path, "--port", "0", "--state", "pool.json"
    )


def test_an_outputs_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert "none" in refused(tmp_path, "--port", "0", "--outputs", "none/outputs.json")


def test_tls_needs_a_state(tmp_path: Path) -> None:
    assert "--state" in refused(tmp_path, "--port", "0", "--tls")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--group", "admins"], "--group: write it after the --user"),
        (["--attribute", "name=Ada"], "--attribute: write it after the --user"),
        (["--user", "ada:x", "--attribute", "name"], "write NAME=VALUE"),
        (["--user", ":password"], "write NAME:PASSWORD"),
        (["--user", "ada:"], "write NAME:PASSWORD"),
        (["--user", "ada:x", "--user", "ada:y"], "a user ada already"),
        (["--origin", "localhost:5173"], "write an origin"),
        (["--port", "65536"], "from 0 to 65535"),
    ],
)
def test_options_that_are_wrong_are_usage_errors(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["pool", *arguments])
    assert said in capsys.readouterr().err


# --- issuers and replicas


def test_it_may_switch_its_issuer_and_signs_nobody_out(
    started: Callable[..., Pool], tmp_path: Path
) -> None:
    arguments = ["--user", "ada:password", "--state", "pool.json", "--issuer-type"]
    pool = started(*arguments, "ORIGINAL", "--port", "0")
    assert "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Local0001 (ORIGINAL)" in pool.said
    port = pool.url.rpartition(":")[2]
    browser = client_of(tmp_path / "amplify_outputs.json")
    sign_in(browser, pool, "password")
    assert pool.end() == (0, "")
    pool = started(*arguments, "UPDATED", "--port", port)
    assert "https://issuer-cognito-idp.eu-west-1" in pool.said
    assert browser.get("/", base_url=ORIGIN).text == "ada"
    assert browser.get("/refresh", base_url=ORIGIN).text == "ada"
    assert browser.get("/", base_url=ORIGIN).text == "ada"


def test_its_replicas_are_in_the_outputs_and_serve(
    started: Callable[..., Pool], tmp_path: Path
) -> None:
    pool = started("--port", "0", "--replica", "us-west-2", "--replica", "us-east-2")
    outputs = tmp_path / "amplify_outputs.json"
    regions = json.loads(outputs.read_text())["custom"]["amplify_mw"]["regions"]
    assert list(regions) == ["us-west-2", "us-east-2"]
    assert f"{regions['us-west-2']} is us-west-2" in pool.said
    urls = tuple(f"{url}/" for url in (pool.url, *regions.values()))
    assert AmplifyConfig.from_outputs(outputs).user_pools[0].api_urls == urls
    with client() as http:
        for url in urls:
            assert http.get(f"{url}eu-west-1_Local0001/.well-known/jwks.json").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--replica", "eu-west-1"], "has a server in eu-west-1 already"),
        (["--replica", "us-west-2", "--replica", "us-west-2"], "in us-west-2 already"),
    ],
)
def test_a_region_is_served_once(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refused(tmp_path, "--port", "0", *arguments)
    assert not list(tmp_path.iterdir())


def test_the_name_of_no_region_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["pool", "--replica", "west"])
    assert "write an AWS Region, such as us-west-2" in capsys.readouterr().err


# --- sessions


@pytest.mark.parametrize(("arguments", "most"), [([], 20), (["2"], 2)])
def test_it_tracks_sessions(started: Callable[..., Pool], arguments: list[str], most: int) -> None:
    pool = started("--port", "0", "--track-sessions", *arguments)
    assert f"are tracked, at most {most} sign-ins of a user" in pool.said


def test_a_limit_that_cognito_has_not_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, "--port", "0", "--track-sessions", "0")
    assert "--track-sessions: write a number from 1 to 100; got 0" in said


def test_a_machine_gets_its_token_with_the_secret_that_was_printed(
    started: Callable[..., Pool],
) -> None:
    said = ["--machine", "orders-job:orders/read,orders/write", "--state", "pool.json"]
    pool = started("--port", "0", *said)
    secret = re.findall(r"Machines  orders-job, secret: (\S+)", pool.said)[0]
    form = {"client_id": "orders-job", "client_secret": secret, "grant_type": "client_credentials"}
    answer = httpx2.post(f"{pool.url}/oauth2/token", data=form, timeout=PATIENCE)
    assert answer.status_code == 200
    assert pool.end() == (0, "")
    assert secret in started("--port", "0", "--state", "pool.json").said


@pytest.mark.parametrize(
    "text", ["job", "job:", ":a/b", "job:a/b,", "job:a b", "a b:a/b", 'job:"a']
)
def test_a_machine_without_scopes_is_a_usage_error(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["pool", "--machine", text])
    assert "write ID:SCOPE,SCOPE, such as orders-job:orders/write" in capsys.readouterr().err
