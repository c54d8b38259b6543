"""Run Pulumi on a real stack: its official CLI, through the Automation API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pulumi import automation

from drills.sites.site import SiteError
from sandbox.engine.workspace import find

LOG = "drill-up.log"


class Updates:
    """The stack as the operator's CLI knows it. Raises `SiteError` if the CLI or the stack is missing."""

    def __init__(self, root: Path, stack: str) -> None:
        self._log: Path = find(root, stack).folder / LOG
        self._shown: str = f"{self._log.parent.name}/{LOG} in the sandbox's folder"
        try:
            self._stack: automation.Stack = automation.select_stack(stack_name=stack, work_dir=str(root))
        except FileNotFoundError:
            raise SiteError("the Pulumi CLI is not installed; https://www.pulumi.com/docs/install/") from None
        except (automation.CommandError, automation.InvalidVersionError, OSError) as error:
            raise SiteError(
                f"the Pulumi CLI cannot select the stack {stack}: {_last_line(error)}; try "
                f"`pulumi stack select {stack}`"
            ) from None

    def bring_back(self) -> None:
        """Find out what is lost, and create it again: `pulumi refresh`, then `pulumi up`."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w", encoding="utf-8") as log:

            def write(text: str) -> None:
                log.write(f"{text}\n")
                log.flush()

            # Pulumi masks secrets in what it prints. The Automation API reads the stack's outputs, which are not used.
            self._carry_out(
                "refresh",
                lambda: self._stack.refresh(on_output=write, on_error=write, color="never", show_secrets=False),
            )
            self._carry_out(
                "up", lambda: self._stack.up(on_output=write, on_error=write, color="never", show_secrets=False)
            )

    def _carry_out(self, name: str, command: Callable[[], object]) -> None:
        try:
            command()
        except automation.ConcurrentUpdateError:
            raise SiteError(f"`pulumi {name}` refused: another update of the stack runs; wait until it ends") from None
        except automation.CommandError:
            raise SiteError(f"`pulumi {name}` failed; read {self._shown}") from None


def _last_line(error: Exception) -> str:
    """Return the line of an error's output that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("error:")), lines[-1] if lines else type(error).__name__)
