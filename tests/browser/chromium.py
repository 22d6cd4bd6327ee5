"""The system's Chromium: as Playwright launches it, and as people have it.

Playwright's own switches turn off the back/forward cache, and what browsers do on their own. A
module whose tests are about these overrides the fixture `chromium`:

    @pytest.fixture(scope="module")
    def chromium() -> Iterator["Browser"]:
        with unaltered() as browser:
            yield browser

`AMPLIFY_TEST_CHROMIUM` names the program, if it is not the `chromium` on the path.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Sandboxes need a user who is not root. The rest keeps the browser from asking its maker things.
_ARGUMENTS = [
    *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]
_UNSEEN = ["--headless=new", "--disable-gpu", "--remote-debugging-port=0", "--password-store=basic"]
_LISTENS = b"DevTools listening on "


@contextmanager
def launched() -> Iterator["Browser"]:
    """The browser with Playwright's switches. Skips the test where it is not at hand."""
    program = program_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=_arguments(), timeout=PATIENCE * 1000
        )
        yield browser
        browser.close()


@contextmanager
def unaltered() -> Iterator["Browser"]:
    """The browser with its own defaults, started by itself. Skips where it is not at hand."""
    program = program_path()
    from playwright.sync_api import sync_playwright

    # Processes of its own may write to the folder a moment longer than the browser lives.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [program, *_arguments(), *_UNSEEN, f"--user-data-dir={folder}", "about:blank"]
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process,
            _ended(process),
        ):
            address = _address_of(process)
            with sync_playwright() as playwright:
                browser = playwright.chromium.connect_over_cdp(address, timeout=PATIENCE * 1000)
                yield browser
                browser.close()


def program_path() -> str:
    if find_spec("playwright") is None:
        pytest.skip("Playwright is not installed: pip install playwright")
    program = os.environ.get("AMPLIFY_TEST_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed: there is no `chromium` on the path")
    return program


def _arguments() -> list[str]:
    return [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


@contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _address_of(process: "subprocess.Popen[bytes]") -> str:
    """Where the browser takes commands, which it says once it does."""
    errors: Any = process.stderr
    said: list[bytes] = []
    for line in errors:
        said.append(line)
        if line.startswith(_LISTENS):
            # It complains now and then, and waits where nobody reads that.
            threading.Thread(target=errors.read, daemon=True).start()
            return line.removeprefix(_LISTENS).strip().decode()
    raise AssertionError(f"Chromium ended: {b''.join(said).decode(errors='replace')}")
