"""A second opinion: moto's Cognito, in a process of its own, issues the tokens.

moto signs with one fixed key (`kid` "dummy"), writes Amazon's ORIGINAL issuer into `iss`, wherever
it runs and whatever type of issuer it says that a pool has, and takes unsigned calls to be meant
for us-east-1. Its access tokens have the scope that `GetUser` asks for; its ID tokens have the
attributes that the app client may read. It refreshes by `InitiateAuth` alone, without rotation;
`GetTokensFromRefreshToken` and `RevokeToken` it lacks, and so it does second secrets, Cognito's own
sessions and replicas. It registers app clients for client credentials and has no token endpoint.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2
import pytest

from amplify_mw import AmplifyConfig, StoredSession, fetch_user_attributes, get_current_user
from amplify_mw.cognito.api import (
    AppClient,
    Failure,
    Refreshed,
    initiate_auth_refresh,
    read_refreshed,
)
from amplify_mw.cognito.ending import global_sign_out, read_signed_out
from amplify_mw.effects import Request, Response
from amplify_mw.engine.engine import Engine
from amplify_mw.models.session import TokenSet
from amplify_mw.stores.memory import MemoryStore
from tests.patience import PATIENCE
from tests.shells import Ask, Got, Shell
from tests.sites import Browser, Site

TOKENS = ("IdToken", "AccessToken")
Get: TypeAlias = Callable[[AmplifyConfig, str], Got]

# The server ends with its standard input: no process is left behind, however the tests end.
SERVE = """
import sys
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Moto:
    """A user pool at moto, with the app clients `web`, `other` and `server` and the user `ada`.

    `server` has a secret.
    """

    url: str
    pool_id: str
    web: str
    other: str
    server: AppClient

    def sign_in(self, client_id: str, **parameters: str) -> dict[str, str]:
        """What InitiateAuth answers: `IdToken`, `AccessToken`, ..."""
        answer = call(
            self.url,
            "InitiateAuth",
            ClientId=client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": "ada", "PASSWORD": "Corr3ct!horse", **parameters},
        )
        tokens: dict[str, str] = answer["AuthenticationResult"]
        return tokens

    @property
    def config(self) -> AmplifyConfig:
        """Keys and API at moto; the issuer stays Amazon's."""
        return AmplifyConfig(
            user_pool_id=self.pool_id,
            client_id=self.web,
            endpoint_url=self.url,
            attributes_ttl=0,
            http_timeout=60,
        )


def call(url: str, operation: str, **members: Any) -> Any:
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
    }
    answer = httpx2.post(
        f"{url}/",
        headers=headers,
        content=json.dumps(members),
        trust_env=False,
        verify=False,
        timeout=PATIENCE,
    )
    answer.raise_for_status()
    return answer.json()


def send(request: Request) -> Response:
    """The library's own request, sent; the answer as its readers take it."""
    got = httpx2.request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        trust_env=False,
        timeout=PATIENCE,
    )
    return Response(got.status_code, {k.lower(): v for k, v in got.headers.items()}, got.content)


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()


@pytest.fixture(scope="module")
def moto(moto_url: str) -> Moto:
    return made(moto_url)


def made(moto_url: str, **options: Any) -> Moto:
    pool_id = call(moto_url, "CreateUserPool", PoolName="people", **options)["UserPool"]["Id"]
    ada = {"UserPoolId": pool_id, "Username": "ada"}
    attributes = [
        {"Name": "email", "Value": "ada@example.com"},
        {"Name": "name", "Value": "Ada"},
    ]
    call(moto_url, "AdminCreateUser", **ada, UserAttributes=attributes)
    call(moto_url, "AdminSetUserPassword", **ada, Password="Corr3ct!horse", Permanent=True)
    web, other = (add_client(moto_url, pool_id).client_id for _ in range(2))
    return Moto(moto_url, pool_id, web, other, add_client(moto_url, pool_id, GenerateSecret=True))


def add_client(url: str, pool_id: str, **options: Any) -> AppClient:
    answer = call(
        url,
        "CreateUserPoolClient",
        UserPoolId=pool_id,
        ClientName="web",
        ExplicitAuthFlows=["USER_PASSWORD"],
        ReadAttributes=["email", "name"],
        **options,
    )
    client = answer["UserPoolClient"]
    return AppClient(client["ClientId"], client.get("ClientSecret"))


def facts() -> str:
    return json.dumps({**get_current_user().to_dict(), **fetch_user_attributes()})


