"""File reports in a folder, each signed and linked to the one before; `model.drill_reports` verifies them all.

A file has the report's own text, so that a signature covers bytes and not an interpretation of them.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.errors import InputError
from drills.reports.keys import Signer
from model.drill_reports import GENESIS, content_of, file_name, read


def file_report(folder: Path, report: Mapping[str, Any], signer: Signer) -> Path:
    """Write a report as the newest one; return its file. Raises `InputError` if the reports so far are not intact.

    Drills of two stacks may file at the same time: one waits for the other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _file_next(folder, report, signer)
    finally:
        os.close(lock)


def _file_next(folder: Path, report: Mapping[str, Any], signer: Signer) -> Path:
    filed, problems = read(folder)
    if problems:
        raise InputError("; ".join(problems))
    number = len(filed) + 1
    previous = filed[-1].sha256 if filed else GENESIS
    text = json.dumps({"number": number, "previous": previous, "report": report}, sort_keys=True)
    file = folder / file_name(number, report["begun"], report["scenario"])
    part = file.with_suffix(".part")  # a report that is half written would not be one
    part.write_bytes(content_of(text, signer.name, signer.sign(text.encode())))
    part.rename(file)
    return file
