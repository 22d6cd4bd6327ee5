"""Settings for development only, or likely a mistake: for the log, and for `doctor`.

Rules:
- None of them is refused: each has its use.
"""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from ..web.origins import is_loopback
from .config import AmplifyConfig


class Danger(NamedTuple):
    """A dangerous setting. `name`: of its check. `mend`: the remedy."""

    name: str
    found: str
    mend: str

    def __str__(self) -> str:
        return f"{self.found}. {self.mend}"


def dangers(config: AmplifyConfig) -> Iterator[Danger]:
    """The dangerous settings of a configuration."""
    addresses = [url for pool in config.user_pools for url in pool.insecure_addresses]
    if config.routes is not None and not (
        config.routes.is_secure or _is_here(config.routes.origin)
    ):
        addresses.append(config.routes.origin)
    if addresses:
        yield Danger(
            "insecure_http",
            f"allow_insecure_http: tokens and codes go over plain http to {', '.join(addresses)}; "
            "that is for emulators and tests, never for people's accounts",
            "Write https:// addresses, and leave allow_insecure_http out",
        )
    for pool in config.user_pools:
        if pool.client_ids is None:
            yield Danger(
                "any_client",
                f"client_id=None: tokens of every app client of {pool.user_pool_id} are accepted",
                "If it is meant to come from an environment variable, that one is not set: "
                "os.environ['...'] says so, where os.environ.get('...') gives None. To accept "
                "some clients, write client_id=['...', '...']",
            )
    site = next((origin for origin in sorted(config.known_origins) if _is_public(origin)), None)
    for url in (url for pool in config.user_pools for url in pool.api_urls):
        if site is not None and url.startswith("http:") and _is_here(url):
            yield Danger(
                "local_pool",
                f"the user pool at {url} is on this machine, as a LocalUserPool or an "
                f"emulator is, and the site is {site}: who can reach such a pool can sign in as "
                "anybody; it is for development and tests alone",
                "Leave endpoint_url out, with the user_pool_id of a pool at Amazon Cognito",
            )
    if site is not None and config.debug_headers:
        yield Danger(
            "debug_headers",
            "debug_headers=True: each response says why its session counts or not, and the site is "
            f"{site}",
            "That is for development: leave it out",
        )


def _is_public(origin: str) -> bool:
    return origin.startswith("https:") and not _is_here(origin)


def _is_here(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")
