"""Shared by the fault tests: message fixtures, the line interceptor, and the world around the agent."""
