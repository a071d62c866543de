"""The kernel's tracepoints of system calls as calls, of any program."""
