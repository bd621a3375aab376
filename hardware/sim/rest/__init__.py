"""The REST API of the simulated services; the only package that imports aiohttp (extra `sandbox`)."""
