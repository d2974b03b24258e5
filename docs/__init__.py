"""What is written about Sentinel, and the few programs that draw parts of it from the code."""
