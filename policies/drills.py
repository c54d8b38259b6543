"""The filed reports of drills as proofs: what promises cite, and what the newest report of each scenario says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from console.errors import InputError
from model.drill_reports import KEPT, Filed, Reports
from policies.promises import FILE, Promise, scenario_of

REPORTS = Path("docs/drills")


@dataclass(frozen=True)
class Cited:
    """A report that a promise cites, and the newest report of its scenario."""

    promise: str
    path: str
    newest: Filed

    @property
    def proves(self) -> bool:
        """Whether the newest report still proves what the cited one proved."""
        return self.newest.verdict == KEPT and self.promise in self.newest.report["promises"]

    @property
    def refuted(self) -> str:
        """Why it does not, with the remedy."""
        newest, file = self.newest, f"{REPORTS / self.newest.name}.json"
        if newest.verdict == KEPT:
            about = ", ".join(newest.report["promises"])
            return f"a newer drill {newest.scenario} is about {about}: cite a drill about {self.promise} ({file})"
        return (
            f"a newer drill {newest.scenario} is {newest.verdict}: run `python -m drills run {newest.scenario} --stack "
            f"STACK --file` ({file})"
        )

    @property
    def text(self) -> str:
        """The newest report's date, verdict and measured figures."""
        newest = self.newest
        found = f"{newest.scenario} of {newest.day}: {newest.verdict}"
        figures = f", recovery {newest.measured}" if newest.measured else ""
        return f"{found}{figures} ({REPORTS / newest.name}.json)"


def check_citations(promises: Iterable[Promise], reports: Reports, file: Path = FILE) -> None:
    """Raise an `InputError` for each cited report that is not filed, not kept, or about other promises.

    If the reports are not intact, none may be cited.
    """
    listed = list(promises)
    if reports.problems and any(promise.proven_by.drill for promise in listed):
        problems = "; ".join(reports.problems)
        raise InputError(f"{file}: proven_by.drill: {problems}; `python -m drills report --check` verifies the reports")
    filed = {f"{REPORTS / one.name}.json": one for one in reports.filed}
    wrong = [
        f"{file}: {promise.id}.proven_by.drill: {path} {reason}"
        for promise in listed
        for path in promise.proven_by.drill
        if (reason := _refused(promise, path, filed.get(path)))
    ]
    if wrong:
        raise InputError("\n".join(wrong))


def _refused(promise: Promise, path: str, report: Filed | None) -> str | None:
    """Return why a promise may not cite a report."""
    if report is None:
        return "is no filed report; cite one that `python -m drills report` lists"
    if report.scenario != scenario_of(path):
        return f"is a report of {report.scenario}; give the file its own name again"
    if report.verdict != KEPT:
        return f"is {report.verdict}, not {KEPT}; cite a report that is {KEPT}"
    if promise.id not in report.report["promises"]:
        return f"is about {', '.join(report.report['promises'])}; cite a report about {promise.id}"
    return None


def citations(promise: Promise, newest: Mapping[str, Filed]) -> list[Cited]:
    """Return the reports that a promise cites, which `check_citations` has accepted."""
    return [Cited(promise.id, path, newest[scenario_of(path)]) for path in promise.proven_by.drill]


def without_refuted(promise: Promise, newest: Mapping[str, Filed]) -> Promise:
    """Return a promise as not yet proven if a newer report of a cited scenario is not kept, or not about it."""
    refuted = [one for one in citations(promise, newest) if not one.proves]
    if not refuted:
        return promise
    left = tuple(path for path in promise.proven_by.drill if path not in {one.path for one in refuted})
    missing = "; ".join([one.refuted for one in refuted] + ([promise.not_proven] if promise.not_proven else []))
    proofs = promise.proven_by.model_copy(update={"drill": left})
    return promise.model_copy(update={"proven_by": proofs, "not_proven": missing})
