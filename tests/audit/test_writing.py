"""Where lines go: rotated files, full disks, closed streams, forks, threads and processes."""

import copy
import gc
import io
import json
import logging
import multiprocessing
import os
import pickle
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, ConfigurationError
from amplify_mw.audit import AuditLog
from amplify_mw.events import Refused, SignedIn, SignedOut
from tests.audit.conftest import Build
from tests.patience import PATIENCE
from tests.sites import Clock

forking = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
IN, OUT = SignedIn("app", user_id="ada"), SignedOut("here", user_id="ada")
REFUSED = Refused("bad_signature", 401, "cookie")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def actions(path: Path) -> list[str]:
    """What happened, line by line. Each is JSON."""
    return [json.loads(line)["event"]["action"] for line in path.read_bytes().splitlines()]


def test_the_file_is_the_owners_alone_and_is_made_with_the_first_line(path: Path) -> None:
    log = AuditLog(path)
    assert not path.exists()
    log(IN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert actions(path) == ["signed_in"]


def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = AuditLog("audit.jsonl")
    monkeypatch.chdir("/")
    log(IN)
    assert actions(tmp_path / "audit.jsonl") == ["signed_in"]


def test_a_link_is_followed_and_a_files_own_mode_stays(path: Path) -> None:
    path.touch(0o640)
    path.chmod(0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    AuditLog(link)(IN)
    assert actions(path) == ["signed_in"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


# Rotation.


@pytest.mark.parametrize("creates", [True, False])
def test_a_file_that_was_renamed_is_left_and_a_new_one_begun(path: Path, creates: bool) -> None:
    log = AuditLog(path)
    log(IN)
    old = path.rename(path.with_suffix(".1"))
    if creates:
        path.touch(0o640)
    log(OUT)
    assert (actions(old), actions(path)) == (["signed_in"], ["signed_out"])


def test_a_file_that_was_copied_and_cut_goes_on_from_its_beginning(path: Path) -> None:
    log = AuditLog(path)
    log(IN)
    os.truncate(path, 0)
    log(OUT)
    assert actions(path) == ["signed_out"]


def test_a_file_that_ends_amid_a_line_loses_no_other(path: Path) -> None:
    path.write_bytes(b'{"torn')
    os.utime(path, (1e9, 1e9))  # of a time before
    AuditLog(path)(IN)
    torn, whole, end = path.read_bytes().split(b"\n")
    assert (torn, end) == (b'{"torn', b"")
    assert json.loads(whole)["event"]["action"] == "signed_in"


# What cannot be written.


def test_a_request_goes_on_while_the_disk_is_full(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    log = AuditLog("/dev/full")
    site = build(on_event=log)
    with caplog.at_level(logging.WARNING, "amplify_mw"):
        browser = site.sign_in()
        assert browser.does().body == "ada"
        browser.does(site.end())
        site.settle()
    assert log.lost == 3  # in, out, revoked
    [record] = caplog.records
    assert "'/dev/full' cannot be written (OSError: No space left on device)" in record.message


def test_a_loss_is_said_in_the_audit_once_it_can_be(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    folder = path.parent / "later"
    log = AuditLog(folder / "audit.jsonl", clock=clock)
    with caplog.at_level(logging.WARNING, "amplify_mw"):
        log(IN)
        clock.advance(5)
        log(OUT)
        folder.mkdir()
        log(OUT)
        log(IN)
    lines = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    assert [line["event"]["action"] for line in lines] == ["lines_lost", "signed_out", "signed_in"]
    assert lines[0]["amplify_mw"] == {"schema": 1, "lost": 2}
    assert lines[0]["event"]["start"] < lines[0]["@timestamp"]
    assert log.lost == 2
    failed, again = [record.message for record in caplog.records]
    assert "FileNotFoundError" in failed
    assert "is written again; 2 of its lines were lost" in again


def test_a_disk_that_flaps_fills_no_log(caplog: pytest.LogCaptureFixture, path: Path) -> None:
    log = AuditLog(path)
    with caplog.at_level(logging.WARNING, "amplify_mw"):
        for _ in range(5):
            path.unlink(missing_ok=True)
            path.mkdir()
            log(IN)
            path.rmdir()
            log(OUT)
    assert log.lost == 5
    assert len(caplog.records) == 2


@forking
def test_a_line_that_only_half_fitted_is_taken_away_again(path: Path) -> None:
    pid = os.fork()
    if pid == 0:  # a limit holds for the whole process
        status = 1
        try:
            log = AuditLog(path)
            log(IN)
            size = path.stat().st_size
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, most))
            log(OUT)
            halved, lost = path.stat().st_size, log.lost
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            log(OUT)
            status = 0 if (halved, lost) == (size, 1) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert actions(path) == ["signed_in", "lines_lost", "signed_out"]


def test_what_cannot_be_taken_away_is_a_line_apart(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = AuditLog(path), os.write
    log(IN)

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: len(data) - 50])

    def not_allowed(descriptor: int, length: int) -> None:
        raise PermissionError(descriptor, length)

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", half)
        broken.setattr(os, "ftruncate", not_allowed)
        log(OUT)
    log(OUT)
    lines = path.read_bytes().splitlines()
    assert [b'"pid"' in line for line in lines] == [True] * 4
    del lines[1]  # the half
    found = [json.loads(line)["event"]["action"] for line in lines]
    assert found == ["signed_in", "lines_lost", "signed_out"]


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    log = AuditLog(tmp_path / "pipe")
    log(IN)
    assert log.lost == 1
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(1000):
        log(IN)
    assert log.lost > 1  # it is full
    os.close(reader)
    log(IN)


class Stubborn(io.StringIO):
    def write(self, text: str) -> int:
        raise RuntimeError(text)


@pytest.mark.parametrize("make", [io.StringIO, io.BytesIO, Stubborn])
def test_a_stream_that_fails_fails_no_request(make: Any) -> None:
    stream = make()
    log = AuditLog(stream)
    log(IN)
    stream.close()
    log(IN)
    log.close()
    assert log.lost == (2 if make is Stubborn else 1)


def test_a_stream_gets_each_line_at_once(path: Path) -> None:
    with path.open("w") as text:
        AuditLog(text)(IN)
        assert actions(path) == ["signed_in"]
    with path.open("ab", buffering=0) as raw:
        AuditLog(raw)(OUT)
        assert actions(path) == ["signed_in", "signed_out"]
        assert not raw.closed


class Raw(io.RawIOBase):
    """Takes a part of its first line, as a file without a buffer on a full disk."""

    written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(data) if self.written else bytes(data)[:40]
        self.written += taken
        return len(taken)


def test_a_stream_that_took_a_part_of_a_line_spoils_no_other() -> None:
    stream: Any = Raw()
    log = AuditLog(stream)
    log(IN)
    log(OUT)
    torn, *lines = stream.written.splitlines()
    assert len(torn) == 40
    found = [json.loads(line)["event"]["action"] for line in lines]
    assert found == ["lines_lost", "signed_out"]
    assert log.lost == 1


class Full(io.RawIOBase):
    """A disk that is full, and is not any more."""

    is_full = True
    written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.written += bytes(data)
        return len(data)


def test_the_buffer_of_a_stream_keeps_no_lines_that_were_lost() -> None:
    disk = Full()
    log = AuditLog(io.TextIOWrapper(io.BufferedWriter(disk)))
    for _ in range(5):
        log(IN)
    disk.is_full = False
    log(OUT)
    lines = [json.loads(line) for line in disk.written.splitlines()]
    # The first was in the buffer, and nobody can take it back.
    assert [line["event"]["action"] for line in lines] == ["signed_in", "lines_lost", "signed_out"]
    assert log.lost == lines[1]["amplify_mw"]["lost"] == 5


# What comes amid a line.


def test_a_signals_handler_amid_a_line_is_put_off(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = AuditLog(path), os.write
    log(IN)

    def handled(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        log(REFUSED)
        log.close()
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", handled)
    log(OUT)
    assert actions(path) == ["signed_in", "signed_out", "refused"]
    assert log.lost == 0


class Echo(io.StringIO):
    """Causes an event with each line, as a stream that signs in to send it would."""

    log: AuditLog

    def write(self, text: str) -> int:
        self.log(IN)
        return super().write(text)


def test_a_stream_that_causes_events_itself_does_not_go_on_for_ever() -> None:
    stream = Echo()
    log = stream.log = AuditLog(stream)
    log(IN)
    lines = stream.getvalue().splitlines()
    assert (len(lines), log.lost) == (1001, 1)


def test_an_exit_from_a_signals_handler_leaves_a_log_that_works(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = AuditLog(path), os.write

    def handled(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", write)
        log(OUT)
        raise SystemExit(descriptor, data)

    monkeypatch.setattr(os, "write", handled)
    with pytest.raises(SystemExit):
        log(IN)
    log.close()
    assert actions(path) == ["lines_lost", "signed_out"]


# fsync.


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        found.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return found


@pytest.mark.parametrize(("fsync", "times"), [("never", 0), ("each", 4), (10.0, 3)])
def test_lines_are_synced_as_often_as_asked_for(
    path: Path, clock: Clock, synced: list[int], fsync: Any, times: int
) -> None:
    log = AuditLog(path, fsync=fsync, clock=clock)
    log(IN)
    log(IN)
    clock.advance(11)
    log(IN)
    log(OUT)
    log.close()
    log.flush()  # nothing is new
    assert synced.count(path.stat().st_ino) == times
    assert log.lost == 0


def test_a_new_file_is_in_its_folder_for_sure(path: Path, synced: list[int]) -> None:
    log = AuditLog(path, fsync="each")
    log(IN)
    log(OUT)
    assert synced.count(path.parent.stat().st_ino) == 1


def test_a_file_that_was_moved_away_is_synced_first(
    path: Path, clock: Clock, synced: list[int]
) -> None:
    log = AuditLog(path, fsync=10.0, clock=clock)
    log(IN)
    log(IN)
    old = path.rename(path.with_suffix(".1"))
    assert synced.count(old.stat().st_ino) == 1
    log(OUT)
    assert synced.count(old.stat().st_ino) == 2


def test_what_cannot_be_synced_counts_as_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error", str(descriptor))

    monkeypatch.setattr(os, "fsync", fails)
    log = AuditLog(path, fsync="each")
    log(IN)
    assert log.lost == 1
    assert "Input/output error" in caplog.text


# The end, forks, threads and processes.


def test_the_last_sums_are_written_at_close_and_the_log_can_be_used_again(path: Path) -> None:
    log = AuditLog(path)
    for _ in range(3):
        log(REFUSED)
    log.close()
    assert actions(path) == ["refused", "refused"]
    log(IN)
    assert actions(path)[2:] == ["signed_in"]


def test_the_last_sums_are_written_once_nobody_has_the_log(path: Path) -> None:
    log = AuditLog(path)
    log(REFUSED)
    log(REFUSED)
    del log
    gc.collect()
    assert actions(path) == ["refused", "refused"]


AT_THE_END = """
import os, sys
from amplify_mw.audit import AuditLog
from amplify_mw.events import Refused
log = AuditLog(sys.argv[1])
def refuse(reason, times):
    for _ in range(times):
        log(Refused(reason, 401, "cookie"))
refuse("bad_signature", 3)
pid = os.fork()
if pid == 0:
    refuse("no_session", 2)
    sys.exit()
os.waitpid(pid, 0)
"""


def test_a_child_counts_from_zero_and_each_writes_its_own_sums_at_its_end(path: Path) -> None:
    subprocess.run([sys.executable, "-c", AT_THE_END, str(path)], check=True, timeout=PATIENCE)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    sums = {
        line["event"]["reason"]: line["amplify_mw"]["count"]
        for line in lines
        if line["event"]["kind"] == "metric"
    }
    assert sums == {"bad_signature": 2, "no_session": 1}
    assert len(lines) == 4
    assert len({line["process"]["pid"] for line in lines}) == 2


@forking
def test_a_fork_amid_another_threads_line_leaves_no_lock(path: Path) -> None:
    log = AuditLog(path)
    log(IN)
    with log._writer._lock:
        pid = os.fork()
        if pid == 0:
            thread = threading.Thread(target=log, args=(OUT,))
            thread.start()
            thread.join(PATIENCE)
            os._exit(int(thread.is_alive()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert actions(path) == ["signed_in", "signed_out"]


def _write_many(log: AuditLog, times: int) -> None:
    for _ in range(times):
        log(IN)


@forking
def test_threads_and_processes_tear_no_line(path: Path) -> None:
    log = AuditLog(path)
    fork = multiprocessing.get_context("fork")
    workers: list[Any] = [fork.Process(target=_write_many, args=(log, 300)) for _ in range(3)]
    workers += [threading.Thread(target=_write_many, args=(log, 300)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert actions(path) == ["signed_in"] * 1800
    assert log.lost == 0


# A value of a configuration.


def config(log: AuditLog) -> AmplifyConfig:
    return AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", on_event=[print, log])


def test_it_is_itself_and_no_other(path: Path) -> None:
    log = AuditLog(path)
    assert log == log != AuditLog(path)
    assert copy.copy(log) is copy.deepcopy(log) is log
    assert hash(config(log)) == hash(config(log))
    assert config(log) == copy.deepcopy(config(log)) != config(AuditLog(path))


def test_a_pickled_one_is_the_same_here_and_its_like_elsewhere(path: Path) -> None:
    log = AuditLog(path, fsync=2, summary_every=5)
    packed = pickle.dumps(config(log))
    assert pickle.loads(packed) == config(log)
    del log
    gc.collect()
    other = pickle.loads(packed).on_event[1]
    assert repr(other) == f"<AuditLog {str(path)!r}>"
    assert other._arguments == {"target": str(path), "fsync": 2, "summary_every": 5}


def test_one_of_a_stream_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="give it a path"):
        pickle.dumps(AuditLog(sys.stdout))


class AsyncStream:
    """A stream whose `write` would not be awaited."""

    async def write(self, line: str) -> None:
        raise AssertionError(line)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("", {}),
        ("a\0b", {}),
        (AsyncStream(), {}),
        (b"audit.jsonl", {}),
        (None, {}),
        (io.StringIO, {}),
        ("a", {"fsync": "always"}),
        ("a", {"fsync": 0}),
        ("a", {"fsync": None}),
        ("a", {"summary_every": 0}),
        (sys.stdout, {"fsync": "each"}),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_write(target: Any, options: Any) -> None:
    with pytest.raises(ConfigurationError, match="AuditLog"):
        AuditLog(target, **options)
