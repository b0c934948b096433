"""GitHub's workflows: actionlint finds nothing, and they call only targets there are."""

import re
import subprocess

import yaml

from tests.chart.helm import ROOT
from tests.tools.binaries import tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_actionlint_finds_nothing_to_complain_of() -> None:
    command = [str(tool("actionlint")), "-shellcheck=", "-pyflakes=", *(str(file) for file in WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_workflows_call_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9]+):", makefile, flags=re.MULTILINE))
    texts = [file.read_text(encoding="utf-8") for file in WORKFLOWS]
    called = {name for text in texts for name in re.findall(r"run: make ([a-z0-9]+)", text)}
    nightly = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8"))
    called |= {line.split()[0] for line in nightly["jobs"]["long"]["strategy"]["matrix"]["target"]}
    assert called <= targets
    assert {"lint", "test", "demo", "simulate", "faults", "e2e"} <= called


def test_nothing_is_allowed_to_a_workflow_beyond_reading_unless_it_publishes() -> None:
    for file in WORKFLOWS:
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        allowed = {name for name, job in workflow["jobs"].items() if "permissions" in job}
        assert allowed <= {"publish"}


def test_issue_forms_are_well_formed() -> None:
    for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(file.read_text(encoding="utf-8"))
        for part in form.get("body", []):
            assert part["type"] in {"markdown", "textarea", "input", "dropdown"}
            assert "label" in part["attributes"] or part["type"] == "markdown"
