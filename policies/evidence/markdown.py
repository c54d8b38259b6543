"""The evidence as a comment on a pull request: what does not hold, and what every promise came to."""

from __future__ import annotations

from policies.analyzer import explain
from policies.evidence.gathered import Evidence, outcome_of, word_of
from policies.evidence.page import SIGNS
from policies.judging import Finding

MOST = 50  # a comment holds 65,536 characters; whoever breaks more reads the page


def render(evidence: Evidence) -> str:
    """The comment's text, without a heading."""
    words = [word_of(finding) for finding in evidence.findings]
    counts = " · ".join(f"{SIGNS[word]} {words.count(word)} {word}" for word in SIGNS if word in words)
    verdict = "A mandatory rule does not hold" if evidence.stops else "Every mandatory rule holds"
    lines = [f"**{evidence.stack}: {verdict}** ({counts})", ""]
    failing = [finding for finding in evidence.findings if finding.fails and finding.exemption is None]
    others = [finding for finding in evidence.findings if finding.notable and finding not in failing]
    lines += [f"- {SIGNS['fail']} {problem}" for problem in evidence.problems]
    lines += [_line(finding) for finding in failing[:MOST]]
    if len(failing) > MOST:
        lines.append(f"- … and {len(failing) - MOST} more: see the report")
    if others:
        lines += ["", "<details><summary>Excused, or undetermined until the update</summary>", ""]
        lines += [*(_line(finding) for finding in others[:MOST]), "", "</details>"]
    return "\n".join([*lines, "", *_promises(evidence)])


def _promises(evidence: Evidence) -> list[str]:
    lines = ["<details><summary>Promise by promise</summary>", ""]
    lines += ["| promise | figure | rules | verdict |", "|---|---|---|---|"]
    for promise in evidence.promises.values():
        rules = evidence.rules_for(promise.id)
        word = outcome_of([finding for rule in rules for finding in evidence.by_rule.get(rule.id, [])])
        named = f"{promise.id} {_plain(promise.promise)}"
        cells = (named, _plain(promise.figure), str(len(rules)), f"{SIGNS[word]} {word}")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", "</details>"]


def _line(finding: Finding) -> str:
    return f"- {SIGNS[word_of(finding)]} `{finding.verdict.rule.id}` {_plain(explain(finding))}"


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave alone: what a plan says comes from whoever opened the pull request."""
    for character in "\\`*_{}[]<>#|~!@":
        text = text.replace(character, f"&#{ord(character)};")
    return " ".join(text.split())
