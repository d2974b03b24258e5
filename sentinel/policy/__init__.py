"""BRAIN: what to do, as pure functions and tables. No files, no clock, no signals in here."""
