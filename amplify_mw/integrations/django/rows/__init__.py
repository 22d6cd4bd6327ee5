"""Rows for users: `INSTALLED_APPS = [..., "amplify_mw.integrations.django.rows"]`, and migrate."""
