"""`CognitoUser`: whose row it is.

Rules:
- A user is (pool id, sub). Neither the user name nor the e-mail address says who somebody is: both
  may change, and somebody else may have had them first.
- So a row of a local user is never taken over, whatever it is called.
"""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    Model = object  # it has no types
else:
    from django.db.models import Model


class CognitoUser(Model):
    """Connects a user of a pool with a row of `AUTH_USER_MODEL`."""

    objects: Any  # Django makes it
    pool: Any = models.CharField(max_length=64)
    sub: Any = models.CharField(max_length=64)
    user: Any = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cognito"
    )

    class Meta:
        """One row for each user."""

        constraints: tuple[Any, ...] = (
            models.UniqueConstraint(fields=["pool", "sub"], name="amplify_mw_pool_and_sub"),
        )

    def __str__(self) -> str:
        return f"{self.sub} of {self.pool}"
