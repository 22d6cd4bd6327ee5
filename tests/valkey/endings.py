"""Ends the servers of this process when it ends, however it ends: also by SIGKILL.

A shell reads the ids of the living servers and the folders to remove, a line whenever they change.
When there is no more to read, it kills and removes what the last line names. (Linux's
PR_SET_PDEATHSIG would end a server together with the thread that started it.)
"""

import os
import subprocess
import threading
from pathlib import Path
from typing import Final

_SCRIPT: Final = """
set -f
trap "" INT TERM HUP
while read -r line; do words=$line; done
for word in $words; do case $word in /*) ;; *) kill -QUIT "$word" && ended=1 ;; esac; done
[ -z "$ended" ] || sleep 1  # PostgreSQL gives its shared memory back
for word in $words; do case $word in /*) ;; *) kill -KILL "$word" ;; esac; done
for word in $words; do case $word in /*) rm -rf "$word" ;; esac; done
"""
_lock: Final = threading.Lock()
_living: Final[set[int]] = set()
_folders: Final[set[str]] = set()
_pipe: Final[list[int]] = []


def end_with_this_process(pid: int) -> None:
    """Note a server that runs."""
    with _lock:
        _living.add(pid)
        _tell()


def has_ended(pid: int) -> None:
    """Note that it runs no longer: its id may be another's soon."""
    with _lock:
        _living.discard(pid)
        _tell()


def remove_with_this_process(folder: Path) -> None:
    """Note a folder. One with a space in its path is left: the shell would see two in it."""
    name = str(folder)
    if folder.is_absolute() and len(name.split()) == 1:
        with _lock:
            _folders.add(name)
            _tell()


def is_removed(folder: Path) -> None:
    """Note that a folder is gone."""
    with _lock:
        _folders.discard(str(folder))
        _tell()


def _tell() -> None:
    """Write what there is now. An empty line is nothing."""
    if not _pipe:
        _pipe.append(_begin())
    words = [*map(str, sorted(_living)), *sorted(_folders)]
    os.write(_pipe[0], (" ".join(words) + "\n").encode())


def _begin() -> int:
    """Start the shell; the pipe that it reads."""
    reading, writing = os.pipe()
    quiet = subprocess.DEVNULL
    shell = subprocess.Popen(
        ["/bin/sh", "-c", _SCRIPT], stdin=reading, stdout=quiet, stderr=quiet, process_group=0
    )
    os.close(reading)
    shell.returncode = 0  # it outlives this process on purpose: nobody waits for it
    return writing
