"""What guarding costs and what it buys, as ratios against named baselines of the same run.

Measured, never asserted. `python -m benchmarks --help` tells what there is; README.md is made
from the recorded results.
"""
