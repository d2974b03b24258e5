"""Tiny programs to guard, leak and kill; `build.victim()` is where the C ones are."""
