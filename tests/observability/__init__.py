"""What others see of a run: Prometheus's rules, Grafana's dashboards, a real Prometheus."""
