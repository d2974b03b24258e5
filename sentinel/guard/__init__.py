"""CORE: one run's guardian, the supervisor of many, and their journal."""
