"""The parts of the reference that are made from the models: a table of keys for each, and lists of names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from testbed.model import CAUSES, CallRef, PacketRef
from testbed.model.absences import NoPacket, NoPacketReason, Reset
from testbed.model.findings import FINDINGS
from testbed.reference.type_words import MODELS, cell, default_in_words, reference_words, type_in_words
from testbed.report.evidence_text import sentence
from testbed.report.no_packet_text import SENTENCES, no_packet
from testbed.scenario import scenario
from testbed.scenario.expect import all_expectations, packet_patterns
from testbed.scenario.language.base import Short
from testbed.scenario.link import faults, impairments, link_model
from testbed.scenario.schema import field_docs
from testbed.scenario.steps.all_steps import FAMILIES
from testbed.scenario.steps.step import STEPS, Step

BESIDE_STEPS = ("error", "on")
BESIDE_EXPECTATIONS = ("when", "share")
SECTIONS: dict[type, str] = {
    scenario.ScenarioFile: "the-file",
    scenario.Server: "hosts",
    scenario.Client: "hosts",
    scenario.Ready: "ready",
    scenario.Route: "route",
    scenario.Observe: "observe",
    Step: "steps",
    all_expectations.WrittenExpectation: "expectations",
    all_expectations.Conditions: "conditions",
    faults.FaultItem: "exact-faults",
    link_model.LinkSpec: "the-link",
    impairments.Impairments: "impairments",
    impairments.ImpairmentChange: "impairments",
    impairments.Reorder: "reorder",
    impairments.Mtu: "mtu",
    impairments.Down: "down",
    packet_patterns.Pattern: "which-packets",
    packet_patterns.TcpOptions: "tcp-options",
    packet_patterns.Moment: "moments",
    packet_patterns.Answered: "answered-packets",
}
"""Models with a section of their own, and groups of models, and its anchor."""


def keys(of: type[BaseModel], *, leave_out: Iterable[str] = ()) -> str:
    """Return a table of a model's keys: value, default, meaning."""
    docs = field_docs(of)
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, info in of.model_fields.items():
        if name not in leave_out:
            value = type_in_words(info.annotation, tuple(info.metadata), SECTIONS)
            rows.append(f"| `{info.alias or name}` | {value} | {default_in_words(info)} | {cell(docs[name])} |")
    return "\n".join(rows)


def short_form(of: type[BaseModel]) -> str:
    """Return how a mapping may be written short, in a sentence."""
    if not issubclass(of, Short):
        return ""
    if of.empty and not of.short:
        return "Nothing, or a mapping:"
    if of.short:
        key = of.model_fields[of.short].alias or of.short
        return f"{'Nothing, `' if of.empty else '`'}{key}` alone, or a mapping:"
    return "Text, or a mapping:"


def example(name: str) -> str:
    """Return an example as a block of code, empty where there is none."""
    text = reference_words()["examples"].get(name)
    return f"```yaml\n{text}```" if text else ""


def step_groups() -> Iterator[tuple[str, list[str]]]:
    """Yield the steps in groups: title and names."""
    for title, module in FAMILIES.items():
        yield title, [key for key, model in STEPS.items() if model.__module__ == module.__name__]


def step(name: str) -> str:
    """Return a step's section without its heading."""
    return _item(STEPS[name], name, name, BESIDE_STEPS)


def expectation(name: str) -> str:
    """Return the section of a kind of expectation without its heading."""
    own = f"{name}-expectation"
    return _item(
        all_expectations.EXPECTATIONS[name],
        name,
        own if own in reference_words()["examples"] else name,
        BESIDE_EXPECTATIONS,
    )


def fault(name: str) -> str:
    """Return the section of an exact fault without its heading: what it has beyond what all have."""
    of = faults.FAULT_ITEMS[name]
    own = of.model_fields[name].annotation
    assert isinstance(own, type)  # noqa: S101 - one model for each fault
    assert issubclass(own, BaseModel)  # noqa: S101
    inherited = [key for key in faults.Fault.model_fields if key not in own.__annotations__]
    table = "" if own.model_fields.keys() == set(inherited) else keys(own, leave_out=inherited)
    inner = []
    for key in own.__annotations__:
        mapping = _mapping_in(own, key)
        if mapping is not None and mapping not in {*SECTIONS, *MODELS}:
            inner += [f"The mapping of `{key}`:", keys(mapping)]
    return "\n\n".join(filter(None, (" ".join((own.__doc__ or "").split()), example(name), table, *inner)))


def _item(of: type[BaseModel], name: str, example_name: str, beside: tuple[str, ...]) -> str:
    """Return what an item of a list means, an example, its keys, and those of the mapping that its own key takes."""
    doc = cell(" ".join((of.__doc__ or "").split()))
    parts = [doc, example(example_name), keys(of, leave_out=beside)]
    also = [f"`{key}`" for key in beside if key in of.model_fields]
    if beside == BESIDE_STEPS and also:
        parts.append(f"Beside it: {' and '.join(sorted(also, reverse=True))}.")
    inner = _mapping_in(of, name)
    if inner is not None and inner is not packet_patterns.Pattern and issubclass(inner, packet_patterns.Pattern):
        parts += ["Text or a mapping as in [which packets](#which-packets); the mapping may also hold:"]
        parts += [keys(inner, leave_out=packet_patterns.Pattern.model_fields)]
    elif inner is not None and inner not in {*SECTIONS, *MODELS} and inner.model_fields:
        parts += [short_form(inner) or f"The mapping of `{name}`:", keys(inner)]
    return "\n\n".join(filter(None, parts))


def _mapping_in(of: type[BaseModel], name: str) -> type[BaseModel] | None:
    from testbed.scenario.explain import inner_model

    return inner_model(of.model_fields[name].annotation)


def kinds_of_values() -> str:
    """Return the table of the kinds of values."""
    rows = ["| kind | how it is written | for instance |", "|---|---|---|"]
    for described in reference_words()["kinds"].values():
        if described["written"]:
            examples = ", ".join(f"`{each}`" for each in described["examples"])
            rows.append(f"| {described['word']} | {cell(described['written'])} | {examples} |")
    return "\n".join(rows)


def listed(words: Iterable[str]) -> str:
    """Return names in one paragraph."""
    return ", ".join(f"`{word}`" for word in words)


def findings() -> str:
    """Return the table of findings."""
    rows = ["| finding | severity | what is wrong | reference |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {row.severity} | {row.meaning} | {row.reference} |" for name, row in FINDINGS.items()]
    return "\n".join(rows)


def causes() -> str:
    """Return the table of causes."""
    rows = ["| cause | kind | the packet | source |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {row.kind} | {row.meaning} | {row.source} |" for name, row in CAUSES.items()]
    return "\n".join(rows)


def no_packet_reasons() -> str:
    """Return the table of reasons for which a call caused no packet, each with an example of its sentence."""
    rows = ["| reason | as a run says it |", "|---|---|"]
    for reason in NoPacketReason:
        reset = Reset(PacketRef(7), "server") if reason is NoPacketReason.RESET_BEFORE else None
        errno = "ECONNREFUSED" if "{errno}" in SENTENCES[reason] else ""
        example = NoPacket(reason, CallRef("client", 2, "send"), PacketRef(3), errno, reset)
        rows.append(f"| `{reason}` | {cell(sentence(no_packet(example)))} |")
    return "\n".join(rows)
