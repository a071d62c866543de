"""The Atlas as Markdown: a table of calls for each heading, then each scenario with its ladder. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.atlas.atlas import Atlas, Entry
from testbed.atlas.groups import GROUPS, Group, group_of
from testbed.report.text.terminal_text import escape

_CALLS = 8


def render(atlas: Atlas) -> str:
    """Return the page."""
    return "\n".join(_lines(atlas)) + "\n"


def _lines(atlas: Atlas) -> Iterator[str]:
    told = {name: _cell(value) for name, value in atlas.conditions.items()}
    yield "# Atlas: what does each socket call put on the wire?"
    yield ""
    yield f"<!-- Made by `invoke atlas --out docs` from {told['runs']} runs. Do not edit it here. -->"
    yield ""
    yield (
        f"Measured on real kernels: {told['scenarios']} scenarios, {told['runs']} runs on Linux {told['kernel']} "
        f"({told['architecture']}), engine {told['engine']}. [atlas.html](atlas.html) has pictures, "
        "[atlas.json](atlas.json) the data; `invoke atlas --against docs/atlas.json` measures your kernel and lists "
        "the differences."
    )
    yield ""
    yield (
        "Letters are tcpdump's: `S` SYN, `.` ACK, `P` PSH, `F` FIN, `R` RST, `U` URG. Packets under *later* were sent "
        "by a timer of the kernel, not by a call."
    )
    yield ""
    groups = [(group, [entry for entry in atlas.entries if group_of(entry.tags) == group]) for group in GROUPS]
    groups = [(group, entries) for group, entries in groups if entries]
    yield from (f"- [{group.title}](#{group.anchor}): {group.what}" for group, _ in groups)
    yield "- [Conditions of the measurement](#conditions)"
    for group, entries in groups:
        yield ""
        yield f'<a id="{group.anchor}"></a>'
        yield ""
        yield f"## {group.title}"
        yield ""
        yield group.what
        yield ""
        yield from _table(group, entries)
        for entry in entries:
            yield from _entry(entry)
    yield ""
    yield '<a id="conditions"></a>'
    yield ""
    yield "## Conditions of the measurement"
    yield ""
    yield "| | |\n|---|---|"
    yield from (f"| {name} | {value} |" for name, value in told.items())
    yield ""
    yield "Kernel settings common to both hosts of every run (settings of a single scenario are listed with it):"
    yield ""
    yield "```text"
    yield from (_plain(f"{name} = {value}") for name, value in atlas.sysctls.items())
    yield "```"


def _table(group: Group, entries: list[Entry]) -> Iterator[str]:
    yield "| call | if | on the wire | later | scenario |"
    yield "|---|---|---|---|---|"
    for entry in entries:
        for call in chosen(group, entry)[:3]:
            later = "<br>".join(_code(text) for text in entry.kinds[0].timers[:2])
            cells = [
                _code(shown(call)),
                _cell(entry.summary),
                wire(call),
                later,
                f"[{_cell(entry.name)}](#{entry.anchor})",
            ]
            yield f"| {' | '.join(cells)} |"


def chosen(group: Group, entry: Entry) -> list[dict[str, Any]]:
    """Return the calls of an entry that its heading is about; all of them where none is."""
    calls = list(entry.kinds[0].calls) if entry.kinds else []
    about = [call for call in calls if call["call"] in group.calls]
    sent = [call for call in about if call["packets"]]
    silent = [call for call in about if not call["packets"] and call["nothing"]]
    return [*sent[:2], *silent[:1]] or about or calls


def shown(call: dict[str, Any]) -> str:
    """Return a call with its host and how often it was made."""
    times = f" ({call['times']} times)" if call["times"] > 1 else ""
    return f"{call['host']} {call['text']}{times}"


def wire(call: dict[str, Any]) -> str:
    """Return what a call put on the wire, or why nothing."""
    if call["packets"]:
        return "<br>".join(_code(text) for text in call["packets"])
    return f"nothing{': ' + _cell(call['nothing']) if call['nothing'] else ''}"


def _entry(entry: Entry) -> Iterator[str]:
    yield ""
    yield f'<a id="{entry.anchor}"></a>'
    yield ""
    yield f"### {_cell(entry.summary)}"
    yield ""
    yield f"[{_cell(entry.name)}]({entry.path})"
    if entry.about:
        yield ""
        yield _cell(" ".join(entry.about.split()))
    yield ""
    yield "```text"
    yield from (_plain(line) for line in entry.ladder)
    yield "```"
    for number, kind in enumerate(entry.kinds):
        if len(entry.kinds) > 1:
            yield ""
            yield (
                f"In {kind.runs} of {sum(each.runs for each in entry.kinds)} runs:"
                if not number
                else f"In {kind.runs}:"
            )
        yield ""
        yield from (f"- {_code(shown(call))}: {wire(call).replace('<br>', ', ')}" for call in kind.calls[:_CALLS])
        if len(kind.calls) > _CALLS:
            yield f"- and {len(kind.calls) - _CALLS} more calls"
        yield from (f"- later, by a timer: {_code(text)}" for text in kind.timers)
    for host, own in entry.sysctls.items():
        if own:
            yield f"- {host}: " + ", ".join(_code(f"{name} = {value}") for name, value in own.items())


def _plain(text: str) -> str:
    """Return a line of a block of code, which it cannot end."""
    return escape(text).replace("```", "'''")


def _code(text: str) -> str:
    return f"`{escape(text).replace('`', chr(39)).replace('|', chr(92) + '|')}`"


def _cell(text: str) -> str:
    plain = escape(text).replace("\\", "\\\\")
    for char in "|<>*_[]`":
        plain = plain.replace(char, f"\\{char}")
    return plain
