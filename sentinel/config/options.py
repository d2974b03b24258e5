"""What `sentinel exec` can be asked for.

One table for the command line, the environment and the configuration files.
"""

from typing import NamedTuple

SIZE = (str, int)
TIME = (str, int, float)
SIGNAL = (str, int)
WORD = (str,)
NUMBER = (int, float)
PER_RUN = ()
"""TOML types that a setting may have in a file; what is about one run alone has none."""


class Option(NamedTuple):
    """`--name METAVAR`; without a metavar a flag. `types` are those of its TOML value.

    `alone`: what the option means without a value, which then can only follow a `=`. `setting`:
    what it is called in the environment, where that is not its name.
    """

    name: str
    metavar: str
    help: str
    types: tuple[type, ...] = PER_RUN
    short: str = ""
    alone: str = ""
    setting: str = ""

    @property
    def variable(self) -> str:
        """Name of the environment variable, empty where there is none."""
        name = self.setting or self.name
        return "SENTINEL_" + name.upper().replace("-", "_") if self.types else ""


OPTIONS = (
    Option(
        "limit",
        "SIZE",
        "Soft limit on the working set: 200M, 1.5G, or 50% of what this process may use.  "
        "[default: 80%]",
        SIZE,
    ),
    Option(
        "hard-limit",
        "SIZE|none",
        "Wall at which the kernel kills; the head-room of the grace.  "
        "[default: the limit + 50%, at least + 64M, at most 95% of what this process may use]",
        SIZE,
    ),
    Option("swap", "SIZE", "How much may be swapped out: swap hides a leak.  [default: 0]", SIZE),
    Option("grace", "TIME", "From the polite signal to the kill.  [default: 3s]", TIME),
    Option("signal", "SIG", "The polite signal.  [default: TERM]", SIGNAL),
    Option("signal-main-only", "", "Send the polite signal to the main process alone."),
    Option("for", "TIME", "Tolerate being over the limit this long.  [default: 0]", TIME),
    Option("timeout", "TIME", "Limit on the wall-clock time.  [default: none]", TIME),
    Option(
        "count",
        "anon|workingset|total",
        "What is compared with the limit.  [default: workingset]",
        WORD,
    ),
    Option(
        "backend",
        "auto|cgroup|cgroup-ro|rss",
        "What watches the command; cgroup fails rather than fall back.  [default: auto]",
        WORD,
    ),
    Option("pids", "N", "How many tasks there may be.  [default: no limit]", (int,)),
    Option("cpus", "X", "How many CPUs may be used, as in 1.5.  [default: no limit]", NUMBER),
    Option("name", "NAME", "How the run is called.  [default: the command's basename]"),
    Option("json", "TARGET", "Write the outcome as JSON to a path, - for stderr, or fd:N."),
    Option(
        "socket",
        "PATH",
        "Where the run's control socket is.  [default: NAME.PID.sock in the runtime directory]",
        WORD,
    ),
    Option("no-socket", "", "No control socket: nobody can ask or stop the run."),
    Option(
        "allow-uid",
        "UID[,UID]...",
        "Who may use the control socket besides you and root.",
        (str, int),
        setting="allow-uids",
    ),
    Option(
        "metrics",
        "[=PORT]",
        "Serve Prometheus metrics from an exporter, on port 8000 unless told otherwise.  "
        "[default: off]",
        (int, str),
        alone="8000",
        setting="metrics-port",
    ),
    Option(
        "metrics-address",
        "ADDRESS",
        "Where the exporter listens.  [default: 127.0.0.1]",
        WORD,
    ),
    Option(
        "metrics-linger",
        "TIME",
        "How long the exporter stays after the last run.  [default: 15s]",
        TIME,
    ),
    Option(
        "dashboard",
        "[=yes|no]",
        "Show the run on a live dashboard; keys go to it.  [default: no]",
        (bool, str),
        alone="yes",
    ),
    Option("preserve-status", "", "Exit as the command did even when a limit ended it."),
    Option("quiet", "", "Say nothing but what went wrong in Sentinel itself.", short="q"),
    Option("verbose", "", "Say what was resolved and what is being done.", short="v"),
)

IN_FILES = {option.name: option for option in OPTIONS if option.types}
"""What may stand in a configuration file, by its key."""
