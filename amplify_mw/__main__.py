"""`python -m amplify_mw` is the command `amplify-mw`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
