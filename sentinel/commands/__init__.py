"""EDGE: one file per verb. The only room that prints, and the only one that ends the process."""
