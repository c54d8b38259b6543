"""The workflow that comments on pull requests, with artifacts from untrusted code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from policies.evidence import comment, sarif
from policies.evidence.gathered import gather
from policies.mutation.operators import put
from policies.packs import all_rules
from policies.sources import Judged
from tests.policies.rendering import rendered
from tests.policies.workflows import ROOT, Played, play, step

FORK = {"id": 5}
RUN = {
    "head_sha": "abc",
    "head_branch": "b",
    "head_repository": FORK,
    "html_url": "https://run",
    "conclusion": "failure",
}
REQUEST = {"number": 7, "head": {"sha": "abc", "ref": "b", "repo": FORK}}


def commented(folder: Path, *files: dict[str, str], **replies: Any) -> Played:
    """Run the comment's script in `folder`, which contains `evidence/`, for a request that changes `files`."""
    known = {
        "pulls.list": [REQUEST],
        "pulls.listFiles": list(files),
        "issues.listComments": [],
        "payload": {"workflow_run": RUN},
    } | replies
    payload = known.pop("payload")
    return play(step("pull-request-comment.yml", "tell", "Comment"), folder, known, payload=payload)


def body(played: Played) -> str:
    ((_, written),) = played.writes
    return written["body"]


def quoted_text(text: str, folder: Path) -> str:
    """Return the comment's quotation of a text."""
    (folder / "evidence").mkdir(exist_ok=True)
    (folder / "evidence" / "comment.md").write_text(text)
    return body(commented(folder)).partition("What follows was written by the request's own code:\n\n")[2]


# The text

HOSTILE = """\
**All is well.** @team &#64;team &commat;team <img src=x> ![x](https://evil.example) [ok](https://evil.example)
<!-- policies --> www.evil.example https://evil.example \u202egnp \\[ok](https://evil.example) \\@team
#12 &#35;12 acme/store#14 GH-13 gh-13 GHSA-1a2b-3c4d-5e6f CVE-2026-1 a@b.example
0123456 acme@0123456789abcdef0123456789abcdef01234567 acme/store@deadbeef [^1] $\\href{https://evil.example}{x}$
<a href="https://evil.example">x</a> [ok]: https://evil.example &lt;b&gt; &#60;b&#62; \ue040team \ue03cimg\ue03e

<details><summary>Promise by promise</summary>

```mermaid
@team
"""


def test_untrusted_text_is_quoted_and_has_no_links_or_mentions(tmp_path: Path) -> None:
    text = quoted_text(HOSTILE, tmp_path)
    assert all(line.startswith(">") for line in text.splitlines())
    shown = rendered(text)
    assert shown.tags <= {"blockquote", "p", "strong", "br", "details", "summary"}
    assert not shown.references
    for visible in ("#12", "acme/store#14", "GH-13", "@team", "![x](https://evil.example)", "<img src=x>", "&#64;team"):
        assert visible in shown.text
    head = body(commented(tmp_path)).partition("What follows")[0]
    assert head.startswith("<!-- policies -->\n\n**The checks of abc ended with: failure.** [The run")
    assert "It changes" not in head


def test_the_comment_shows_the_evidence_unchanged(prod: Judged, tmp_path: Path) -> None:
    mutant = next(iter(put("aws:kms/key:Key", "deletionWindowInDays", "[7] `#12` <b> a_b_c @team")(prod.graph)))
    steps = [{"op": "update", "urn": "urn::a[0]#12", "type": "a:b/c:D", "diff": {"tags[0].`x`": {}}}]
    plan = comment.Plan.model_validate({"steps": steps})
    written = comment.comment(gather(Judged(mutant.graph, prod.content, "x"), final=True), plan)
    text = quoted_text(written, tmp_path)
    plain, quoted = rendered(written), rendered(text)
    assert quoted.text.split() == plain.text.split()
    assert quoted.tags == {*plain.tags, "blockquote"}
    assert not quoted.references
    assert "tags[0].`x`" in quoted.text
    assert "[7] `#12` <b> a_b_c @team" in quoted.text


