"""Scenarios: what happens to the SIMs of a sandbox, and when."""
