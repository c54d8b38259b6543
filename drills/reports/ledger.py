"""File reports in a folder, each signed and linked to the one before; `model.drill_reports` verifies them all.

A file has the report's own text, so that a signature covers bytes and not an interpretation of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console.errors import InputError
from drills.reports.keys import Signer
from model.drill_reports import GENESIS, file_name, read


def file_report(folder: Path, report: Mapping[str, Any], signer: Signer) -> Path:
    """Write a report as the newest one; return its file. Raises `InputError` if the reports so far are not intact."""
    filed, problems = read(folder)
    if problems:
        raise InputError("; ".join(problems))
    number = len(filed) + 1
    previous = filed[-1].sha256 if filed else GENESIS
    text = json.dumps({"number": number, "previous": previous, "report": report}, sort_keys=True)
    document = {"signed": text, "signer": signer.name, "signature": signer.sign(text.encode())}
    file = folder / file_name(number, report["begun"], report["scenario"])
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return file
