"""The filed reports of drills: read, verified, and summarised for the stack's outputs and the status page.

A report is a JSON file with the signed text, its signer and the signature. Each text names the SHA-256 of the file
before it. `drills/reports` files them; this module only reads them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from model.restore_points import time_of

GENESIS = "0" * 64
"""What the first report names as the SHA-256 of the one before."""
SIGNERS = "signers.toml"
OVERLAP = timedelta(minutes=15)
"""How much earlier than the report before it a drill may have ended: drills of two stacks are filed in any order."""
KEPT = "kept"
SIGNED = b"backbuild drill report 1\n"
"""Begins each signed content, so that a signature of something else is not one of a report."""


@dataclass(frozen=True)
class Filed:
    """A filed report."""

    number: int
    file: Path
    report: Mapping[str, Any]
    signer: str
    sha256: str
    """The SHA-256 of its file, which the next report names."""

    @property
    def name(self) -> str:
        """The name of its files, without extension."""
        return self.file.stem

    @property
    def scenario(self) -> str:
        """The scenario that was drilled."""
        return str(self.report["scenario"])

    @property
    def day(self) -> date:
        """The day on which the drill began, in UTC."""
        return datetime.fromisoformat(self.report["begun"]).date()

    @property
    def ended(self) -> datetime:
        """The time at which the drill ended."""
        return datetime.fromisoformat(self.report["ended"])

    @property
    def verdict(self) -> str:
        """`kept`, `missed` or `stopped`."""
        return str(self.report["verdict"])

    @property
    def measured(self) -> str:
        """The recovery time and the lost data, empty if they were not measured."""
        measured = self.report["measured"]
        if measured.get("recovery") is None:
            return ""
        restored: Mapping[str, Any] | None = self.report.get("restored")
        if restored and restored.get("beside"):
            return f"{measured['recovery']} s, the data until {time_of(restored['point']):%Y-%m-%d %H:%M:%S} UTC"
        lost = f"{measured['loss']:g} s of data lost" if measured.get("lost") else "nothing lost"
        return f"{measured['recovery']} s, {lost}"


@dataclass(frozen=True)
class Reports:
    """All filed reports in their order, and a sentence for each way in which they are not intact."""

    filed: tuple[Filed, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def newest(self) -> dict[str, Filed]:
        """The newest report of each scenario."""
        return newest(self.filed)

    @property
    def last_restore(self) -> Filed | None:
        """The newest kept report of a drill that restored; None if there is none, or the reports are not intact."""
        if self.problems:
            return None
        restored = (one for one in reversed(self.filed) if one.verdict == KEPT and one.report.get("restored"))
        return next(restored, None)


def reports_in(folder: Path) -> Reports:
    """Read and verify the reports in a folder; there are none if it does not exist."""
    filed, problems = read(folder)
    return Reports(tuple(filed), tuple(problems))


def newest(filed: Iterable[Filed]) -> dict[str, Filed]:
    """Return the newest report of each scenario."""
    return {one.scenario: one for one in filed}


def read(folder: Path) -> tuple[list[Filed], list[str]]:
    """Return the filed reports in their order, and a sentence for each way in which they are not intact."""
    try:
        known = signers(folder)
    except (ValueError, OSError) as error:
        return [], [f"{SIGNERS} is not valid: {error}; restore it from the repository's history"]
    filed: list[Filed] = []
    problems: list[str] = []
    previous = GENESIS
    for number, file in enumerate(sorted(folder.glob("[0-9]*.json")), 1):
        sha256 = ""
        try:
            content = file.read_bytes()
            sha256 = hashlib.sha256(content).hexdigest()
            document = json.loads(content)
            text, signer, signature = str(document["signed"]), str(document["signer"]), str(document["signature"])
            intact = is_signed(known.get(signer, ""), text.encode(), signature)
            is_canonical = content == content_of(text, signer, signature)
            signed = json.loads(text)
            one = Filed(number, file, signed["report"], signer, sha256)
            link = (signed["number"], signed["previous"])
            _ = one.scenario, one.day, one.ended, one.verdict, one.measured
            wrong = contradiction(one, filed[-1] if filed else None)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            problems.append(
                f"{file.name} is not a report: {type(error).__name__}; restore it from the repository's history"
            )
            previous = sha256
            continue
        if not intact:
            problems.append(f"{file.name} is not signed by {signer}: it was edited, or the signer is not in {SIGNERS}")
        if not is_canonical:
            problems.append(f"{file.name} has other bytes than were filed; restore it from the repository's history")
        if file.name != (name := file_name(number, one.report["begun"], one.scenario)):
            problems.append(f"{file.name} was renamed: give it its name {name} again")
        if link != (number, previous):
            problems.append(f"{file.name} does not follow the report before it: one was edited, removed or inserted")
        if wrong:
            problems.append(f"{file.name} contradicts itself or the report before it: {wrong}")
        filed.append(one)
        previous = sha256
    return filed, problems


def contradiction(one: Filed, before: Filed | None) -> str | None:
    """Return why a report cannot be true; None if it can. Its checks decide its verdict, and time does not go back."""
    holds = [check["holds"] is True for check in one.report["checks"]]
    stopped = one.report["stopped"] is not None or not holds
    verdict = "stopped" if stopped else KEPT if all(holds) else "missed"
    if one.verdict != verdict:
        return f"the verdict is {one.verdict}, and its checks say {verdict}"
    if datetime.fromisoformat(one.report["begun"]) > one.ended:
        return "it ended before it began"
    if before is not None and one.ended < before.ended - OVERLAP:
        return f"it ended long before {before.name}"
    return None


def content_of(text: str, signer: str, signature: str) -> bytes:
    """Return the bytes of a report's file: the only ones that are accepted for the signed text."""
    document = {"signed": text, "signer": signer, "signature": signature}
    return (json.dumps(document, indent=1) + "\n").encode()


