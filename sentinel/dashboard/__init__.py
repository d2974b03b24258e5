"""Seeing runs: what their sockets tell becomes a picture; keys become requests to them.

A dashboard is a client like any other: it may crash, hang or be killed, and no run notices.
What a run tells is data of somebody else's: it is checked, escaped, and never markup.
"""
