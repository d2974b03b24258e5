"""The documentation says what is: its pictures, names, links and commands."""
