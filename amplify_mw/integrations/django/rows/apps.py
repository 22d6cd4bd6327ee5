"""The app `amplify_mw.integrations.django.rows`."""

from typing import TYPE_CHECKING

from django.db.models.signals import post_delete, post_save

from ..checks import register

if TYPE_CHECKING:
    AppConfig = object  # it has no types
else:
    from django.apps import AppConfig


class RowsConfig(AppConfig):
    """Its table, its checks, and notes of rows that are dropped when one changes."""

    name: str = "amplify_mw.integrations.django.rows"
    label: str = "amplify_mw_rows"
    verbose_name: str = "Cognito users"
    default_auto_field: str = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Begin."""
        from .known import forget

        register()
        for signal in (post_save, post_delete):
            # (Of any sender: a proxy or a child of the model changes the same row.)
            signal.connect(forget, dispatch_uid="amplify_mw")
