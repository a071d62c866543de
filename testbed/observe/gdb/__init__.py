"""What gdb reported of the calls that it held, as calls."""
