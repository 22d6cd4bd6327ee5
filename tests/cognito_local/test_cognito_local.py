"""cognito-local, an emulator that npm installs: what works with it, and what it has to be told.

It refreshes by `InitiateAuth` alone, and answers status 500 to what it lacks:
`GetTokensFromRefreshToken` and `GlobalSignOut`. User names are e-mail addresses, pools are named
`local_...`, and the issuer is plain http.
"""

import json
import logging
import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, StoredSession
from amplify_mw.models.session import TokenSet
from amplify_mw.stores.memory import MemoryStore
from tests.amplify_js.installation import Unavailable, installed, node
from tests.emulators import EmulatedSite
from tests.moto.test_moto import call
from tests.shells import Shell
from tests.sites import Browser, Site

pytestmark = pytest.mark.node

HERE = Path(__file__).parent
ADA, PASSWORD = "ada@example.com", "Corr3ct!horse"


@dataclass(frozen=True)
class Emulator:
    """A pool of cognito-local's with the user `ada@example.com` and the app client `web`."""

    url: str
    pool_id: str
    web: str

    def sign_in(self) -> TokenSet:
        answer = call(
            self.url,
            "InitiateAuth",
            ClientId=self.web,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": ADA, "PASSWORD": PASSWORD},
        )
        result = answer["AuthenticationResult"]
        return TokenSet(result["IdToken"], result["AccessToken"], result["RefreshToken"])

    def config(self, **options: Any) -> AmplifyConfig:
        claims = self.sign_in().id_token.split(".")[1]
        issuer = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"]
        return AmplifyConfig(
            user_pool_id=self.pool_id,
            client_id=self.web,
            endpoint_url=self.url,
            issuer=issuer,
            session=StoredSession(MemoryStore()),
            http_timeout=60,
            **options,
        )


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    try:
        scripts = installed(HERE)
    except Unavailable as reason:
        pytest.skip(f"cognito-local is not at hand: {reason}")
    server = subprocess.Popen(
        [node(), str(scripts / "serve.mjs"), str(tmp_path_factory.mktemp("cognito-local"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server:  # which closes its input: it ends
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        pool_id = call(url, "CreateUserPool", PoolName="people")["UserPool"]["Id"]
        ada = {"UserPoolId": pool_id, "Username": ADA}
        attributes = [{"Name": "email", "Value": ADA}]
        call(url, "AdminCreateUser", **ada, MessageAction="SUPPRESS", UserAttributes=attributes)
        call(url, "AdminSetUserPassword", **ada, Password=PASSWORD, Permanent=True)
        flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
        client = {"UserPoolId": pool_id, "ClientName": "web", "ExplicitAuthFlows": flows}
        web = call(url, "CreateUserPoolClient", **client)["UserPoolClient"]["ClientId"]
        yield Emulator(url, pool_id, web)


def signed_in(site: Site, emulator: Emulator) -> Browser:
    browser = site.browser()
    assert browser.does(site.start(emulator.sign_in())).status == 200
    return browser


def test_all_but_signing_out_everywhere_works_with_its_own_refresh(
    shell: Shell, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    site = EmulatedSite(shell, emulator, refresh_api="InitiateAuth")
    browser = signed_in(site, emulator)
    assert browser.does(site.email).body == ADA
    assert browser.does(site.refresh).body.count(".") == 2
    assert browser.does(site.end()).clears_cookie
    site.close()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_without_it_the_log_says_what_to_write(
    shell: Shell, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    site = EmulatedSite(shell, emulator)
    browser = signed_in(site, emulator)
    for _ in range(3):
        got = browser.does(site.refresh)
        assert (got.body, got.all("set-cookie")) == ("NetworkError cognito_misconfigured", [])
    assert browser.does(site.email).body == ADA
    site.close()
    (message,) = [record.getMessage() for record in caplog.records]
    assert "(Unsupported): " in message
    assert 'write refresh_api="InitiateAuth"' in message


def test_that_it_cannot_sign_out_everywhere_is_told(
    shell: Shell, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    site = EmulatedSite(shell, emulator, refresh_api="InitiateAuth")
    browser = signed_in(site, emulator)
    assert browser.does(site.end(everywhere=True)).clears_cookie
    site.close()
    (message,) = [record.getMessage() for record in caplog.records]
    assert "(Unsupported): this endpoint has no such operation" in message
