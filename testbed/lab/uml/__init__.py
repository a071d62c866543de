"""The engine with a kernel of its own: User-Mode Linux, an ordinary program, whose clock can jump over idle time."""
