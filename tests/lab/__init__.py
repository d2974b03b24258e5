"""A real cgroup v2 kernel for the tests, booted on this machine's own root file system.

Everything here runs on the host, with the standard library alone. Nothing of Sentinel is
imported: the lab must be able to say that Sentinel is broken.
"""

import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The top of the checkout."""

STATE = os.path.join(ROOT, ".lab")
"""Where kernels are kept, runs leave their files while they last, and reports are written."""


class LabError(Exception):
    """The lab itself cannot do its work: one line that ends with what to do about it."""
