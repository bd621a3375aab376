"""HTTP in front of the simulated services; the only place that imports aiohttp (extra `sandbox`)."""
