"""How Sphinx builds the documentation: `make docs`."""

import re
from pathlib import Path

_INIT = Path(__file__).parents[1] / "operator" / "setpoint" / "__init__.py"

project = "Setpoint"
author = "the authors of Setpoint"
release = re.findall(r'__version__ = "(.*)"', _INIT.read_text(encoding="utf-8"))[0]
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"Setpoint {release}"
nitpicky = True
# Pictures in Mermaid are shown by the places that render Markdown; here their source is.
suppress_warnings = ["misc.highlighting_failure"]
