"""GitHub's workflows: actionlint finds nothing, and they call only targets there are."""

import re
import subprocess
import sys
from pathlib import Path

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


def test_everything_runs_on_the_images_python_and_the_rest_on_the_oldest_one() -> None:
    image = re.search(r"ARG PYTHON=(3\.\d+)", (ROOT / "deploy" / "image" / "Dockerfile").read_text(encoding="utf-8"))
    floor = re.search(r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert image
    assert floor
    some = "tests/unit tests/contract tests/integration"
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert ci["jobs"]["test"]["strategy"]["matrix"]["include"] == [
        {"python": image[1], "tests": ""},
        {"python": floor[1], "tests": some},
    ]
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"image={image[1]}\nfloor={floor[1]}\n" in run
    assert f'make test PYTHON="$with_floor" PYTEST_ARGS="{some}"' in run
    assert run.rstrip().splitlines()[-1].startswith("make test PYTHON="), (
        "the closing line of the whole suite comes last"
    )


def test_a_python_is_found_that_pyenv_starts_only_by_its_version(tmp_path: Path) -> None:
    programs = {
        "python3.99": '[ "$PYENV_VERSION" = 3.99.10 ] && echo /pyenv/3.99.10/python || exit 127',
        "pyenv": "printf '3.9.1\\n3.99.9\\n3.99.10\\n'",
    }
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)

    def found(name: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        command = [str(ROOT / ".ci" / "python"), name]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert found("python3.99").stdout == "/pyenv/3.99.10/python\n"
    missing = found("python3.98")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "there is no python3.98 on this machine" in missing.stderr
    assert found(sys.executable).stdout == f"{sys.executable}\n"


def test_a_workflow_only_reads_and_what_publishes_has_the_least_rights_for_it() -> None:
    rights: dict[str, dict[str, str]] = {}
    for file in WORKFLOWS:
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        rights |= {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert rights == {
        "publish": {"contents": "read", "packages": "write", "id-token": "write"},
        "release": {"contents": "write", "packages": "read"},
    }
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    written = str(release["jobs"]["release"])
    assert "build" not in written, "what may write to the repository builds nothing"


def test_actions_and_the_base_image_are_pinned_by_digest() -> None:
    uses = [line for file in WORKFLOWS for line in re.findall(r"uses: (.*)", file.read_text(encoding="utf-8"))]
    assert len(uses) > 20
    for line in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line
    versions = {line.partition(" # ")[0]: line for line in uses}
    assert len(versions) == len(set(uses)), "one digest is one version"
    dockerfile = (ROOT / "deploy" / "image" / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON=[\w.-]+@sha256:[0-9a-f]{64}$", dockerfile, flags=re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE)) == {"python:${PYTHON}"}


def test_pins_are_kept_up_to_date() -> None:
    found = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    watched = {(one["package-ecosystem"], one["directory"]) for one in found["updates"]}
    assert watched == {("github-actions", "/"), ("docker", "/deploy/image")}


def test_issue_forms_are_well_formed() -> None:
    for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(file.read_text(encoding="utf-8"))
        for part in form.get("body", []):
            assert part["type"] in {"markdown", "textarea", "input", "dropdown"}
            assert "label" in part["attributes"] or part["type"] == "markdown"
