"""ministack, an emulator that pip installs: what works with it, and what it lacks.

It refreshes by `GetTokensFromRefreshToken` without rotation, signs ID and access tokens with two
keys, and writes Amazon's ORIGINAL issuer into them, wherever it runs and whatever type of issuer
the pool has been given. Of Cognito's own sessions, second secrets and replicas it knows nothing.
(Rotations of a secret are tried on a `LocalUserPool`, which looks at them.)
"""

import json
import logging
import os
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from amplify_mw import AmplifyConfig, StoredSession
from amplify_mw.models.session import TokenSet
from amplify_mw.stores.memory import MemoryStore
from tests.amplify_js.installation import Unavailable
from tests.emulators import EmulatedSite
from tests.ministack.installation import installed
from tests.moto.test_moto import call
from tests.shells import Shell
from tests.sites import Browser, Site

HERE = Path(__file__).parent
PASSWORD = "Corr3ct!horse"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        packages = installed()
    except Unavailable as reason:
        pytest.skip(f"ministack is not at hand: {reason}")
    server = subprocess.Popen(
        [sys.executable, HERE / "serve.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(packages),
            "TMPDIR": str(tmp_path_factory.mktemp("ministack")),
        },
    )
    with server:  # which closes its input: it ends
        assert server.stdout is not None
        yield server.stdout.readline().strip()


@dataclass(frozen=True)
class Emulator:
    """A pool of ministack's with the user `ada` and the app client `web`."""

    url: str
    pool_id: str
    web: str
    secret: str | None

    def sign_in(self) -> TokenSet:
        answer = call(
            self.url,
            "InitiateAuth",
            ClientId=self.web,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "ada", "PASSWORD": PASSWORD},
        )
        result = answer["AuthenticationResult"]
        return TokenSet(result["IdToken"], result["AccessToken"], result["RefreshToken"])

    def config(self, **options: Any) -> AmplifyConfig:
        """Keys and API at ministack; the issuer stays Amazon's."""
        return AmplifyConfig(
            user_pool_id=self.pool_id,
            client_id=self.web,
            endpoint_url=self.url,
            session=StoredSession(MemoryStore()),
            http_timeout=60,
            **options,
        )


def made(url: str, *, has_secret: bool = False, **options: Any) -> Emulator:
    pool_id = call(url, "CreateUserPool", PoolName="people", **options)["UserPool"]["Id"]
    ada = {"UserPoolId": pool_id, "Username": "ada"}
    attributes = [{"Name": "email", "Value": "ada@example.com"}]
    call(url, "AdminCreateUser", **ada, MessageAction="SUPPRESS", UserAttributes=attributes)
    call(url, "AdminSetUserPassword", **ada, Password=PASSWORD, Permanent=True)
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    client = {"UserPoolId": pool_id, "ClientName": "web", "ExplicitAuthFlows": flows}
    answer = call(url, "CreateUserPoolClient", **client, GenerateSecret=has_secret)
    web = answer["UserPoolClient"]
    return Emulator(url, pool_id, web["ClientId"], web.get("ClientSecret"))


@pytest.fixture(scope="module")
def emulator(url: str) -> Emulator:
    return made(url)


def signed_in(site: Site, emulator: Emulator) -> Browser:
    browser = site.browser()
    assert browser.does(site.start(emulator.sign_in())).body == "ada"
    return browser


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_session_is_kept_refreshed_and_ended(
    shell: Shell, emulator: Emulator, everywhere: bool, caplog: pytest.LogCaptureFixture
) -> None:
    site = EmulatedSite(shell, emulator)
    browser = signed_in(site, emulator)
    assert browser.does(site.email).body == "ada@example.com"
    assert browser.does(site.refresh).body.count(".") == 2
    assert browser.does(site.end(everywhere=everywhere)).clears_cookie
    assert browser.does().body == "NotAuthorizedException no_session"
    site.close()
    assert complaints(caplog) == []


def test_a_sign_out_revokes_the_refresh_token_there(shell: Shell, emulator: Emulator) -> None:
    site = EmulatedSite(shell, emulator)
    given = emulator.sign_in()
    browser = site.browser()
    browser.does(site.start(given))
    browser.does(site.end())
    site.close()
    again = {"ClientId": emulator.web, "RefreshToken": given.refresh_token}
    with pytest.raises(httpx2.HTTPStatusError) as error:
        call(emulator.url, "GetTokensFromRefreshToken", **again)
    assert error.value.response.json()["__type"] == "NotAuthorizedException"


def test_both_of_its_keys_are_known(shell: Shell, emulator: Emulator) -> None:
    site, given = EmulatedSite(shell, emulator), emulator.sign_in()
    kids = [
        json.loads(urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]
        for token in (given.id_token, given.access_token)
    ]
    assert len(set(kids)) == 2
    assert signed_in(site, emulator).does().body == "ada"
    site.close()


def test_an_updated_issuer_is_dropped_without_a_word_and_tokens_name_the_original(
    url: str, shell: Shell
) -> None:
    updated = made(url, IssuerConfiguration={"Type": "UPDATED"})
    described = call(url, "DescribeUserPool", UserPoolId=updated.pool_id)["UserPool"]
    assert "IssuerConfiguration" not in described
    site = EmulatedSite(shell, updated)
    assert signed_in(site, updated).does().body == "ada"  # both issuers count
    site.close()
    strict = EmulatedSite(shell, updated, issuers="updated")
    refused = strict.browser().does(strict.start(updated.sign_in()))
    assert refused.body == "NotAuthorizedException wrong_issuer"
    strict.close()


def test_a_client_with_a_secret_refreshes(url: str, shell: Shell) -> None:
    emulator = made(url, has_secret=True)
    assert emulator.secret
    site = EmulatedSite(shell, emulator, client_secret=emulator.secret)
    browser = signed_in(site, emulator)
    assert browser.does(site.refresh).body.count(".") == 2
    site.close()


@pytest.mark.parametrize(
    "operation",
    [
        *("ListUserSessions", "RevokeUserSession", "AddUserPoolClientSecret"),
        *("ListUserPoolClientSecrets", "CreateUserPoolReplica", "ListUserPoolReplicas"),
    ],
)
def test_what_it_lacks_is_an_invalid_action(url: str, operation: str) -> None:
    with pytest.raises(httpx2.HTTPStatusError) as error:
        call(url, operation)
    assert error.value.response.status_code == 400
    assert error.value.response.json()["__type"] == "InvalidAction"


def test_that_it_lists_no_sessions_of_cognitos_is_told(
    shell: Shell, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    site = EmulatedSite(shell, emulator)
    browser = signed_in(site, emulator)
    got = browser.does(lambda: site.verbs.list_sessions(source="cognito"))
    assert (got.status, got.body) == (200, "AuthError cognito_misconfigured")
    assert browser.does().body == "ada"
    site.close()
    [message] = complaints(caplog)
    assert "(InvalidAction): this endpoint has no such operation; none is listed" in message
