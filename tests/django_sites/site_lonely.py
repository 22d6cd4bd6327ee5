"""A site that wants rows, and has none of what they need."""

from django.core.checks import run_checks


def test_checks_say_what_is_missing() -> None:
    found = {each.id: each for each in run_checks()}
    assert {"amplify_mw.E005", "amplify_mw.E006"} <= found.keys()
    assert "django.contrib.auth" in found["amplify_mw.E005"].hint
