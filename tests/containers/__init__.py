"""The Dockerfile and the compose file: read, built and run without an engine."""