@pytest.fixture
def get(shell: Shell) -> Get:
    """Ask an app for the user and the attributes, with a token in the cookie."""

    def get(config: AmplifyConfig, token: str) -> Got:
        return shell.send(shell.middleware(shell.app(facts), config), Ask(cookie=token))

    return get


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_of_motos_sign_in_shows_the_user_and_the_attributes(
    moto: Moto, get: Get, kind: str
) -> None:
    answer = get(moto.config, moto.sign_in(moto.web)[kind])
    assert answer.status == 200
    seen = json.loads(answer.body)
    assert (seen["username"], seen["email"], seen["name"]) == ("ada", "ada@example.com", "Ada")
    assert seen["userId"] == seen["sub"]


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_for_another_client_of_the_pool_is_refused(moto: Moto, get: Get, kind: str) -> None:
    answer = get(moto.config, moto.sign_in(moto.other)[kind])
    assert answer.status == 401
    assert answer.clears_cookie


def test_a_token_for_another_pool_of_the_same_key_is_refused(moto: Moto, get: Get) -> None:
    # All of moto's pools sign with one key: only the issuer tells them apart.
    elsewhere = call(moto.url, "CreateUserPool", PoolName="others")["UserPool"]["Id"]
    config = moto.config.replace(user_pool_id=elsewhere)
    assert get(config, moto.sign_in(moto.web)["IdToken"]).status == 401


def test_a_global_sign_out_at_moto_ends_the_session(moto: Moto, get: Get) -> None:
    token = moto.sign_in(moto.web)["AccessToken"]
    assert get(moto.config, token).status == 200
    call(moto.url, "GlobalSignOut", AccessToken=token)
    answer = get(moto.config, token)
    assert answer.status == 401
    assert answer.clears_cookie


@pytest.mark.parametrize("issuers", ["both", "original", "updated"])
def test_moto_says_that_an_issuer_is_updated_and_signs_as_the_original(
    moto_url: str, get: Get, issuers: str
) -> None:
    updated = made(moto_url, IssuerConfiguration={"Type": "UPDATED"})
    described = call(moto_url, "DescribeUserPool", UserPoolId=updated.pool_id)["UserPool"]
    assert described["IssuerConfiguration"] == {"Type": "UPDATED"}
    config = updated.config.replace(issuers=issuers)
    answers = {get(config, updated.sign_in(updated.web)[kind]).status for kind in TOKENS}
    assert answers == {401 if issuers == "updated" else 200}


@pytest.mark.parametrize(
    "operation",
    [
        *("ListUserSessions", "RevokeUserSession", "AddUserPoolClientSecret"),
        *("ListUserPoolClientSecrets", "CreateUserPoolReplica", "ListUserPoolReplicas"),
    ],
)
def test_moto_breaks_at_what_it_lacks(moto_url: str, operation: str) -> None:
    with pytest.raises(httpx2.HTTPStatusError) as error:
        call(moto_url, operation)
    assert error.value.response.status_code == 500


def test_moto_has_a_machines_app_client_and_no_endpoint_for_its_token(moto: Moto) -> None:
    """Once it has one: let the machine write orders, as tests/oidc does."""
    call(
        moto.url,
        "CreateResourceServer",
        UserPoolId=moto.pool_id,
        Identifier="orders",
        Name="Orders",
        Scopes=[{"ScopeName": "write", "ScopeDescription": "Write orders"}],
    )
    machine = add_client(
        moto.url,
        moto.pool_id,
        GenerateSecret=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthScopes=["orders/write"],
    )
    assert machine.secret
    answer = httpx2.post(
        f"{moto.url}/oauth2/token",
        data={"grant_type": "client_credentials"},
        auth=(machine.client_id, machine.secret),
        trust_env=False,
        timeout=PATIENCE,
    )
    assert answer.status_code == 500


@pytest.mark.parametrize("kind", TOKENS)
def test_motos_access_token_is_a_bearer_token_and_its_id_token_none(
    moto: Moto, shell: Shell, kind: str
) -> None:
    app = shell.middleware(shell.app(facts), moto.config.replace(bearer=True))
    header = {"Authorization": f"Bearer {moto.sign_in(moto.web)[kind]}"}
    answer = shell.send(app, Ask(headers=header))
    if kind == "IdToken":
        assert answer.status == 401
    else:
        assert (answer.status, json.loads(answer.body)["email"]) == (200, "ada@example.com")


# --- our requests, its answers


def refresh(moto: Moto, client: AppClient, token: str) -> Refreshed | Failure:
    request = initiate_auth_refresh(f"{moto.url}/", client, token.encode(), "ada")
    return read_refreshed(send(request))


