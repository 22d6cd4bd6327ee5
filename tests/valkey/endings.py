"""Ends the servers of this process when it ends, however it ends: also by SIGKILL.

A shell reads the ids of the living servers, a line whenever they change, and kills those of the
last line when there is no more to read. (Linux's PR_SET_PDEATHSIG would end a server together with
the thread that started it.)
"""

import os
import subprocess
import threading
from typing import Final

_SCRIPT: Final = 'trap "" INT TERM HUP; while read -r line; do ids=$line; done; kill -9 $ids'
_lock: Final = threading.Lock()
_living: Final[set[int]] = set()
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


def _tell() -> None:
    """Write the ids that there are now. An empty line is none: `kill` then only complains."""
    if not _pipe:
        _pipe.append(_begin())
    os.write(_pipe[0], (" ".join(map(str, sorted(_living))) + "\n").encode())


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
