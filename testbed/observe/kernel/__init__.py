"""The kernel's tracepoints as events: recordings, formats, ``kernel.jsonl``."""