@pytest.mark.parametrize("kind", ["nothing", "link", "folder", "huge"])
def test_links_folders_and_huge_files_are_not_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "secret").write_text("hunter2")
    for name in ("comment.md", "results.sarif"):
        file = tmp_path / "evidence" / name
        if kind == "link":
            file.symlink_to(tmp_path / "secret")
        elif kind == "folder":
            file.mkdir()
        elif kind == "huge":
            file.touch()
            with file.open("wb") as stream:
                stream.truncate(30_000_000)
    found = commented(tmp_path)
    assert body(found).endswith("> It could not be planned or judged.")
    assert found.outputs == {"number": 7}
    assert kept(tmp_path).outputs == {}


def test_a_comment_is_shorter_than_githubs_limit(tmp_path: Path) -> None:
    for text in ("@" * 200_000, "\n" * 200_000 + "x", "<[\n" * 50_000, "```" * 60_000):
        quoted_text(text, tmp_path)
        assert len(body(commented(tmp_path))) < 65_536


# Which request, and which comment


def test_a_request_from_a_deleted_fork_is_found(tmp_path: Path) -> None:
    gone = {"number": 8, "head": {"sha": "abc", "ref": "b", "repo": None}}
    run = {"workflow_run": {**RUN, "head_repository": None}}
    found = commented(tmp_path, **{"pulls.list": [REQUEST, gone], "payload": run})
    assert [(name, given["issue_number"]) for name, given in found.writes] == [("issues.createComment", 8)]


@pytest.mark.parametrize("change", [{"sha": "other"}, {"ref": "other"}, {"repo": {"id": 6}}, {"repo": None}])
def test_a_run_cannot_comment_on_another_request(tmp_path: Path, change: dict[str, Any]) -> None:
    other = {"number": 8, "head": {**REQUEST["head"], **change}}
    found = commented(tmp_path, **{"pulls.list": [other]})
    assert (found.writes, found.outputs) == ([], {})


def test_the_workflows_own_comment_is_updated(tmp_path: Path) -> None:
    bot = "github-actions[bot]"
    comments = [
        {"id": 1, "user": None, "body": "<!-- policies -->"},
        {"id": 2, "user": {"login": "stranger"}, "body": "<!-- policies -->"},
        {"id": 3, "user": {"login": bot}, "body": None},
        {"id": 4, "user": {"login": bot}, "body": "<!-- policies -->\n\nolder"},
    ]
    found = commented(tmp_path, **{"issues.listComments": comments})
    assert [(name, given["comment_id"]) for name, given in found.writes] == [("issues.updateComment", 4)]
    found = commented(tmp_path, **{"issues.listComments": comments[:3]})
    assert [name for name, _ in found.writes] == ["issues.createComment"]


# What may have written or judged the plan itself


def test_the_comment_warns_of_changed_code_that_judges(tmp_path: Path) -> None:
    files = (
        {"filename": "policies/exemptions.toml"},
        {"filename": "docs/x.md", "previous_filename": "policies/rule.py"},
        {"filename": "README.md"},
    )
    text = body(commented(tmp_path, *files))
    assert "**It changes what judges it, in 2 files (`policies`):**" in text
    assert "while it is planned" not in text


def test_the_comment_warns_of_a_new_signer_of_drills(tmp_path: Path) -> None:
    text = body(commented(tmp_path, {"filename": "docs/drills/signers.toml"}, {"filename": "docs/drills/0001-x.json"}))
    assert "**It changes what judges it, in 1 file (`docs`):**" in text
    assert "while it is planned" not in text


