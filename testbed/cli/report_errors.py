"""How tasks are called: several words for one argument, exit codes, errors as people read them."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from invoke import Exit, ParseError, Program
from invoke.parser.parser import ParseMachine

from testbed.cli.encoding import never_fail
from testbed.model.errors import BothendsError

OWN = ("testbed", "tasks", "tests")
SET_UP = "to do: `.venv/bin/pip install --require-hashes -r requirements.txt` (to develop: requirements-dev.txt)"


def _take_words(machine: ParseMachine, token: str) -> None:
    """Let a positional list argument take every word that is no flag, flag's value or task: `invoke run A B C`.

    Invoke's parser (up to 3.0) knows only positional arguments of one word and refuses the second. The first word is
    taken even if a task has that name: `invoke bench report`.
    """
    context = machine.context
    words = next((argument for argument in context.positional_args if argument.kind is list), None) if context else None
    other_task = words is not None and words.got_value and token in machine.contexts
    if words is None or token.startswith("-") or machine.waiting_for_flag_value or other_task:
        _invokes_own_handle(machine, token)
    else:
        words.value = token


_invokes_own_handle = ParseMachine.handle
ParseMachine.handle = _take_words  # type: ignore[method-assign, assignment]


def _parse_or_bad_use(program: Program) -> None:
    """End with exit code 2, bad use, where invoke's own would be 1: to us a 1 says that a scenario failed."""
    try:
        _invokes_own_parse(program)
    except ParseError as error:
        to_do = "to do: `invoke --list` shows the tasks, `invoke --help TASK` a task's options"
        raise Exit(f"{error}\n{to_do}", code=2) from error


_invokes_own_parse = Program.parse_tasks
Program.parse_tasks = _parse_or_bad_use  # type: ignore[method-assign, assignment]


def told(function: Callable[..., int]) -> Callable[..., None]:
    """Print our errors as people read them, and end with the right exit code."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - invoke passes whatever the task declares
        never_fail(sys.stdout, sys.stderr)
        try:
            code = function(*args, **kwargs)
            sys.stdout.flush()
        except BothendsError as error:
            sys.stdout.flush()
            sys.stderr.write(f"{error}\n")
            code = error.exit_code
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] in OWN:
                raise
            sys.stderr.write(f"the Python package that holds `{missing.name}` is not installed\n{SET_UP}\n")
            code = 3
        except BrokenPipeError:  # who read our output went away, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 128 + signal.SIGPIPE
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            code = 3
        gc.freeze()  # the process ends here: the interpreter need not look through all that it has loaded once more
        if code:
            raise Exit(code=code)

    return call
