"""Runs inside gdb: stops a program before and after each of its socket calls, says what it sees, waits for a word.

gdb is attached to the program already (``gdb -p PID -x held.py``). Every line on standard output is one JSON object:

``{"event": "attached"}``
``{"event": "enter", "id", "time", "pid", "tid", "program", "name", "arguments", "frames", ...}`` before it is made
``{"event": "released", "id", "time"}`` as it is given to the kernel
``{"event": "return", "id", "time", "result", ...}`` after it
``{"event": "error", "what"}``

After ``enter`` and ``return`` all threads stand still until a line comes on standard input. Everything else that gdb
prints goes to standard error. System calls are caught, not functions: so static programs and stripped ones work.
"""

import itertools
import json
import os
import sys
import time

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import held_memory

out = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
open_calls = {}
ids = itertools.count(1)


def say(**event):
    out.write(json.dumps(event) + "\n")
    out.flush()


def wait_word():
    if not sys.stdin.readline():
        gdb.execute("kill", to_string=True)
        gdb.execute("quit 1")


def frames():
    """The innermost first: function, source line and where (module and return address) of each."""
    found = []
    frame = gdb.newest_frame()
    while frame is not None and len(found) < 24:
        try:
            table = frame.find_sal()
            line = [table.symtab.filename, table.line] if table.symtab is not None and table.line else None
            found.append(
                {"function": frame.name(), "line": line, "pc": frame.pc(), "module": gdb.solib_name(frame.pc())}
            )
            frame = frame.older()
        except gdb.error:
            break
    return found


def stopped():
    """Look at the thread that stopped: at a system call (before or after it), or for another reason."""
    thread = gdb.selected_thread()
    pid, tid, _ = thread.ptid
    tid = tid or pid
    name = held_memory.NAMES.get(held_memory.number())
    if name is None:
        return
    number, begun, arguments = open_calls.pop(tid, (None, "", []))
    if begun == name:
        if number is not None:
            returned(number, name, arguments, pid)
        return
    if name in held_memory.FORKS and held_memory.result() == 0:
        return  # the child's return of a call that its parent began
    arguments = held_memory.arguments()
    if not held_memory.is_of_interest(name, pid, arguments):
        open_calls[tid] = (None, name, arguments)
        return
    number = next(ids)
    open_calls[tid] = (number, name, arguments)
    program = os.path.basename(os.readlink("/proc/%d/exe" % pid))
    event = {"event": "enter", "id": number, "time": time.time_ns(), "pid": pid, "tid": tid, "program": program}
    event.update(name=name, arguments=arguments, frames=frames())
    event.update(held_memory.before(name, arguments, pid))
    say(**event)
    wait_word()
    say(event="released", id=number, time=time.time_ns())


def returned(number, name, arguments, pid):
    result = held_memory.result()
    event = {"event": "return", "id": number, "time": time.time_ns(), "result": result}
    event.update(held_memory.after(name, arguments, result, pid))
    say(**event)
    wait_word()


def main():
    if not gdb.selected_inferior().pid:
        return  # gdb has said why it could not attach; its end tells the runner
    for command in (
        "set pagination off",
        "set confirm off",
        "set auto-load no",
        "set libthread-db-search-path /nonexistent",
        "set debuginfod enabled off",
        "set print thread-events off",
        "set print inferior-events off",
        "set follow-fork-mode parent",  # catchpoints of system calls do not reach a child; the runner says that
        "set detach-on-fork on",
        "set follow-exec-mode same",
        "handle all nostop noprint pass",
    ):
        gdb.execute(command, to_string=True)
    for name in held_memory.CAUGHT:
        try:
            gdb.execute("catch syscall " + name, to_string=True)
        except gdb.error:
            continue  # not on this architecture
    say(event="attached")
    while any(inferior.pid for inferior in gdb.inferiors()):
        gdb.execute("continue", to_string=True)
        if not any(inferior.pid for inferior in gdb.inferiors()):
            break
        if gdb.selected_thread() is None:
            alive = next(inferior for inferior in gdb.inferiors() if inferior.pid)
            gdb.execute("inferior %d" % alive.num, to_string=True)
            continue
        stopped()


try:
    main()
except Exception as error:  # whatever it is, the runner must be told
    say(event="error", what="%s: %s" % (type(error).__name__, error))
    raise
