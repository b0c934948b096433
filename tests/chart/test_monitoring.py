"""Alert rules and dashboard: promtool's checks and tests, and that they ask only for metrics there are."""

import re
import subprocess
from pathlib import Path

import yaml

from tests import documented
from tests.chart.helm import ROOT
from tests.documented import MONITORING
from tests.tools.binaries import tool

NAME = re.compile(r"setpoint_[a-z_]+")
PARTS = re.compile(r"_(bucket|sum|count)$")


def promtool(*args: str) -> str:
    """Run promtool in the folder of the rules."""
    done = subprocess.run([str(tool("promtool")), *args], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_nothing_to_complain_of() -> None:
    assert f"SUCCESS: {len(documented.alerts())} rules found" in promtool(
        "check", "rules", "--lint-fatal", "rules.yaml"
    )


def test_the_tests_of_the_rules_pass_and_every_rule_has_one() -> None:
    promtool("test", "rules", "rules_test.yaml")
    tests = yaml.safe_load((MONITORING / "rules_test.yaml").read_text(encoding="utf-8"))["tests"]
    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in documented.alerts()}


def test_every_alert_has_a_runbook() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^## (\w+)$", text, flags=re.MULTILINE))
    assert headings == {rule["alert"] for rule in documented.alerts()}
    for rule in documented.alerts():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"


def test_rules_and_dashboard_ask_only_for_metrics_that_are_documented() -> None:
    asked = {
        PARTS.sub("", name)
        for text in [*documented.queries(), *(rule["expr"] for rule in documented.alerts())]
        for name in NAME.findall(text)
    }
    assert asked <= documented.metrics()
    assert documented.metrics() - asked == {"setpoint_connection_resources"}


def test_the_dashboards_queries_can_be_parsed(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(documented.queries())]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    promtool("check", "rules", str(file))


def test_the_dashboard_can_be_imported_anywhere() -> None:
    board = documented.dashboard()
    assert board["templating"]["list"][0]["type"] == "datasource"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) >= 18
    spaces: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        where = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert not cells & spaces, f"{panel['title']} lies on another panel"
        assert all(x < 24 for x, _ in cells)
        spaces |= cells
