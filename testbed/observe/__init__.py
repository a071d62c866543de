"""Logs of the observers, the actor and the kernel read as values: socket calls, step results, kernel events."""
