"""docs/dependencies.md and the bill of materials name every package of an installation, in the version pinned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from dev.dependencies import PAGE, ROOT, pinned


def test_the_page_has_all_packages() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    told = {row[0].removeprefix("| "): row[1] for row in rows if not row[0].startswith("|---")}
    assert told == pinned(ROOT / "requirements.txt"), "`python -m dev.dependencies` makes it again"
    assert all(len(row) == 3 and row[2].strip(" |") not in {"", "unknown"} for row in rows)


def test_the_bill_of_materials_has_all_packages(tmp_path: Path) -> None:
    """As .ci/run makes it: each pinned package, its version and the hashes that its files may have."""
    bill = tmp_path / "sbom.json"
    words = ["requirements", "--pyproject", "pyproject.toml", "--of", "JSON", "-o", str(bill), "requirements.txt"]
    subprocess.run([sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *words], cwd=ROOT, check=True)
    components = json.loads(bill.read_text(encoding="utf-8"))["components"]
    assert {each["name"].lower(): each["version"] for each in components} == pinned(ROOT / "requirements.txt")
    assert all(each["externalReferences"][0]["hashes"] for each in components)
