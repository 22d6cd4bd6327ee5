"""ministack, as pip installs it: once, into the user's cache folder, outside the checkout.

It wants one version of botocore, an older one than the other tests do, so that no environment has
room for both. With what it brings, it takes 65 MB. `cryptography` it finds in this environment.
"""

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.amplify_js.installation import PATIENCE, Unavailable, cache_folder, emptied

WANTED: Final = "ministack==1.5.33"


def installed() -> Path:
    """A folder for PYTHONPATH. Raises `Unavailable`."""
    home = cache_folder() / WANTED
    home.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{home}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may install at this moment
        if not home.exists():
            attempt = emptied(home)
            _install(attempt)
            attempt.rename(home)
    return home


def _install(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--target", folder]
    try:
        done = subprocess.run([*pip, WANTED], capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip was not done within {PATIENCE:.0f} s") from None
    if done.returncode:
        raise Unavailable(f"pip could not install it: {done.stderr.strip().splitlines()[-1:]}")
