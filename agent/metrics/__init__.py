"""Metrics for Prometheus: what is counted, how it is written, and how it is exported."""
