"""The REST API of the simulated services; it needs aiohttp (extra `sandbox`)."""
