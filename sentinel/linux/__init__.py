"""HANDS: typed thin wrappers of system calls. The only room with clocks, signals and forks."""
