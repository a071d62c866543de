"""What invoke's own command line lacks: several words for one argument, ``TASK --help``, an exit code for bad use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

from invoke import Argument, Collection, Context, Exit, ParseError, Program
from invoke.parser import ParserContext

from testbed.cli.how_called import in_callers_words
from testbed.cli.report_errors import OURS

_BAD_USE = 2
_HELP = "--help"
_OWN_WORDS = "_own_words"
"""The attribute with the words that a task takes although other tasks have these names."""
Function = TypeVar("Function", bound=Callable[..., Any])


def takes_words(words: Iterable[str]) -> Callable[[Function], Function]:
    """Say which words a task's list takes wherever they stand, although other tasks may have these names.

    For a list of which all words are known: ``bench run report`` are two benchmarks and not a benchmark and a task.
    """
    known = frozenset(words)

    def mark(function: Function) -> Function:
        setattr(function, _OWN_WORDS, known)
        return function

    return mark


def adapt(program: Program) -> None:
    """Let one program take several words for a list argument and ``--help`` after a task; exit code 2 on bad use.

    Invoke's own exit code for that is 1, which says here that a scenario failed. testbed/tasks calls this as invoke
    loads it, before the tasks' words are parsed. Only this program is changed, no class of invoke's, and only for tasks
    of ours (:func:`testbed.cli.report_errors.report_errors`): in somebody's tasks.py the others stay as they are.
    """

    def parse_tasks() -> None:
        given = program.core.unparsed
        named = {word for word in given if word in _names(program.collection)} or _names(program.collection)
        ours = all(_is_ours(program.collection[name]) for name in named)
        if program.args.complete.value:
            _offer_scenarios(program)
        try:
            _speak_as(program, named)
            words = spell_out(given, program.collection, _is_ours)
            if words[:1] == [_HELP]:
                program.core[0].args["help"].value = words.pop()
                words.clear()
            program.core.unparsed = words
            Program.parse_tasks(program)
        except ParseError as error:
            if not ours:
                raise
            raise Exit(f"{error}\n{_hint(program)}", code=_BAD_USE) from error

    program.parse_tasks = parse_tasks  # type: ignore[method-assign]


def words_behind(context: Context) -> list[str]:
    """Return the words behind ``--``; invoke gives them joined by blanks, with which those within a word are lost."""
    return sys.argv[sys.argv.index("--") + 1 :] if context.remainder and "--" in sys.argv else []


def spell_out(words: Sequence[str], tasks: Collection, adapts: Callable[[Any], bool] = lambda _: True) -> list[str]:
    """Return ``run --scenarios A --scenarios B`` for ``run A B``: what invoke's parser (up to 3.0) understands.

    It refuses a second positional word. So each word that is no option, no option's value and no task's name becomes
    one of the positional list argument, if its task has one. Taken even if a task has its name are the first such word,
    ``run show``, and those that the task says it takes (:func:`takes_words`). ``--help`` (or ``-h``) after a task asks
    for that task's help, as ``--help TASK`` does; invoke takes it for the task's argument. A task that ``adapts`` does
    not name is left to invoke. Raises ParseError where a number is wanted and something else is given, for which invoke
    ends with a traceback.
    """
    names = _names(tasks)
    spelled: list[str] = []
    context = ParserContext()
    taker: Argument | None = None
    awaits: str = ""
    own: frozenset[str] = frozenset()
    taken = False
    current = ""
    ours = True
    for word in words:
        if awaits:
            _check_value(context, awaits, word)
            awaits = ""
        elif current and ours and word in {_HELP, "-h"} and word not in context.flags:
            return [_HELP, current]
        elif word.startswith("-") and word != "-":  # which is standard input
            name, equals, value = word.partition("=")
            takes_value = name in context.flags and context.flags[name].takes_value  # they know their short names too
            if takes_value and equals:
                _check_value(context, name, value)
            awaits = word if takes_value and not equals else ""
        elif word in names and (taker is None or (taken and word not in own)):
            current = word
            task = copy(tasks[word])
            ours = adapts(task)
            task.help = dict(task.help)  # asking for the arguments takes their help out of it
            context = ParserContext(args=task.get_arguments())
            lists = (argument for argument in context.positional_args if argument.kind is list)
            taker = next(lists, None) if ours else None
            own = getattr(task.body, _OWN_WORDS, frozenset())
            taken = False
        elif taker is not None:
            spelled.append(f"--{taker.name}")
            taken = True
        spelled.append(word)
    return spelled


def _hint(program: Program) -> str:
    if program.namespace is not None:  # `--list` is for programs that look for their tasks
        return f"to do: `{program.binary} --help` shows the commands, `{program.binary} --help COMMAND` its options"
    return "to do: `invoke --list` shows the tasks, `invoke --help TASK` a task's options"


def _speak_as(program: Program, named: set[str]) -> None:
    """Let messages and help name our tasks as they were called: ``bothends run``, ``inv wire.run``."""
    tasks = {name: program.collection[name] for name in _names(program.collection)}
    our_tasks = {name: task for name, task in tasks.items() if _is_ours(task)}
    called = next((name for name in named if name in our_tasks), "")
    prefix = called.rpartition(".")[0]
    typed = Path(sys.argv[0]).name  # `python -m invoke` is __main__.py
    begin = program.binary if program.namespace is not None else "inv" if typed == "inv" else "invoke"
    in_callers_words.called_as(
        f"{begin} {prefix}." if prefix else f"{begin} ", {name.split(".")[-1] for name in our_tasks}
    )
    for task in our_tasks.values():
        task.__doc__ = in_callers_words(task.__doc__ or "")
        task.help = {name: in_callers_words(text) for name, text in task.help.items()}


def _offer_scenarios(program: Program) -> None:
    """Print the scenarios that may come next on a command line that is being typed, if it is one of ours; then end."""
    from testbed.cli.completion import names_to_offer

    tasks = {name: program.collection[name] for name in _names(program.collection)}
    ours = {name: task for name, task in tasks.items() if _is_ours(task)}
    if offered := names_to_offer(program.core.remainder, ours):
        sys.stdout.write("".join(f"{name}\n" for name in offered))
        raise Exit


def _names(tasks: Collection) -> set[str]:
    return {name for primary, aliases in tasks.task_names.items() for name in (primary, *aliases)}


def _is_ours(task: Any) -> bool:  # noqa: ANN401 - a Task; invoke declares its body as any
    return getattr(task.body, OURS, False) is True


def _check_value(context: ParserContext, option: str, value: str) -> None:
    if context.flags[option].kind is not int:
        return
    try:
        int(value)
    except ValueError:
        raise ParseError(f"{option} takes a whole number, not `{value}`", context) from None
