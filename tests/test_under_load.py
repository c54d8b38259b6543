"""`make test-under-load` stops its busy processes, even if it is interrupted or killed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.waiting import TIMEOUT_SECONDS, until

SCRIPT = Path(__file__).parents[1] / "bin" / "under-load"


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in file.read_text().split()] if file.exists() else []


def running(pid: int, command: str) -> bool:
    """Whether a process has five children, of which the last one runs the command."""
    started = children(pid)
    return len(started) == 5 and Path(f"/proc/{started[-1]}/comm").read_text().strip() == command


def ended(pid: int) -> bool:
    """Whether a process has ended (it does not exist or is a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_busy_process_remains(number: signal.Signals, code: int) -> None:
    # A shell starts its background commands, as which tests may run, with SIGINT ignored.
    command = ["env", "--default-signal=INT", SCRIPT, "sleep", str(TIMEOUT_SECONDS)]
    with subprocess.Popen(command, start_new_session=True) as process:
        until(lambda: running(process.pid, "sleep"), "four busy processes and the command run")
        started = children(process.pid)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
            os.kill(started[-1], signal.SIGTERM)  # bash waits for its command before it obeys
        assert process.wait(timeout=TIMEOUT_SECONDS) == code
    until(lambda: all(ended(pid) for pid in started), "all have ended")


def test_the_exit_code_is_that_of_the_command() -> None:
    done = subprocess.run([SCRIPT, "sh", "-c", "exit 7"], check=False, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 7
