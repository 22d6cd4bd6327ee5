"""The app `amplify_mw.integrations.django`: its checks."""

from django.apps import AppConfig

from .checks import register


class ChecksConfig(AppConfig):
    """Checks of the settings, and no table."""

    name: str = "amplify_mw.integrations.django"
    label: str = "amplify_mw"
    verbose_name: str = "amplify_mw"

    def ready(self) -> None:
        """Begin."""
        register()
