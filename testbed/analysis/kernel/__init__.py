"""A kernel's trace: its events matched with packets and calls, and whether they agree with each cause. Pure."""
