"""What Sentinel is measured against. Each is what people really use, written fairly."""
