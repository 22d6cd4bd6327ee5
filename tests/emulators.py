"""A site whose user pool is an emulator's."""

from typing import Any, Protocol

from amplify_mw import AmplifyConfig
from amplify_mw.engine.engine import Engine
from tests.shells import Shell
from tests.sites import Site


class Emulator(Protocol):
    """A pool in an emulator: how to configure a site for it."""

    def config(self, **options: Any) -> AmplifyConfig: ...


class EmulatedSite(Site):
    """The site, behind either shell."""

    def __init__(self, shell: Shell, emulator: Emulator, **options: Any) -> None:
        self.shell, self.verbs = shell, shell.verbs
        self.config = emulator.config(**options)
        self.session = self.config.session
        self.engine = Engine(self.config)

    def email(self) -> str:
        found: str = self.verbs.fetch_user_attributes()["email"]
        return found
