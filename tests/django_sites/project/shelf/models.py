from django.conf import settings
from django.db import models


class Book(models.Model):
    title = models.CharField(max_length=50)
    if hasattr(settings, "AUTHENTICATION_BACKENDS") and settings.DATABASES:
        owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)

    def __str__(self):
        return self.title
