"""``python -m dev.origin_story``: docs/origin.md and docs/origin.zh.md, with pictures of runs that it makes.

The words are in ``dev/origin/*.md.j2``. What stands in them between braces is of real runs: ladders, verdicts, packets
with their causes, and a picture of a page. It needs what the namespace engine needs for the image `winsock`, root for
the kernel's trace, and Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dev.docs_images import Picture, take
from testbed import RunResult, run_scenario
from testbed.model import Crossing
from testbed.report import run_files
from testbed.report.evidence_text import sentence
from testbed.report.text.ladder import ladder
from testbed.rundir.layout import RunDirectory

ROOT = Path(__file__).parents[1]
WORDS = Path(__file__).parent / "origin"
PAGES = ("origin.md", "origin.zh.md")
_WIDTH = 100
_FIRST = "wine /opt/winsock/server.exe 10011 first 2000"
_CLOSES = "wine /opt/winsock/server.exe 10011 byte-close"
RUNS: dict[str, tuple[str, dict[str, object]]] = {
    "freely": ("origin", {"observe.client": "probe", "server.command": _FIRST}),
    "gdb": ("origin", {"observe.client": "gdb", "server.command": _FIRST}),
    "closes": ("origin", {"observe.client": "probe", "server.command": _CLOSES}),
    "closes-gdb": ("origin", {"observe.client": "gdb", "server.command": _CLOSES}),
    "bytes": ("winsock-one-byte", {"client.steps.2.sleep": "0ms"}),
    "all": ("winsock-reads-all", {"client.steps.2.sleep": "60ms"}),
    "lookalike": ("keepalive-lookalike", {}),
    "keepalive": ("keepalive", {}),
    "flags": ("flags", {}),
    "closed": ("half-close", {}),
}
"""The runs that the pages show: scenario and settings by the name that the words have for them."""
PICTURE = Picture("origin", "gdb", height=1000)
FLAGS = (("SYN", "S"), ("ACK", "."), ("PSH", "P"), ("URG", "U"), ("FIN", "F"), ("RST", "R"))


class Story:
    """What the words may ask of the runs."""

    def __init__(self, runs: dict[str, RunResult]) -> None:
        self._runs = runs

    def ladder(self, name: str, width: int = _WIDTH) -> str:
        """Return a run's ladder from the client's first call on."""
        lines = [line.text for line in ladder(self._runs[name].analysis, width, None)]
        begins = next(at for at, text in enumerate(lines) if "connect(" in text)
        return "\n".join([lines[0], *lines[begins:]])

    def verdict(self, name: str) -> str:
        """Return a run's verdict, a line for each sentence."""
        return "\n".join(self._runs[name].verdict)

    def screen(self, name: str) -> str:
        """Return what a run's server printed."""
        return self._runs[name].analysis.inputs.output["server"].strip()

    def segments(self, name: str) -> str:
        """Return the payloads that a run's client sent, as the wire had them."""
        sent = [packet for packet in self._runs[name].packets if packet.sender == "client" and packet.length]
        return ", ".join(f"`{packet.payload.decode()}`" for packet in sent)

    def flag(self, name: str, letter: str) -> str:
        """Return the first packet of a run that has a flag, and its cause, as cells of a table."""
        run = self._runs[name]
        at = next(n for n, packet in enumerate(run.packets) if _has(packet, letter))
        packet, cause = run.packets[at], run.causes[at]
        return f"#{at} {packet.sender} `{packet.flags}` | `{cause.rule}`: {sentence(cause.evidence)}"


def _has(packet: Crossing, letter: str) -> bool:
    """Say whether a packet has a flag; of ACK, whether it has no other."""
    return packet.flags == "." and not packet.length if letter == "." else letter in packet.flags


def render(page: str, story: Story) -> str:
    """Return a page."""
    words = Environment(  # noqa: S701 - what is made is Markdown, of our own runs
        loader=FileSystemLoader(WORDS), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return words.get_template(f"{page}.j2").render(run=story, flags=FLAGS)


def main(say: Callable[[str], object] = sys.stdout.write) -> int:
    """Make the runs, the pages and the picture."""
    with tempfile.TemporaryDirectory() as place:
        runs = {}
        for name, (scenario, settings) in RUNS.items():
            runs[name] = run_scenario(scenario, engine="namespace", runs=place, settings=settings)
            say(f"{name}: {runs[name].outcome}\n")
        if any(run.outcome != "pass" for run in runs.values()):
            return 1
        for page in PAGES:
            (ROOT / "docs" / page).write_text(render(page, Story(runs)), encoding="utf-8")
        directory = RunDirectory(runs[PICTURE.scenario].directory)
        run_files.rebuild(directory)
        take(ROOT / "docs/images", {PICTURE.scenario: directory.file(run_files.PAGE)}, [PICTURE])
    return 0


if __name__ == "__main__":
    sys.exit(main())
