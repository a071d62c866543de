"""Foreign errors become ours at one seam, with what to do."""

from __future__ import annotations

import errno

import docker.errors
import pytest
import requests
import urllib3.exceptions

from testbed.lab.docker.docker_errors import translate
from testbed.lab.pinned_sysctls import BadSysctlError
from testbed.model.errors import EngineError, ImageError


def _wrapped(reason: OSError) -> requests.exceptions.ConnectionError:
    """As requests wraps what urllib3 wrapped."""
    return requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", reason))


def _api(status: int, text: str) -> docker.errors.APIError:
    response = requests.Response()
    response.status_code = status
    return docker.errors.APIError("failed", response=response, explanation=text)


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (_wrapped(FileNotFoundError(2, "No such file")), "no Docker Engine answers", "DOCKER_HOST"),
        (_wrapped(ConnectionRefusedError(111, "refused")), "no Docker Engine answers", "start the Docker Engine"),
        (_wrapped(PermissionError(13, "denied")), "no permission", "group `docker`"),
        (_wrapped(ConnectionResetError(104, "reset")), "the connection to the Docker Engine failed", "doctor"),
        (requests.exceptions.ReadTimeout("slow"), "the connection to the Docker Engine failed", "doctor"),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on this machine", "free disk space"),
        (_api(500, "write /x: no space left on device"), "no space left on device", "invoke clean --images"),
        (_api(403, "Pool overlaps with other one on this address space"), "Pool overlaps", "invoke clean"),
        (_api(500, "driver failed: port is already allocated"), "already allocated", "another port"),
        (_api(404, "No such container: x"), "No such container", ""),
    ],
)
def test_translation(error: Exception, what: str, hint: str) -> None:
    with pytest.raises(EngineError) as told, translate("start the lab"):
        raise error
    assert told.value.what.startswith("cannot start the lab: ")
    assert what in told.value.what
    assert hint in told.value.hint
    assert told.value.__cause__ is error
    assert told.value.exit_code == 3


@pytest.mark.parametrize("said", ["invalid argument", "numerical result out of range"])
def test_a_value_that_the_kernel_does_not_take_is_the_scenarios(said: str) -> None:
    """runc's words, as Docker 20.10 passes them on."""
    text = f"error during container init: write /proc/sys/net/ipv4/tcp_syn_retries: {said}: unknown"
    with pytest.raises(BadSysctlError, match=f"`net.ipv4.tcp_syn_retries`: {said}") as told, translate("start"):
        raise _api(500, text)
    assert told.value.name == "net.ipv4.tcp_syn_retries"
    assert told.value.exit_code == 2


def test_our_own_errors_pass_unchanged() -> None:
    with pytest.raises(ImageError, match="as it was"), translate("build"):
        raise ImageError("as it was")


def test_a_bug_is_not_hidden() -> None:
    """What is no error of docker's or the OS's stays what it is."""
    with pytest.raises(KeyError), translate("build"):
        raise KeyError("bug")
