"""The examples of docs/api.md, and how they are carried out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = ROOT / "tests/data/run-v1/server-reads-once/20261122T120401Z-af8198a2"


def examples() -> dict[str, str]:
    """Return the page's blocks of Python by their headings."""
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## ([^\n]+)\n(?:(?!## )[^\n]*\n)*?```python\n(.*?)```", text, re.MULTILINE | re.DOTALL))


def carry_out(code: str, place: Path) -> str:
    """Run an example as a program in a directory that has what it names; return what it prints."""
    (place / "tests").symlink_to(ROOT / "tests")
    for name in ("client.pcap", "server.pcap"):
        shutil.copy(RUN / name, place)
    command = [sys.executable, "-W", "error", "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
