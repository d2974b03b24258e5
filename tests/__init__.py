"""The tests; they mirror the package. This file only claims the name ``tests``."""
