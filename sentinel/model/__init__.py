"""WORDS: the frozen types that every room speaks. Imports nothing of ours outside this room.

Value types are `NamedTuple`s: immutable, typed, and several times cheaper to
create at import than dataclasses, which the launch path would feel.
"""
