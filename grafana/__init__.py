"""The dashboards, generated: `make dashboards` writes grafana/dashboards/ from this package."""
