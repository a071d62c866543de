"""Reports as files of a run directory: ``report.html`` and ``annotated.pcapng``, made from what lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from testbed.model import HOSTS, Analysis, Host
from testbed.model.errors import CaptureError
from testbed.report.captures import annotated_pcapng
from testbed.report.json.result_file import write_result
from testbed.run.evaluate import evaluate
from testbed.rundir.layout import MANIFEST, RESULT, RunDirectory, loopback_file
from testbed.rundir.manifest import meta

if TYPE_CHECKING:
    from testbed.capture.columns import Capture
    from testbed.report.html.page_source import PageSource

PAGE = "report.html"
MADE = (RESULT, PAGE, annotated_pcapng.NAME)

_PRINTED = tuple(f"{host}.{stream}" for host in HOSTS for stream in ("out", "err"))
_MOST_PRINTED = 1 << 20


def rebuild(directory: RunDirectory) -> Analysis:
    """Make everything that can be made from a run's artefacts again: MADE. UsageError where it is no run."""
    analysis = evaluate(directory)
    write_result(directory, analysis)
    write(directory, analysis)
    return analysis


def write(directory: RunDirectory, analysis: Analysis) -> None:
    """Write the page and the annotated capture of a run."""
    from testbed.report.html.run_page import render

    page = source(directory, analysis)
    directory.write_text(PAGE, render(page))
    with directory.writing(annotated_pcapng.NAME) as stream:
        annotated_pcapng.write(stream, analysis, page.captures, page.loopbacks)


def source(directory: RunDirectory, analysis: Analysis) -> PageSource:
    """Gather what a page shows of a run besides its analysis."""
    from testbed.report.html.page_source import PageSource

    captures = _captures(directory, analysis)
    return PageSource(
        analysis=analysis,
        meta=meta(directory),
        captures=captures,
        loopbacks=_loopbacks(directory, analysis),
        labels=analysis.inputs.labels,
        printed={name: text for name in _PRINTED if (text := _printed(directory, name))},
        conditions=tuple(_conditions(directory.read_json(MANIFEST))),
    )


def _captures(directory: RunDirectory, analysis: Analysis) -> dict[Host, Capture]:
    """Read both captures; none of them where one cannot be read, as then nothing was joined (the analysis says why)."""
    from testbed.capture.read_file import read

    if not analysis.inputs.joined.crossings:
        return {}
    try:
        return {host: read(directory.file(f"{host}.pcap")) for host in HOSTS}
    except CaptureError:
        return {}


def _loopbacks(directory: RunDirectory, analysis: Analysis) -> dict[Host, Capture]:
    """Read the captures of the loopbacks over which anything went."""
    from testbed.capture.read_file import read

    return {host: read(directory.file(loopback_file(host))) for host in analysis.inputs.loopback}


def _printed(directory: RunDirectory, name: str) -> str:
    path = directory.file(name)
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return file.read(_MOST_PRINTED).decode(errors="replace")


def _conditions(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Under which conditions the run was made, as names and values; what an older manifest lacks is left out."""
    engine = manifest.get("engine", {})
    yield "engine", f"{engine.get('name', '?')} {engine.get('version', '')}".strip()
    yield "kernel", str(engine.get("kernel", "unknown"))
    link = manifest.get("link", {})
    yield "link", ", ".join(f"{name} {_plain(value)}" for name, value in link.items() if value)
    for host, about in manifest.get("hosts", {}).items():
        yield f"{host}'s address", str(about.get("address"))
        if about.get("congestion_control"):
            yield f"{host}'s congestion control", str(about["congestion_control"])
        if about.get("route"):
            yield f"{host}'s route", str(about["route"])
        if about.get("sysctls_set"):
            yield f"{host}'s sysctls set", ", ".join(f"{key}={value}" for key, value in about["sysctls_set"].items())
        if about.get("offloads"):
            on = [name for name, value in about["offloads"].items() if value in (True, "on")]
            yield f"{host}'s offloads on", ", ".join(on) or "none"
    for host, tap in manifest.get("taps", {}).items():
        yield f"{host}'s tap", str(tap.get("version", ""))
    runner = manifest.get("runner", {})
    yield (
        "runner",
        f"bothends {runner.get('bothends', '?')}, Python {runner.get('python', '?')}, {runner.get('system', '')}",
    )
    yield "begun", str(manifest.get("started", ""))
    yield "ended", str(manifest.get("ended", ""))


def _plain(value: object) -> str:
    """Return a value of the manifest in a few characters."""
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."
