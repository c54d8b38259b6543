"""`python -m sandbox graph`: draw a stack's resources as one SVG."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.engine import operations, project
from sandbox.engine.errors import EngineError, InputError
from sandbox.engine.state import Resource
from sandbox.engine.watch import Watcher
from sandbox.engine.workspace import OpenClouds, find
from sandbox.picture import picture


def run(root: Path, stack: str, clouds: OpenClouds, watcher: Watcher, out: Path | None) -> int:
    """Draw a stack to the file `out`, or to stdout; return 0."""
    drawn = picture(resources_of(root, stack, clouds, watcher))
    if out is None:
        sys.stdout.write(drawn)
        return 0
    try:
        out.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the picture cannot be written to {out}: {error}; use a file in a folder that exists"
        ) from error
    return 0


def resources_of(root: Path, stack: str, clouds: OpenClouds, watcher: Watcher) -> Sequence[Resource]:
    """Return the resources in the stack's state, or in a preview if the state is empty."""
    project.load(root, stack)
    with find(root, stack).open(readonly=True) as state:
        held = [resource for urn in state.live() if (resource := state.get(urn)) is not None]
    if held:
        return held
    result = operations.preview(root, stack, clouds, watcher)
    if result.code:
        reasons = "; ".join(message for _, message in result.plan.errors) or "the program ended early"
        raise EngineError(f"{stack} cannot be drawn, because its preview failed: {reasons}")
    return result.resources
