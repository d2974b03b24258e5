"""What is told about a run: lines for people, one JSON document for programs.

Text from outside (names, paths, argv, socket words) is data here: it stays on one line, and no
control character of it reaches a terminal. Nothing in this room prints; `commands/` does.
"""
