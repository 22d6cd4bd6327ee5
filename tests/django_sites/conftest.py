"""Django's settings are a process's own, so each `site_*.py` is run by a pytest of its own."""

collect_ignore_glob = ["project/*", "site_*.py", "inside.py"]
