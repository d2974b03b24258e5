"""Sentinel: run a command under a memory limit that stops it politely."""

__version__ = "0.1.0"
