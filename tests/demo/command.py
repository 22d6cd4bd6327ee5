"""The demo as people start it."""

import re
import signal
import subprocess
import sys
from urllib.request import ProxyHandler, build_opener

from tests.patience import PATIENCE

MODULE = [sys.executable, "-m", "amplify_mw"]


class Demo:
    """A running `amplify-mw demo`."""

    def __init__(self, *arguments: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*MODULE, "demo", *arguments], stdout=pipe, stderr=pipe, text=True
        )
        self.announcement = ""
        for line in self.process.stdout:
            self.announcement += line
            if "Ctrl-C" in line:
                break

    @property
    def url(self) -> str:
        return re.search(r"http://localhost:\d+/", self.announcement)[0]

    def get(self, host: str = "localhost") -> str:
        url = self.url.replace("localhost", host)
        with build_opener(ProxyHandler({})).open(url, timeout=PATIENCE) as response:
            assert response.url == self.url
            return response.read().decode()

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, log

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
