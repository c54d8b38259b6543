"""The command line of `backbuild-restore`, which sets the environment. `python -m drills restore` calls it.

begin NAME PLAN      keep a plan (JSON) and check that no other restore is here
start NAME STEP [ARGUMENTS]
                     start a step in the background; ARGUMENTS is a JSON object
run NAME STEP [ARGUMENTS]
                     run a step and keep its result
status [STEP]        print the restore on this machine as JSON, with the result of a step if it has ended
list COPY...         print what can be restored from copies as JSON
remove NAME          end a restore and delete its files
rehearse             restore the group's newest backup beside it, check it, and delete it
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from restore import listing, state, steps
from restore.copies import RestoreError, copy_of
from restore.repository import RUNTIME
from restore.state import UNIT, State


def begin(name: str, plan: str) -> None:
    """Begin a restore."""
    State(name).begin(json.loads(plan))


def start(name: str, step: str, arguments: str = "{}") -> None:
    """Start a step in a unit of its own: it goes on when the caller is gone."""
    if state.running():
        raise RestoreError(f"a step of a restore already runs on {os.environ['MEMBER']}; wait for its end")
    State(name).forget_failure()
    _, user = steps.STEPS[step]
    subprocess.run(["systemctl", "reset-failed", f"{UNIT}.service"], check=False, stderr=subprocess.DEVNULL)
    command = [
        "systemd-run",
        "--quiet",
        f"--unit={UNIT}",
        f"--uid={user}",
        f"--property=RuntimeDirectory={RUNTIME.name}",
    ]
    program = ["/usr/local/sbin/backbuild-restore", "run", name, step, arguments]
    # A restore must not starve the database, which runs meanwhile if the restore is beside it.
    subprocess.run([*command, "--property=CPUWeight=20", "--property=IOWeight=20", *program], check=True)


def run(name: str, step: str, arguments: str = "{}") -> None:
    """Run a step, and keep its result or the reason of its failure."""
    here = State(name)
    function, _ = steps.STEPS[step]
    try:
        here.finish(step, function(here, **json.loads(arguments)) or {})
    except RestoreError as error:
        here.fail(step, str(error))
        raise
    except Exception as error:
        here.fail(step, f"{type(error).__name__}: {error}")
        raise


def status(step: str = "") -> None:
    """Print the restore on this machine."""
    here = state.present()
    if here is None:
        print("{}")
        return
    shown: dict[str, Any] = {
        "name": here.name,
        "plan": here.plan,
        "running": state.running(),
        "progress": here.progress(),
        "failed": here.failure(),
        # Of one step only: the answer must fit into 24 kB, the limit of Systems Manager.
        "results": {name: result for name, result in here.results().items() if name == step},
    }
    print(json.dumps(shown, separators=(",", ":")))


def list_copies(*names: str) -> None:
    """Print what can be restored from copies. A copy that cannot be read has a problem."""
    found: list[dict[str, Any]] = []
    for name in names:
        copy = copy_of(name)
        try:
            found.append(listing.list_copy(copy, os.environ["GROUP"], steps.keys()))
        except RestoreError as error:
            found.append({"copy": name, "group": os.environ["GROUP"], "problem": str(error), "runs": []})
    print(json.dumps(found, separators=(",", ":")))


def remove(name: str) -> None:
    """End a restore."""
    if state.running():
        raise RestoreError(f"a step of a restore runs on {os.environ['MEMBER']}; wait for its end")
    if State(name).folder.exists():
        steps.remove(State(name))


def rehearse() -> None:
    """Rehearse a restore."""
    print(json.dumps(steps.rehearse()))


COMMANDS = {
    "begin": begin,
    "start": start,
    "run": run,
    "status": status,
    "list": list_copies,
    "remove": remove,
    "rehearse": rehearse,
}


def main(words: list[str]) -> int:
    """Run a command; return 0, 1 if it failed, 2 if there is no such command."""
    if not words or words[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        COMMANDS[words[0]](*words[1:])
    except RestoreError as error:
        print(f"backbuild-restore: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