@pytest.mark.parametrize(
    "file",
    [
        *("components/x.py", "machines/templates/x", "__main__.py", "Pulumi.yaml", "Pulumi.prod.yaml", "status/cli.py"),
        *("backups/x.py", "json.py", "yaml/__init__.py", ".venv/bin/python", "sitecustomize.py", "workers/x.py"),
        *("tests/__init__.py", "pyproject.toml", "docs.py", "model/settings.py", "harness/waiting.py"),
    ],
)
def test_the_comment_warns_of_changed_code_that_plans(tmp_path: Path, file: str) -> None:
    for files in ({"filename": file}, {"filename": "docs/moved.md", "previous_filename": file}):
        text = body(commented(tmp_path, files))
        assert f"**It changes what runs while it is planned, in 1 file (`{file.split('/', maxsplit=1)[0]}`):**" in text


@pytest.mark.parametrize(
    "file",
    [
        "README.md",
        "docs/adr/0001-x.md",
        "tests/sandbox/test_x.py",
        "benchmarks/x.py",
        "drills/x.py",
        "workers/api/index.js",
    ],
)
def test_other_changed_files_cause_no_warning(tmp_path: Path, file: str) -> None:
    assert "It changes" not in body(commented(tmp_path, {"filename": file}))


def test_the_comment_warns_of_every_file_that_a_plan_runs(tmp_path: Path) -> None:
    rooms = [
        path.name
        for path in ROOT.iterdir()
        if any(path.glob("*.py")) and path.name not in {"benchmarks", "drills", "tests"}
    ]
    assert {"components", "policies", "sandbox"} <= {*rooms}
    text = body(commented(tmp_path, *({"filename": f"{room}/x.py"} for room in rooms)))
    assert all(f"`{room}`" in text for room in rooms)


def test_a_file_name_cannot_inject_text_into_the_warning(tmp_path: Path) -> None:
    text = body(commented(tmp_path, {"filename": "[x](https://evil.example) @team/x.py"}, {"filename": "`/x.py"}))
    assert "in 2 files (others):**" in text


def test_the_comment_warns_of_more_files_than_github_lists(tmp_path: Path) -> None:
    assert "more files than GitHub lists" in body(commented(tmp_path, *({"filename": "docs/x.md"},) * 3000))


# The SARIF

RULES = (ROOT / "docs" / "rules.md").read_text()


def kept(folder: Path) -> Played:
    """Run the second script, which filters the SARIF."""
    title = "Keep what may be uploaded"
    return play(step("pull-request-comment.yml", "tell", title), folder, {"repos.getContent": RULES})


def uploaded(folder: Path, log: object) -> dict[str, Any]:
    """Return the SARIF that the script keeps of a log."""
    (folder / "evidence").mkdir(exist_ok=True)
    (folder / "evidence" / "results.sarif").write_text(json.dumps(log))
    assert kept(folder).outputs == {"sarif": True}
    return json.loads((folder / "results.sarif").read_text())


def refused(folder: Path, text: str) -> str:
    """Return the warning with which the script refuses a text."""
    (folder / "evidence").mkdir(exist_ok=True)
    (folder / "evidence" / "results.sarif").write_text(text)
    played = kept(folder)
    assert played.outputs == {}
    assert not (folder / "results.sarif").exists()
    ((level, reason),) = played.messages
    assert level == "warning"
    return reason


@pytest.fixture(scope="module")
def log(prod: Judged) -> dict[str, Any]:
    """The SARIF of production with a KMS deletion window of a week."""
    mutant = next(iter(put("aws:kms/key:Key", "deletionWindowInDays", 7)(prod.graph)))
    return json.loads(sarif.render(gather(Judged(mutant.graph, prod.content, "x"), final=True)))


