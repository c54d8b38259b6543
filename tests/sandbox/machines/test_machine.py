"""Commands in a machine."""

from __future__ import annotations

from typing import Any, cast

import pytest

from sandbox.machines.machine import Machine


def test_output_that_is_not_text_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """pgBackRest quotes bytes of a file that it cannot read."""
    monkeypatch.setattr(Machine, "inside", lambda _machine: ())
    machine = Machine(cast(Any, None), "i-0")
    assert machine.run(["printf", "line 1: vi\\224"]).stdout == "line 1: vi\ufffd"
