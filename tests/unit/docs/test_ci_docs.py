"""docs/ci.md: its examples are valid for the services, and every command and option in them exists."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from invoke.parser import Parser

from testbed.cli.invoke_words import spell_out

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
STARTER = ROOT / "testbed/shipped/starter"
GITHUB = [body for _, body in BLOCKS if ".github/workflows" in body]
GITLAB = [body for _, body in BLOCKS if ".gitlab-ci" in body]
ACTION = (ROOT / "action.yml").read_text(encoding="utf-8")
COMPONENT = (ROOT / "templates/bothends.yml").read_text(encoding="utf-8")
EXAMPLES = [
    *(("github-workflows", text) for text in (*GITHUB, (STARTER / "github.yaml").read_text(encoding="utf-8"))),
    *(("gitlab-ci", text) for text in (*GITLAB, (STARTER / "gitlab.yaml").read_text(encoding="utf-8"))),
    ("github-actions", ACTION),
    ("gitlab-ci", COMPONENT.partition("\n---\n")[2].replace("$[[ inputs.", "x").replace(" ]]", "")),
]


class _Loader(yaml.SafeLoader):
    """YAML 1.2 as the services read it: `on` is a word, not true."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def schema(name: str) -> Any:
    """The service's own schema, as the check-jsonschema package ships it."""
    path = resources.files("check_jsonschema").joinpath("builtin_schemas", "vendor", f"{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))


def commands() -> list[str]:
    lines = [line for _, body in BLOCKS for line in body.splitlines() if "invoke " in line]
    return [line[line.index("invoke ") :].split(" >")[0].partition(";")[0] for line in lines]


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_an_example_is_valid_for_its_service(name: str, text: str) -> None:
    example = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    jsonschema.Draft7Validator(schema(name)).validate(example)


def test_a_wrong_example_is_refused() -> None:
    example = yaml.load(GITHUB[0], _Loader)  # noqa: S506 - a SafeLoader
    example["jobs"]["wire"]["step"] = example["jobs"]["wire"].pop("steps")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema("github-workflows")).validate(example)


def test_another_repository_needs_six_lines_on_github() -> None:
    lines = [line for line in GITHUB[0].splitlines() if line and not line.startswith("#")]
    assert (len(lines), "OWNER/bothends@" in lines[-1]) == (5, True)
    assert TEXT.index("OWNER/bothends@") < 500


def test_the_scripts_of_the_action_are_correct_for_bash() -> None:
    steps = yaml.load(ACTION, _Loader)["runs"]["steps"]  # noqa: S506 - a SafeLoader
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) >= 5
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script


def test_the_component_says_its_inputs_and_uses_each() -> None:
    spec = yaml.load(COMPONENT.partition("\n---\n")[0], _Loader)  # noqa: S506 - a SafeLoader
    inputs = spec["spec"]["inputs"]
    assert set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", COMPONENT)) == set(inputs)
    assert all("default" in each for each in inputs.values())


def test_every_command_in_the_text_can_be_parsed_and_names_scenarios_that_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    sys.modules.pop("tasks", None)
    import tasks

    collection = tasks.ns
    parser = Parser(contexts=collection.to_contexts())
    assert len(commands()) >= 5
    for command in commands():
        words = spell_out(shlex.split(command)[1:], collection)
        (parsed,) = [context for context in parser.parse_argv(words) if context.name]
        for scenario in parsed.args["scenarios"].value if "scenarios" in parsed.args else ():
            assert (ROOT / f"scenarios/{scenario}.yaml").exists()


def test_every_report_option_of_run_is_in_the_text() -> None:
    for option in ("--junit", "--tap", "--markdown", "--report", "--json"):
        assert f"`{option}" in TEXT
