"""Write the dashboards: `make dashboards`. tests/observability/ fails when they are stale."""

from __future__ import annotations

import json
import os
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import fleet, run

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = "dashboards"
FOREIGN = ("id", "auto", "auto_min", "auto_count")
"""What the SDK writes into every variable and Grafana's own type has not in these kinds."""


def generated() -> dict[str, str]:
    """The text of each dashboard, by its path below this directory."""
    found = {}
    for uid, build in ((fleet.UID, fleet.dashboard), (run.UID, run.dashboard)):
        made = build().build()
        for number, panel in enumerate(made.panels or (), 1):
            panel.id_val = number
        page = json.loads(json.dumps(made, cls=JSONEncoder))
        del page["style"]  # the reader's own choice, these days
        for variable in page["templating"]["list"]:
            for key in FOREIGN:
                variable.pop(key, None)
        text = json.dumps(page, indent=1, ensure_ascii=False)
        found[f"{FOLDER}/{uid}.json"] = text + "\n"
    return found


def main() -> int:
    """Write what is not there as it should be."""
    for path, text in generated().items():
        with open(os.path.join(HERE, path), "w", encoding="utf-8") as file:
            file.write(text)
        print(f"written: grafana/{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
