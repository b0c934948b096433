"""The command line, as far as it needs no cluster."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import yaml

from setpoint import __version__
from setpoint.cluster.logs import JsonFormatter, TextFormatter


def setpoint(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SETPOINT_", "KUBE"))}
    return subprocess.run(
        [sys.executable, "-m", "setpoint", *arguments],
        env={**clean, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_explains_every_setting_with_variable_and_default() -> None:
    text = setpoint("run", "--help").stdout
    for name in (
        "NAMESPACES",
        "ALLOWED_HOSTS",
        "CLUSTER_CIDRS",
        "HEALTH_ADDRESS",
        "WORKERS",
        "CONNECTIONS_PER_NAMESPACE",
        "SHARD",
        "DRY_RUN",
        "LOG_FORMAT",
        "LOG_LEVEL",
    ):
        assert f"SETPOINT_{name}" in text
    assert "default: 32" in text


def test_version_is_that_of_the_package() -> None:
    assert setpoint("--version").stdout == f"setpoint {__version__}\n"


def test_crds_are_printed_and_written(tmp_path: Path) -> None:
    printed = list(yaml.safe_load_all(setpoint("crds").stdout))
    assert [document["kind"] for document in printed] == ["CustomResourceDefinition"] * 5
    (tmp_path / "stale.yaml").write_text("", encoding="utf-8")
    assert setpoint("crds", "--output", str(tmp_path)).returncode == 0
    written = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(tmp_path.iterdir())]
    assert sorted(printed, key=lambda document: str(document["metadata"]["name"])) == written


def test_a_bad_setting_and_a_missing_cluster_end_with_2_and_one_sentence(tmp_path: Path) -> None:
    bad = setpoint("run", "--workers", "0")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "SETPOINT_WORKERS" in bad.stderr
    nowhere = setpoint("run", KUBECONFIG=str(tmp_path / "none"), HOME=str(tmp_path))
    assert nowhere.returncode == 2
    assert "no cluster to work on" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr


def test_log_lines_name_the_object_in_both_forms() -> None:
    record = logging.LogRecord("setpoint", logging.INFO, "file", 1, "wrote %s", ("it",), None)
    record.object = {"kind": "DeploymentAutoscaling", "namespace": "ml", "name": "llama"}
    line = json.loads(JsonFormatter().format(record))
    assert (line["level"], line["message"], line["object"]["name"]) == ("info", "wrote it", "llama")
    assert "DeploymentAutoscaling ml/llama: wrote it" in TextFormatter().format(record)
