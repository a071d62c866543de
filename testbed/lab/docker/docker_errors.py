"""The one place where errors of docker, requests and urllib3 become ours."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests.exceptions
import urllib3.exceptions

from testbed.lab.pinned_sysctls import BadSysctlError
from testbed.model.errors import BothendsError, EngineError

NO_ENGINE_HINT = "start the Docker Engine, or set DOCKER_HOST to one that runs; `invoke doctor` tells more"

_BAD_SYSCTL = re.compile(r"write /proc/sys/(?P<path>\S+): (?P<reason>invalid argument|numerical result out of range)")
"""What runc says of a value that the kernel does not take."""


@contextmanager
def translate(action: str) -> Iterator[None]:
    """Turn foreign errors raised inside into :class:`EngineError` that says ``action`` failed, and why.

    A value that the kernel does not take for a sysctl is :class:`~testbed.lab.pinned_sysctls.BadSysctlError`.

    ``action`` completes "cannot ...", for instance ``"start the client host"``. Our own errors pass unchanged.
    """
    try:
        yield
    except BothendsError:
        raise
    except docker.errors.APIError as error:
        raise _api_error(action, error) from error
    except docker.errors.DockerException as error:
        raise _unreachable(action, error) from error
    except requests.exceptions.RequestException as error:
        raise _unreachable(action, error) from error
    except urllib3.exceptions.HTTPError as error:
        raise _unreachable(action, error) from error
    except OSError as error:
        raise _unreachable(action, error) from error


def _api_error(action: str, error: docker.errors.APIError) -> BothendsError:
    text = str(error.explanation or error)
    refused = _BAD_SYSCTL.search(text)
    if refused:
        return BadSysctlError(refused["path"].replace("/", "."), refused["reason"])
    hint = ""
    if "no space left" in text.lower():
        hint = "free disk space on the engine's machine; `invoke clean --images` removes old images of ours"
    elif "non-overlapping" in text or "pool overlaps" in text.lower():
        hint = "`docker network ls` shows which networks hold the addresses; `invoke clean` removes those of ours"
    elif "port is already allocated" in text or "address already in use" in text:
        hint = "something else holds this address; stop it or choose another port"
    return EngineError(f"cannot {action}: {text.strip()}", state=f"the engine answered {error.status_code}", hint=hint)


def _unreachable(action: str, error: BaseException) -> EngineError:
    reasons = list(_chain(error))
    if any(isinstance(reason, PermissionError) for reason in reasons):
        return EngineError(
            f"cannot {action}: no permission to use the Docker Engine",
            state=_last_words(reasons),
            hint="join the group `docker` and log in again, or run as root",
        )
    if any(isinstance(reason, OSError) and reason.errno == errno.ENOSPC for reason in reasons):
        return EngineError(f"cannot {action}: no space left on this machine", hint="free disk space and try again")
    if any(isinstance(reason, OSError) and reason.errno == errno.EMFILE for reason in reasons):
        return EngineError(
            f"cannot {action}: this process may not open more files", hint="allow more: `ulimit -n 1024`"
        )
    if any(isinstance(reason, FileNotFoundError | ConnectionRefusedError) for reason in reasons):
        return EngineError(
            f"cannot {action}: no Docker Engine answers", state=_last_words(reasons), hint=NO_ENGINE_HINT
        )
    return EngineError(
        f"cannot {action}: the connection to the Docker Engine failed",
        state=_last_words(reasons),
        hint=NO_ENGINE_HINT,
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from; requests keeps its reason in ``args`` rather than ``__cause__``."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        pending += [current.__cause__, current.__context__, getattr(current, "reason", None)]
        pending += [argument for argument in current.args if isinstance(argument, BaseException)]


def _last_words(reasons: list[BaseException]) -> str:
    return str(reasons[-1] if isinstance(reasons[-1], OSError) else reasons[0])
