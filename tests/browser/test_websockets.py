"""What Chromium says of itself when a page opens a WebSocket."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.acts import enter
from tests.browser.site import ONE_SHELL, SESSION, Door, Site
from tests.shells import ASGIShell

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
_OPEN = """url => new Promise(over => {
    const socket = new WebSocket(url);
    socket.onopen = socket.onclose = () => over(socket.readyState)
})"""


@ONE_SHELL
def test_a_handshake_brings_the_cookie_and_the_origin_and_vouches_for_nothing(
    new_site: Callable[..., Site],
    doors: Callable[[str], Door],
    tab: "Page",
    complaints: list[str],
) -> None:
    site, door = new_site(), doors(ASGIShell.kind)
    enter(tab, site)
    headers: list[Any] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        headers.extend(scope["headers"])
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    door.app = noting
    tab.evaluate(_OPEN, f"ws{site.origin.removeprefix('http')}/socket")
    sent = dict(headers)
    assert b"upgrade" in sent
    assert not {name for name in sent if name.startswith(b"sec-fetch")}
    assert sent[b"origin"] == site.origin.encode()
    assert f"{SESSION}=".encode() in sent[b"cookie"]
    complaints.clear()  # that it was refused
