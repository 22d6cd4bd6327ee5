"""An OpenID provider that npm installs, in a Node process that all tests here share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.amplify_js.installation import Unavailable, installed
from tests.amplify_js.node import Process
from tests.oidc.provider import (
    BORROWED,
    HERE,
    OLDEST_NODE,
    PUBLIC,
    OIDCSite,
    OpenIDProvider,
    Person,
)
from tests.shells import Shell
from tests.sites import Browser

Opening = Callable[..., OIDCSite]


@pytest.fixture(scope="session")
def process() -> Iterator[Process]:
    """The process; without it, the tests that need it are skipped."""
    try:
        scripts = installed(HERE, BORROWED, OLDEST_NODE)
    except Unavailable as reason:
        pytest.skip(f"the OpenID provider is not at hand: {reason}")
    process = Process(scripts / "provider.mjs")
    yield process
    process.close()


@pytest.fixture
def provider(process: Process) -> OpenIDProvider:
    return OpenIDProvider(process)


@pytest.fixture
def person() -> Iterator[Person]:
    """Ada's browser at the provider."""
    with Person() as person:
        yield person


@pytest.fixture
def open_site(shell: Shell, provider: OpenIDProvider) -> Iterator[Opening]:
    """Opens a site of one of the provider's app clients."""
    opened: list[OIDCSite] = []

    def opening(client_id: str = PUBLIC, **options: Any) -> OIDCSite:
        opened.append(OIDCSite(shell, provider.config(client_id, **options)))
        return opened[-1]

    yield opening
    for site in opened:
        site.close()


@pytest.fixture
def site(open_site: Opening) -> OIDCSite:
    """The public client's."""
    return open_site()


@pytest.fixture
def browser(site: OIDCSite) -> Browser:
    return site.browser()
