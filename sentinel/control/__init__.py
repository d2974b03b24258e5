"""Talking to a run: who is live, what can be asked, and the socket that answers.

Everything read here was written by somebody else, be it the same user: it is data, and nothing
that is sent or left in a directory may hold up or end the guard.
"""