def file_name(number: int, begun: str, scenario: str) -> str:
    """Return the name of a report's file. `begun`: when the drill began, in ISO 8601."""
    return f"{number:04}-{begun[:10]}-{scenario}.json"


def signers(folder: Path) -> dict[str, str]:
    """Return the public key of each signer, in base64. Raises `ValueError` or `OSError` if the file is not valid."""
    file = folder / SIGNERS
    known = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if wrong := [name for name, key in known.items() if not isinstance(key, str)]:
        raise ValueError(f"the key of {wrong[0]} is no text")
    return known


def is_signed(public: str, content: bytes, signature: str) -> bool:
    """Return whether a report's bytes have a signature by a public key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public))
        key.verify(base64.b64decode(signature, validate=True), SIGNED + content)
    except (InvalidSignature, ValueError):
        return False
    return True


def summary(reports: Reports, max_age_days: int) -> dict[str, object]:
    """Return the stack's output `drills`, which a rule judges: what the newest reports say, and their allowed age."""
    return {
        "maxAgeDays": max_age_days,
        "problems": list(reports.problems),
        "newest": {
            scenario: {
                "report": one.name,
                "sha256": one.sha256,
                "date": one.day.isoformat(),
                "verdict": one.verdict,
                "commit": one.report.get("commit"),
                "stack": one.report.get("stack"),
                "on": one.report.get("on"),
            }
            for scenario, one in sorted(reports.newest.items())
        },
        "lastRestore": restore_shown(reports),
    }


def restore_shown(reports: Reports) -> dict[str, object] | None:
    """Return what the status page says about the last verified restore; None if no drill has verified one."""
    found = reports.last_restore
    if found is None:
        return None
    measured, restored = found.report["measured"], found.report["restored"]
    beside = bool(restored.get("beside"))
    return {
        "at": found.ended.isoformat(),
        "from": restored["from"],
        "beside": beside,
        "point": time_of(restored["point"]).isoformat(),
        "recoverySeconds": measured.get("recovery"),
        # The running database has lost nothing, which says nothing about the restored one.
        "lossSeconds": None if beside else measured["loss"] if measured.get("lost") else 0,
        "title": found.report["title"],
        "stack": found.report["stack"],
        "sandbox": found.report["on"] == "live",
        "report": found.name,
        "sha256": found.sha256,
    }