def test_moto_understands_a_refresh_and_we_its_answer(moto: Moto, get: Get) -> None:
    fresh = refresh(moto, AppClient(moto.web), moto.sign_in(moto.web)["RefreshToken"])
    assert isinstance(fresh, Refreshed)
    assert fresh.refresh_token is None
    for token in (fresh.id_token, fresh.access_token):
        assert get(moto.config, token.decode()).status == 200


def test_moto_accepts_our_hash_of_the_secret_and_no_other(moto: Moto) -> None:
    token = moto.sign_in(moto.server.client_id)["RefreshToken"]
    assert isinstance(refresh(moto, moto.server, token), Refreshed)
    assert isinstance(refresh(moto, moto.server._replace(secret="wrong"), token), Failure)
    assert isinstance(refresh(moto, moto.server._replace(secret=None), token), Failure)


class MotoSite(Site):
    """A site whose user pool is moto's."""

    def __init__(self, shell: Shell, moto: Moto, **options: Any) -> None:
        self.shell, self.verbs = shell, shell.verbs
        self.session = StoredSession(MemoryStore())
        self.config = moto.config.replace(session=self.session, **options)
        self.engine = Engine(self.config)


def signed_in(site: Site, moto: Moto) -> Browser:
    tokens = moto.sign_in(moto.web)
    given = TokenSet(tokens["IdToken"], tokens["AccessToken"], tokens["RefreshToken"])
    browser = site.browser()
    assert browser.does(site.start(given)).body == "ada"
    return browser


def test_a_session_is_refreshed_at_moto_where_its_own_refresh_is_configured(
    moto: Moto, shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    site = MotoSite(shell, moto, refresh_api="InitiateAuth")
    assert signed_in(site, moto).does(site.refresh).body.count(".") == 2
    site.close()
    assert [record for record in caplog.records if record.name == "amplify_mw"] == []


def test_else_the_session_is_kept_and_the_log_says_what_to_write(
    moto: Moto, shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    site = MotoSite(shell, moto)
    browser = signed_in(site, moto)
    for _ in range(3):
        got = browser.does(site.refresh)
        assert (got.body, got.all("set-cookie")) == ("NetworkError cognito_unavailable", [])
    assert browser.does().body == "ada"
    site.close()
    (message,) = [one.getMessage() for one in caplog.records if one.name == "amplify_mw"]
    assert "an emulator without GetTokensFromRefreshToken needs" in message
    assert 'refresh_api="InitiateAuth"' in message


def test_a_secret_that_moto_refuses_looks_like_a_revoked_session(moto: Moto, shell: Shell) -> None:
    """Its error has the hash for a message, where Cognito's names the secret: no next is tried."""
    web, right = moto.server
    tokens = moto.sign_in(web)
    given = TokenSet(tokens["IdToken"], tokens["AccessToken"], tokens["RefreshToken"])
    for secrets, answer in (([right], "."), (["wrong", right], "session_revoked")):
        options = {"refresh_api": "InitiateAuth", "client_id": web, "client_secret": secrets}
        site = MotoSite(shell, moto, **options)
        browser = site.browser()
        assert browser.does(site.start(given)).body == "ada"
        assert answer in browser.does(site.refresh).body
        site.close()


def test_an_unknown_refresh_token_ends_the_session(moto: Moto) -> None:
    failure = refresh(moto, AppClient(moto.web), "unknown")
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.ends_session) == ("session_revoked", True)


def test_our_global_sign_out_reaches_moto(moto: Moto) -> None:
    tokens = moto.sign_in(moto.web)
    assert isinstance(refresh(moto, AppClient(moto.web), tokens["RefreshToken"]), Refreshed)
    request = global_sign_out(f"{moto.url}/", tokens["AccessToken"].encode())
    assert read_signed_out(send(request)) is None
    failure = refresh(moto, AppClient(moto.web), tokens["RefreshToken"])
    assert isinstance(failure, Failure)
    assert failure.ends_session
    again = read_signed_out(send(request))
    assert again is not None
    assert again.reason == "session_revoked"


def test_that_moto_lists_no_sessions_of_cognitos_ends_none_of_ours(
    moto: Moto, shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    site = MotoSite(shell, moto, refresh_api="InitiateAuth")
    browser = signed_in(site, moto)
    got = browser.does(lambda: site.verbs.list_sessions(source="cognito"))
    assert (got.status, got.body) == (200, "NetworkError cognito_unavailable")
    assert browser.does().body == "ada"
    site.close()
    [message] = [one.getMessage() for one in caplog.records if one.name == "amplify_mw"]
    assert message.startswith(f"session list at {moto.url}/ does not answer (HTTP status 500)")
