"""`sentinel exec` with its words read by click, as every word but a well-formed one is.

    python click_path.py CMD [ARG...]

The entry point reads a well-formed command line itself (sentinel/commands/words.py); this is
what a launch would cost if it did not.
"""

from __future__ import annotations

import os
import sys

from sentinel.commands.group import run
from sentinel.commands.main import VERBS

if __name__ == "__main__":
    os._exit(run(["exec", "--", *sys.argv[1:]], VERBS))
