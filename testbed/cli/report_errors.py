"""How a task ends: its exit code, and errors as people read them."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from invoke import Exit

from testbed.cli.encoding import never_fail
from testbed.cli.how_called import in_callers_words
from testbed.cli.scarce_machine import FEWER, HINTS, what_is_scarce

OURS = "_is_of_bothends"
"""The attribute that marks a task of ours."""
OWN = ("testbed", "tasks", "tests")
INFRASTRUCTURE = 3
KEPT = "the run directory, if there is one, keeps what had been recorded until then"
SET_UP = "to do: `.venv/bin/pip install --require-hashes -r requirements.txt` (to develop: requirements-dev.txt)"


def report_errors(function: Callable[..., int]) -> Callable[..., None]:
    """Print our errors as people read them, and end with the right exit code."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - invoke passes whatever the task declares
        from testbed.model.errors import BothendsError  # not for `invoke --list`, which calls nothing

        never_fail(sys.stdout, sys.stderr)
        try:
            code = function(*args, **kwargs)
            sys.stdout.flush()
        except BothendsError as error:
            sys.stdout.flush()
            sys.stderr.write(in_callers_words(f"{error}\n"))
            code = error.exit_code
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] in OWN:
                code = _tell_of(missing)
            else:
                sys.stderr.write(f"the Python package that holds `{missing.name}` is not installed\n{SET_UP}\n")
                code = INFRASTRUCTURE
        except BrokenPipeError:  # who read our output went away, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 128 + signal.SIGPIPE
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            code = INFRASTRUCTURE
        except Exit:  # a task's own end
            raise
        except Exception as bug:  # noqa: BLE001 - whatever it is, it is no expectation that failed
            code = _tell_of(bug)
        gc.freeze()  # the process ends here: the interpreter need not look through all that it has loaded once more
        if code:
            raise Exit(code=code)

    setattr(call, OURS, True)
    return call


def _tell_of(bug: Exception) -> int:
    """Say that Bothends itself is at fault, with the traceback, or what it got too little of; return the exit code."""
    sys.stdout.flush()
    if scarce := what_is_scarce(bug):
        sys.stderr.write(f"{scarce}: {_first_line(bug)}\nstate: {KEPT}\n")
        sys.stderr.write(f"to do: {HINTS.get(scarce, FEWER)}\n")
        return INFRASTRUCTURE
    import traceback  # never needed otherwise; nor is it imported where memory is scarce

    sys.stderr.write("".join(traceback.format_exception(bug)))
    sys.stderr.write(f"an error in Bothends itself, not in what it ran: {_first_line(bug)}\n")
    sys.stderr.write(f"state: {KEPT}\n")
    sys.stderr.write(in_callers_words("to do: report it with the lines above, and with `invoke doctor`'s output\n"))
    return INFRASTRUCTURE


def _first_line(bug: Exception) -> str:
    said = str(bug).strip() or "no more is known"
    return f"{type(bug).__name__}: {said}".splitlines()[0].rstrip()
