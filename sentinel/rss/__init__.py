"""The fallback without cgroups: a run's memory and family as /proc shows them (proc(5)).

Nothing here is in the kernel's hands: sampling sees a leak late, and what it sees is summed
over processes that share memory. So the cheap sum only ever asks a question, which a PSS
reading answers before anybody is signalled; and no pid is signalled without its start time.
"""

RECORD = "rss-"
"""How the file begins that names a run's family for the case that its guard is SIGKILLed."""
