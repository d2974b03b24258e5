"""The cgroup v2 backend: one leaf per run, memory.high as a trip-wire, cgroup.kill as the end."""
