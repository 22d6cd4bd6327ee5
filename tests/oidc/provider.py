"""Providers that `oidc-provider` runs in Node, a browser in front of them, and a site behind us."""

import re
import time
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urljoin, urlsplit

import httpx2

from amplify_mw import AmplifyConfig, AuthRoutes, StoredSession
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.verdicts import user_key
from amplify_mw.stores.memory import MemoryStore
from tests.amplify_js.installation import HERE as AMPLIFY_JS
from tests.amplify_js.node import Process
from tests.patience import PATIENCE
from tests.shells import Got, Shell
from tests.sites import KEYS, Browser, Site

HERE = Path(__file__).parent
BORROWED = (AMPLIFY_JS / "orders.mjs",)
OLDEST_NODE = (20, 12)  # it has the `crypto.hash` that the provider's PKCE needs
ORIGIN = "https://app.example.com"
POOL = "eu-west-1_Local0001"
SECRET = "a:secret/with%all+that=has&to*be~encoded"
PUBLIC, CONFIDENTIAL, OTHER, JOB = "public", "confidential", "other", "orders-job"
MACHINE_GRANT = "client_credentials"
_MAX_STEPS = 20


def client(client_id: str, secret: str | None = None) -> dict[str, Any]:
    """An app client, as it is registered (OpenID Connect Dynamic Registration 2)."""
    own = {"token_endpoint_auth_method": "none"}
    if secret is not None:
        own = {"token_endpoint_auth_method": "client_secret_basic", "client_secret": secret}
    return {
        "client_id": client_id,
        "redirect_uris": [f"{ORIGIN}/auth/sign-in-callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        **own,
    }


def machine(client_id: str, secret: str) -> dict[str, Any]:
    """The client of a machine."""
    made = client(client_id, secret)
    return {**made, "redirect_uris": [], "response_types": [], "grant_types": [MACHINE_GRANT]}


class OpenIDProvider:
    """One provider of a process.

    It knows a public client, a confidential one, another, and a machine's.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        clients = [client(PUBLIC), client(CONFIDENTIAL, SECRET), client(OTHER)]
        clients.append(machine(JOB, SECRET))
        told = process.do("start", pool=POOL, clients=clients)
        self._number: int = told["number"]
        self.origin: str = told["origin"]
        self.issuer: str = told["issuer"]

    def alter(self, **alteration: Any) -> None:
        """Hand out ID tokens with other `header` and `claims`, and the signature of a `signer`."""
        self._process.do("alter", number=self._number, alteration=alteration)

    @property
    def asked(self) -> list[str]:
        """The authentication schemes of those who came to the token endpoint."""
        told: list[str] = self._look()["asked"]
        return told

    @property
    def revoked(self) -> int:
        """How many sign-ins were revoked, with all of their tokens."""
        told: int = self._look()["revoked"]
        return told

    def _look(self) -> Any:
        return self._process.do("look", number=self._number)

    def machine_token(self, **form: str) -> str:
        """An access token for the machine's own credentials."""
        answer = httpx2.post(
            f"{self.origin}/oauth2/token",
            auth=(quote(JOB, safe=""), quote(SECRET, safe="")),
            data={"grant_type": MACHINE_GRANT, **form},
            trust_env=False,
            verify=False,
            timeout=PATIENCE,
        )
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def config(self, client_id: str, **options: Any) -> AmplifyConfig:
        """A configuration with the sign-in routes, for an app client."""
        fields = {
            "client_secret": SECRET if client_id == CONFIDENTIAL else None,
            "endpoint_url": self.origin,
            "issuer": self.issuer,
            "domain": self.origin,
            "refresh_api": "oauth",
            "session": StoredSession(MemoryStore()),
            "http_timeout": 60,
            "routes": AuthRoutes(origin=ORIGIN, keys=KEYS[:1], on_error="/sorry"),
        }
        return AmplifyConfig(user_pool_id=POOL, client_id=client_id, **(fields | options))


class OIDCSite(Site):
    """An app behind `shell`, whose people sign in at a provider."""

    def __init__(self, shell: Shell, config: AmplifyConfig) -> None:
        self.shell = shell
        self.verbs = shell.verbs
        self.config = config
        self.session = config.session
        self.clock = time.time
        self.engine = Engine(config, clock=time.time)

    def sessions_of(self, name: str) -> int:
        """How many the store has of a user."""
        key = user_key(self.config.user_pools[0].user_pool_id, f"sub-of-{name}")
        return len(list(self.session.store.of_user(key)))


class Person(httpx2.Client):
    """Somebody's browser at the providers: it keeps their cookies, and fills in their forms."""

    def __init__(self, name: str = "ada") -> None:
        super().__init__(trust_env=False, verify=False, timeout=PATIENCE)
        self._name = name

    def sign_in(self, url: str, *, cancels: bool = False) -> str:
        """Where the browser is sent in the end; that is not asked any more."""
        response = self.get(url)
        for _ in range(_MAX_STEPS):
            if response.has_redirect_location:
                target = urljoin(str(response.url), response.headers["location"])
                if target.startswith(ORIGIN):
                    return target
                response = self.get(target)
                continue
            page = response.text
            form = re.search(r'<form [^>]*action="([^"]+)"', page)
            prompt = re.search(r'name="prompt" value="(\w+)"', page)
            assert form, f"HTTP {response.status_code}: {page}"
            assert prompt
            address = urljoin(str(response.url), unescape(form[1]))
            if cancels:
                response = self.get(f"{address}/abort")
                continue
            fields = {"prompt": prompt[1], "login": f"sub-of-{self._name}", "password": "any"}
            response = self.post(address, data=fields)
        raise AssertionError("the provider goes round in circles")


def leave(browser: Browser, query: str = "next=/orders") -> str:
    """Where our route sends a browser that wants to sign in."""
    got = browser.ask(lambda: "", path="/auth/sign-in", query=query)
    location = got.one("location")
    assert got.status == 303
    assert location is not None
    return location


def arrive(browser: Browser, url: str) -> Got:
    """Our route's answer to a browser that the provider has sent there."""
    parts = urlsplit(url)
    facts = {"path": parts.path, "query": parts.query}
    got = browser.ask(lambda: "", headers={"Sec-Fetch-Site": "cross-site"}, **facts)
    if f'content="0;url={parts.path}?' not in got.body:
        return got
    return browser.ask(lambda: "", headers={"Sec-Fetch-Site": "same-origin"}, **facts)


def begins_anew(got: Got) -> bool:
    """Whether an answer is not used, and the browser goes to sign in once more."""
    return got.status == 200 and 'content="0;url=/auth/sign-in?' in got.body


def refusal(got: Got) -> str:
    """The code that the page for errors is told."""
    found = re.search(r'content="0;url=(/sorry\?[^"]*)"', got.body)
    assert found is not None, (got.status, got.body)
    return parameters(unescape(found[1]))["error"]


def parameters(url: str) -> dict[str, str]:
    """Those of an address, each of which occurs once."""
    return {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}


def altered(url: str, **changes: str | None) -> str:
    """An address with other parameters; None takes one out."""
    parts = urlsplit(url)
    merged = dict(parse_qsl(parts.query)) | changes
    query = urlencode({name: value for name, value in merged.items() if value is not None})
    return parts._replace(query=query).geturl()