def test_sarif_results_keep_their_fingerprints(log: dict[str, Any], tmp_path: Path) -> None:
    through = uploaded(tmp_path, log)
    for sent, made in zip(through["runs"], log["runs"], strict=True):
        assert sent["tool"]["driver"]["name"] == made["tool"]["driver"]["name"]
        assert sent["automationDetails"] == made["automationDetails"]
        assert len(sent["tool"]["driver"]["rules"]) == len(made["tool"]["driver"]["rules"])
        assert len(sent["results"]) == len(made["results"])
        for one, other in zip(sent["results"], made["results"], strict=True):
            for key in ("ruleId", "level", "partialFingerprints"):
                assert one[key] == other[key]
            assert (
                one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
                == (other["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
            )
            assert ("suppressions" in one) == ("suppressions" in other)
    assert any(run["results"] for run in through["runs"])


def test_the_fingerprint_is_the_same_on_another_line(log: dict[str, Any], tmp_path: Path) -> None:
    moved = json.loads(json.dumps(log).replace('"startLine": 1', '"startLine": 40'))
    assert moved != log
    assert uploaded(tmp_path, moved) == uploaded(tmp_path, log)


@pytest.mark.parametrize("name", ["CodeQL", "policies/other", "policies/redundancy ", "", None, 7])
def test_sarif_of_another_tool_is_refused(log: dict[str, Any], tmp_path: Path, name: object) -> None:
    forged = json.loads(json.dumps(log))
    forged["runs"][1]["tool"]["driver"]["name"] = name
    assert "one run each of policies/redundancy and policies/retention is expected" in refused(
        tmp_path, json.dumps(forged)
    )


def test_two_runs_of_one_tool_are_refused(log: dict[str, Any], tmp_path: Path) -> None:
    assert "one run each" in refused(tmp_path, json.dumps({**log, "runs": [log["runs"][0]] * 2}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"runs": 1}', '{"runs": [null]}', '{"runs": []}'])
def test_invalid_sarif_is_refused(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text).startswith("the SARIF is not uploaded: ")


def test_a_result_contains_only_expected_fields(log: dict[str, Any], tmp_path: Path) -> None:
    forged = json.loads(json.dumps(log))
    run = forged["runs"][0]
    run["automationDetails"]["id"] = "codeql/"
    run["tool"]["driver"] |= {"informationUri": "https://evil.example", "organization": "GitHub"}
    run["tool"]["driver"]["rules"].append({"id": "your-password-has-expired", "helpUri": "https://evil.example"})
    rule = run["tool"]["driver"]["rules"][0]
    rule |= {"helpUri": "https://evil.example", "help": {"text": "x", "markdown": "[x](https://evil.example)"}}
    location = {"physicalLocation": {"artifactLocation": {"uri": "../../etc/passwd"}, "region": {"startLine": 3}}}
    text = "[log in](https://evil.example) @team \u202e"
    run["results"] = [
        {"ruleId": "your-password-has-expired", "message": {"text": text}},
        {"ruleId": rule["id"], "message": {"text": text, "markdown": text}, "level": "x", "locations": [location],
         "partialFingerprints": {"primaryLocationLineHash": "a:1"}, "hostedViewerUri": "https://evil.example"},
        {"ruleId": rule["id"]}, None, 7,
    ]  # fmt: skip
    through = uploaded(tmp_path, forged)
    sent = through["runs"][0]
    assert sent["automationDetails"] == {"id": "policies/redundancy/prod/"}
    assert [one["ruleId"] for one in sent["results"]] == [rule["id"]] * 2
    places = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in sent["results"]]
    assert places == ["promises.toml"] * 2
    assert sent["results"][0]["level"] == "error"
    assert sent["results"][0]["partialFingerprints"] != {"primaryLocationLineHash": "a:1"}
    assert not re.search(r"\]\(|://|@\w|\u202e|evil-|markdown|Uri|organization|your-password", json.dumps(through))


def test_the_workflow_reads_every_rule_from_the_catalogue() -> None:
    known = re.findall(r"^\| `([a-z0-9]+(?:-[a-z0-9]+)+)` \|", RULES, re.MULTILINE)
    assert known == [rule.id for rule in all_rules()]
