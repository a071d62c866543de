"""The documents: README's size and its two lines, every link, every command, and that the catalogue page is current."""

from __future__ import annotations

import re
import shlex
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from invoke import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser

from testbed.cli.invoke_words import spell_out
from testbed.reference.catalogue_page import CATALOGUE_PAGE, catalogue_text
from testbed.reference.reference_page import anchor
from testbed.scenario.catalogue import all_scenarios

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
LARGEST = 12_288
"""Bytes of README.md."""
DOCUMENTS = [
    README,
    ROOT / "README.zh.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "compose" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|(?<=[\s|;&/$(]))(?:(?:invoke|bothends) |inv wire\.)(?=[a-z])")


def fences(path: Path) -> list[tuple[str, str]]:
    return FENCE.findall(path.read_text(encoding="utf-8"))


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def commands(path: Path) -> list[str]:
    """Return what follows `invoke` in each command of a document, in code spans and in blocks of commands."""
    spans = re.findall(r"`([^`]+)`", prose(path).replace("\n", " "))
    lines = [
        line
        for language, body in fences(path)
        if language in ("", "sh", "console", "yaml")
        for line in body.splitlines()
    ]
    found = []
    for text in (*spans, *lines):
        for match in COMMAND.finditer(text):
            rest = text[match.end() :].partition("  #")[0]
            command = re.split(r"\s[|>;&]|[;]", rest)[0].strip()
            found.append(command.rstrip("\\"))  # before a backtick that is text (the Atlas)
    return found


@cache
def collection() -> Collection:
    sys.path.insert(0, str(ROOT))
    try:
        import tasks
    finally:
        sys.path.remove(str(ROOT))
    return tasks.ns


def parser() -> Parser:
    return Parser(contexts=collection().to_contexts(), ignore_unknown=False)


def task_names() -> set[str]:
    return set(parser().contexts)


def refused(command: str) -> str:
    """Return why invoke would not parse a command; empty if it would. A task's name alone is a mention, not a use."""
    words = shlex.split(command)
    if len(words) == 1:
        return "" if words[0] in task_names() else f"no task {words[0]}"
    try:
        parser().parse_argv(spell_out(words, collection()))
    except ParseError as error:
        return str(error)
    return ""


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= LARGEST


def links_of(path: Path) -> list[str]:
    """Return the relative links of a page."""
    text = prose(path)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    return [link for link in links if not re.match(r"[a-z]+:", link)]


def leads_somewhere(path: Path, link: str) -> bool:
    """Say whether a page's link leads to a file and, if it names one, to a heading in it."""
    file, _, heading = link.partition("#")
    target = (path.parent / file) if file else path
    if not target.exists():
        return False
    if not heading or target.suffix != ".md":
        return True
    headings = [anchor(line.lstrip("#")) for line in prose(target).splitlines() if line.startswith("#")]
    return heading in (*headings, *re.findall(r'<a id="([^"]+)"', prose(target)))


@pytest.mark.parametrize("name", [*NAMES, "CHANGELOG.md"])
def test_every_relative_link_leads_to_a_file_and_to_a_heading_in_it(name: str) -> None:
    assert [link for link in links_of(ROOT / name) if not leads_somewhere(ROOT / name, link)] == []


def test_links_are_found_and_a_wrong_one_is_noticed() -> None:
    assert len(links_of(README)) > 10
    assert not leads_somewhere(README, "docs/no-such-page.md")
    assert not leads_somewhere(README, "docs/words.md#no-such-heading")


def test_a_missing_heading_and_a_wrong_command_would_be_found() -> None:
    assert refused("run echo --no-such-option")
    assert refused("no-such-task")
    assert refused("diff one two three")
    assert not refused("run echo --repeat 2")


@pytest.mark.parametrize("name", NAMES)
def test_every_invoke_command_exists_with_its_options(name: str) -> None:
    wrong = {command: why for command in commands(ROOT / name) if (why := refused(command))}
    assert wrong == {}


def test_commands_are_found_in_the_documents() -> None:
    """So that the test above is about something."""
    assert {"run connect-send-close", "test"} <= set(commands(README))
    assert sum(len(commands(path)) for path in DOCUMENTS) > 80


def test_every_command_is_in_the_list_of_commands() -> None:
    listed = {command.split()[0] for command in commands(ROOT / "docs" / "commands.md")}
    assert listed == task_names()


def test_every_option_of_run_is_in_the_list_of_options() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    run = parser().contexts["run"]
    flags = {flag for flag in run.flags if flag.startswith("--") and flag != "--scenarios"}
    assert flags
    assert {flag for flag in flags if f"{flag}" not in text} == set()


def test_the_two_lines_of_the_readme_do_what_ci_does() -> None:
    first, second = (body.strip().split(" && ") for language, body in fences(README) if language == "sh")
    for steps, requirements in ((first, "requirements.txt"), (second, "requirements-dev.txt")):
        assert steps[0] == "python3 -m venv .venv"
        assert steps[1] == f".venv/bin/pip install -q --require-hashes -r {requirements}"
        assert (ROOT / requirements).is_file()
        assert steps[2].startswith(".venv/bin/invoke ")
    assert (len(first), len(second)) == (3, 4)
    assert (
        second[2] == ".venv/bin/invoke setup"
    )  # in CI the same list comes first: tests/unit/dev/test_machine_setup.py
    assert first[2].split()[1] == "run"
    assert (ROOT / f"scenarios/{first[2].split()[2]}.yaml").is_file()
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements-dev.txt" in ci
    assert f'"$venv/bin/invoke" {second[3].split()[1]}' in ci


def test_the_readme_shows_its_scenario_as_it_is() -> None:
    """The YAML is the end of the file, its summary is in the output, and the number of scenarios is right."""
    (shown,) = (body for language, body in fences(README) if language == "yaml")
    (output,) = (body for language, body in fences(README) if not language)
    name = output.split()[3].rstrip(":")
    text = (ROOT / f"scenarios/{name}.yaml").read_text(encoding="utf-8")
    assert text.endswith(shown)
    assert f"{name}: PASS  {yaml.safe_load(text)['summary']}\n" in output
    assert f" {len(all_scenarios(ROOT))} scenarios " in README.read_text(encoding="utf-8").replace("\n", " ")


def test_the_committed_catalogue_is_the_generated_one() -> None:
    """If not: python -m testbed.reference."""
    text = CATALOGUE_PAGE.read_text(encoding="utf-8")
    assert text == catalogue_text()
    assert text.count("(../scenarios/") == len(all_scenarios(ROOT)) > 0
