"""The app `amplify_mw.integrations.django`: its checks."""

from typing import TYPE_CHECKING

from .checks import register

if TYPE_CHECKING:
    AppConfig = object  # it has no types
else:
    from django.apps import AppConfig


class ChecksConfig(AppConfig):
    """Checks of the settings, and no table."""

    name: str = "amplify_mw.integrations.django"
    label: str = "amplify_mw"
    verbose_name: str = "amplify_mw"

    def ready(self) -> None:
        """Begin."""
        register()
