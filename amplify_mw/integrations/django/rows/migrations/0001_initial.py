"""The table of `CognitoUser`."""

from typing import TYPE_CHECKING, Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

if TYPE_CHECKING:
    Base = object  # it has no types
else:
    from django.db.migrations import Migration as Base


class Migration(Base):
    """It comes after the table of users, whichever that is."""

    initial: bool = True
    dependencies: tuple[Any, ...] = (migrations.swappable_dependency(settings.AUTH_USER_MODEL),)
    operations: tuple[Any, ...] = (
        migrations.CreateModel(
            name="CognitoUser",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("pool", models.CharField(max_length=64)),
                ("sub", models.CharField(max_length=64)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cognito",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": (
                    models.UniqueConstraint(fields=("pool", "sub"), name="amplify_mw_pool_and_sub"),
                ),
            },
        ),
    )
