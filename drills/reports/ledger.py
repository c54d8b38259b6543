"""File reports in a folder, each signed and linked to the one before, and verify them all.

A file has the report's own text, so that a signature covers bytes and not an interpretation of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.errors import InputError
from drills.reports.keys import Signer, is_signed, signers

GENESIS = "0" * 64


@dataclass(frozen=True)
class Filed:
    """A filed report."""

    number: int
    file: Path
    report: Mapping[str, Any]
    signer: str

    @property
    def name(self) -> str:
        """The name of its files, without extension."""
        return self.file.stem


def file_report(folder: Path, report: Mapping[str, Any], signer: Signer) -> Path:
    """Write a report as the newest one; return its file. Raises `InputError` if the reports so far are not intact."""
    filed, problems = read(folder)
    if problems:
        raise InputError("; ".join(problems))
    number = len(filed) + 1
    previous = _digest(filed[-1].file) if filed else GENESIS
    text = json.dumps({"number": number, "previous": previous, "report": report}, sort_keys=True)
    document = {"signed": text, "signer": signer.name, "signature": signer.sign(text.encode())}
    day = str(report["begun"])[:10]
    file = folder / f"{number:04}-{day}-{report['scenario']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return file


def read(folder: Path) -> tuple[list[Filed], list[str]]:
    """Return the filed reports in their order, and a sentence for each way in which they are not intact."""
    known = signers(folder)
    filed: list[Filed] = []
    problems: list[str] = []
    previous = GENESIS
    for number, file in enumerate(sorted(folder.glob("[0-9]*.json")), 1):
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            text, signer = document["signed"], document["signer"]
            content = json.loads(text)
            report = content["report"]
            link = (content["number"], content["previous"])
        except (ValueError, KeyError, TypeError) as error:
            problems.append(
                f"{file.name} is not a report: {type(error).__name__}; restore it from the repository's history"
            )
            previous = _digest(file)
            continue
        if not is_signed(known.get(signer, ""), text.encode(), document["signature"]):
            problems.append(
                f"{file.name} is not signed by {signer}: it was edited, or the signer is not in signers.toml"
            )
        if link != (number, previous):
            problems.append(f"{file.name} does not follow the report before it: one was edited, removed or inserted")
        filed.append(Filed(number, file, report, signer))
        previous = _digest(file)
    return filed, problems


def newest(filed: list[Filed]) -> dict[str, Filed]:
    """Return the newest report of each scenario."""
    return {str(one.report["scenario"]): one for one in filed}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
