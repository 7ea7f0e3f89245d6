import socket
from pathlib import Path

import pytest

from cluster import doctor
from cluster.doctor import Finding, examine


def _find(subject: str, findings: list[Finding]) -> Finding:
    return next(item for item in findings if item.subject == subject)


def test_a_machine_that_runs_the_tests_has_no_errors_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    findings = list(examine(folders={"runs": str(tmp_path / "new" / "runs"), "store": "s3://bucket/store"}))
    assert {item.subject for item in findings} >= {"python", "packages", "own packages", "runs", "store", "torch", "machine", "cluster"}
    assert not [item for item in findings if item.state == "error"]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_an_error_with_a_cure(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way", encoding="utf-8")
    finding = _find("store", [doctor._folder("store", str(file))])
    assert finding.state == "error" and "storage.store" in finding.cure


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    finding = doctor._packages()
    assert finding.state == "error" and "no-such-package" in finding.seen and "torch" not in finding.seen


def test_a_shadowed_room_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "telescopes.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(doctor, "ROOMS", ("cluster", "telescopes"))
    finding = doctor._rooms()
    assert finding.state == "error" and "telescopes" in finding.seen and "cluster is" not in finding.seen


def test_a_cluster_without_a_token_is_a_warning_and_a_dead_one_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
        assert doctor._cluster().state == "warning"
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        assert doctor._cluster().state == "ok"
    assert doctor._cluster().state == "error"
