"""What npm installs for a folder of tests, once for each state of its `package.json` and lock file.

It is kept in the user's cache folder, outside the checkout: for Amplify JS 320 MB, most of it
Next.js. `AMPLIFY_TEST_NODE_CACHE` names another folder.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json")
OLDEST_NODE = (20, 9)  # Next.js 16 needs it
PATIENCE = 300.0  # seconds for an installation

# `npm install` and not `npm ci`: that refuses a lock file without the binaries for platforms which
# a registry leaves out, though none is wanted here.
NPM_INSTALL = (
    "npm",
    "install",
    "--ignore-scripts",
    "--omit=optional",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-timeout=60000",
)

# npm's codes of what is not this suite's fault: a registry that is not there, or lacks a package.
OUT_OF_REACH = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|E(HOST|NET)UNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED|"
    r"E4\d\d|E5\d\d|ETARGET|\w*CERT\w*"
)


class Unavailable(Exception):
    """Node, or its packages, cannot be had on this machine; the text says why."""


def node(oldest: tuple[int, int] = OLDEST_NODE) -> str:
    """The program. Raises `Unavailable`."""
    program = shutil.which("node")
    if program is None:
        raise Unavailable("node is not installed")
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < oldest:
        wanted = ".".join(map(str, oldest))
        raise Unavailable(f"node {wanted} or newer is needed; this is {version.strip()}")
    return program


def installed(
    source: Path = HERE,
    borrowed: Iterable[Path] = (),
    oldest_node: tuple[int, int] = OLDEST_NODE,
) -> Path:
    """A folder with `node_modules` and the scripts of `source`. Raises `Unavailable`.

    `borrowed`: scripts from elsewhere that are put there, too.
    """
    node(oldest_node)
    home = cache_folder() / _digest(source / name for name in MANIFESTS)
    home.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{home}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may install at this moment
        if not home.exists():
            _install(source, home)
        scripts = [*sorted(source.glob("*.mjs")), *borrowed]
        # Scripts find packages in folders above their own only: they are put there.
        folder = home / f"scripts-{_digest(scripts)}"
        if not folder.exists():
            attempt = emptied(folder)
            for script in scripts:
                shutil.copy(script, attempt)
            attempt.rename(folder)
    return folder


def bundled() -> str:
    """`page.mjs` and all of Amplify it needs, as one script for a page. Raises `Unavailable`."""
    folder = installed()
    bundle = folder / "page.bundle.js"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may make it at this moment
        if not bundle.exists():
            attempt = "page.part.js"
            command = [node(), folder / "bundle.mjs", attempt]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            assert done.returncode == 0, done.stderr
            (folder / attempt).rename(bundle)
    return bundle.read_text()


def cache_folder() -> Path:
    named = os.environ.get("AMPLIFY_TEST_NODE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amplify_mw"


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def emptied(folder: Path) -> Path:
    """A folder to make another in; that gets its name when it is complete."""
    attempt = folder.with_suffix(".part")
    shutil.rmtree(attempt, ignore_errors=True)
    attempt.mkdir()
    return attempt


def _install(source: Path, home: Path) -> None:
    if shutil.which("npm") is None:
        raise Unavailable("npm is not installed")
    attempt = emptied(home)
    for name in MANIFESTS:
        shutil.copy(source / name, attempt)
    try:
        done = subprocess.run(
            NPM_INSTALL, cwd=attempt, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm was not done within {PATIENCE:.0f} s") from None
    if done.returncode:
        code = re.search(r"npm (?:error|ERR!) code (\S+)", done.stderr)
        if code and OUT_OF_REACH.fullmatch(code[1]):
            raise Unavailable(f"the npm registry cannot be reached, or lacks a package: {code[1]}")
        raise AssertionError(f"npm could not install {source.name}:\n{done.stderr}")
    attempt.rename(home)
