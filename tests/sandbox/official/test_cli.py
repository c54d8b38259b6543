"""The choice of the `pulumi` executable, and the transfer of the state. `make conformance` runs the real CLI."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sandbox.conformance.things import open_clouds
from sandbox.engine import project
from sandbox.engine.errors import EngineError
from sandbox.engine.operations import preview, up
from sandbox.engine.transfer import export_state, import_state
from sandbox.engine.watch import SilentWatcher
from sandbox.engine.workspace import find as find_workspace
from sandbox.official import cli, runs


def install(folder: Path, version: str) -> None:
    file = folder / "pulumi"
    file.write_text(f"#!/bin/sh\necho {version}\n")
    file.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "path"


def test_a_missing_cli_is_an_error_with_a_remedy(path: Path) -> None:
    del path
    with pytest.raises(cli.CliError, match="pulumi is not on the PATH; run `make pulumi`"):
        cli.find()


@pytest.mark.parametrize("version", ["v2.25.0", "v3.0.0", "v4.0.0", "nonsense"])
def test_an_unsupported_version_is_an_error_with_a_remedy(path: Path, version: str) -> None:
    install(path, version)
    with pytest.raises(cli.CliError, match=r"cannot be used: .*make pulumi"):
        cli.find()


def test_another_supported_version_is_used_and_reported(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(path, "v3.200.0")
    assert runs.usable_cli() == cli.Cli(str(path / "pulumi"), "3.200.0")
    assert "3.200.0" in capsys.readouterr().err


def test_the_pinned_version_is_used_without_a_message(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(path, f"v{cli.pinned()}")
    assert runs.usable_cli().version == cli.pinned()
    assert capsys.readouterr().err == ""


def test_a_failed_command_reports_the_clis_stderr(path: Path, tmp_path: Path) -> None:
    (path / "pulumi").write_text("#!/bin/sh\necho 'no stack named dev' >&2\nexit 3\n")
    (path / "pulumi").chmod(0o755)
    with pytest.raises(cli.CliError, match="`pulumi stack ls` ended with exit code 3: no stack named dev"):
        cli.Cli(str(path / "pulumi"), "3.200.0").run("stack", "ls", cwd=tmp_path, environment={})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SANDBOX_HOME", raising=False)
    (tmp_path / "Pulumi.yaml").write_text("name: test\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    (tmp_path / "__main__.py").write_text("")
    assert project.load(tmp_path, "dev").name == "test"
    return tmp_path


def test_up_rejects_a_stale_state_after_an_interrupted_update(root: Path) -> None:
    find_workspace(root, "dev").official.mkdir(parents=True)
    with pytest.raises(EngineError, match=r"interrupted.*`up --stack dev --engine pulumi`"):
        up(root, "dev", open_clouds, SilentWatcher(), planned=None)


def test_import_rejects_a_stale_state_after_an_interrupted_update(root: Path) -> None:
    find_workspace(root, "dev").official.mkdir(parents=True)
    with pytest.raises(EngineError, match=r"interrupted.*`up --stack dev --engine pulumi`"):
        import_state(root, "dev", '{"version": 3, "deployment": {}}')


def test_readers_reject_a_stale_state_after_an_interrupted_update(root: Path) -> None:
    find_workspace(root, "dev").official.mkdir(parents=True)
    for read in (
        lambda: preview(root, "dev", open_clouds, SilentWatcher()),
        lambda: export_state(root, "dev", show_secrets=False),
    ):
        with pytest.raises(EngineError, match=r"interrupted.*`up --stack dev --engine pulumi`"):
            read()


# A fake CLI with the commands that the beginning and the end of an update use.
STUB = """#!/bin/sh
[ "$1" = version ] && echo v{version}
case "$1 $2" in
"stack init") echo 'encryptionsalt: v1:salt' > Pulumi.dev.yaml ;;
"stack import") {on_import} ;;
"up --yes") {on_up} ;;
"stack export") echo '{{"version": 3, "deployment": {{}}}}' ;;
esac
"""


def update_under(path: Path, root: Path, *, on_import: str = "true", on_up: str = "true") -> int:
    (path / "pulumi").write_text(STUB.format(version=cli.pinned(), on_import=on_import, on_up=on_up))
    (path / "pulumi").chmod(0o755)
    return runs.up(root, "dev", open_clouds, policies=False, json=False, diff=False, skip_preview=True)


@pytest.mark.parametrize("on_import", ["echo 'incorrect passphrase' >&2; exit 255", "kill -9 $$"])
def test_a_failed_state_import_leaves_no_state_to_recover(path: Path, root: Path, on_import: str) -> None:
    assert up(root, "dev", open_clouds, SilentWatcher(), planned=None).code == 0
    workspace = find_workspace(root, "dev")
    before = workspace.state.read_bytes()
    with pytest.raises(cli.CliError, match="stack import"):
        update_under(path, root, on_import=on_import)
    assert workspace.state.read_bytes() == before
    assert not workspace.official.exists()
    assert up(root, "dev", open_clouds, SilentWatcher(), planned=None).code == 0


def test_recover_ignores_a_partial_folder(path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    partial = find_workspace(root, "dev").official.with_name("official.partial")
    (partial / "backend").mkdir(parents=True)
    assert update_under(path, root) == 0
    assert "interrupted" not in capsys.readouterr().err
    assert not partial.exists()


def test_a_killed_cli_is_reported_and_its_state_is_written_back(
    path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert update_under(path, root, on_up="kill -9 $$") == 1
    assert "the Pulumi CLI was killed by signal 9" in capsys.readouterr().err
    assert not find_workspace(root, "dev").official.exists()


def test_a_cli_that_outlives_its_parent_still_holds_the_lock(path: Path, root: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    assert update_under(path, root, on_up=f"/bin/sleep 600 >/dev/null 2>&1 & echo $! > {pid}") == 0
    try:
        with pytest.raises(EngineError, match="the stack is locked by `up --engine pulumi`"):
            up(root, "dev", open_clouds, SilentWatcher(), planned=None)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_preview_of_a_new_stack_writes_nothing(path: Path, root: Path) -> None:
    install(path, f"v{cli.pinned()}")
    before = sorted(root.rglob("*"))
    (path / "pulumi").write_text(STUB.format(version=cli.pinned(), on_import="true", on_up="true"))
    assert runs.preview(root, "dev", open_clouds, policies=False, json=False, diff=False) == 0
    assert sorted(root.rglob("*")) == before
