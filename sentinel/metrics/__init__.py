"""What is counted and measured, for Prometheus: collector, exporter, leak detector."""
