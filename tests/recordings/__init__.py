"""What leaves look like at their soft limit: recorded series, their reader and their recorder."""
