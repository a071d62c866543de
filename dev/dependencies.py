"""The licences of all that an installation takes in: ``python -m dev.dependencies`` makes the table of the page."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dependencies.md"
_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)
_ROWS = re.compile(r"(?<=\|---\|---\|---\|\n)(\|.*\n)*")


def pinned(requirements: Path) -> dict[str, str]:
    """Return the version of each package that a file of pip-compile's pins."""
    return dict(_PINNED.findall(requirements.read_text(encoding="utf-8")))


def licence(package: str) -> str:
    """Return what a package that is installed says of its licence, in its own words."""
    about = metadata.metadata(package).json
    kinds = [str(each).rpartition(" :: ")[2] for each in about.get("classifier", ()) if str(each).startswith("License")]
    classified = ", ".join(kind for kind in kinds if kind != "OSI Approved")
    first = str(about.get("license", "unknown")).strip().splitlines()[0]
    return str(about.get("license_expression") or classified or first)


def table() -> str:
    """Return the rows. Raises PackageNotFoundError where a package is not installed."""
    packages = pinned(ROOT / "requirements.txt")
    return "".join(f"| {name} | {packages[name]} | {licence(name)} |\n" for name in sorted(packages))


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_ROWS.sub(lambda _: table(), text, count=1), encoding="utf-8")
