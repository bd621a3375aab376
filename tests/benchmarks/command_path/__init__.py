"""The processes that `road.py` measures: the simulated modules, and clients to compare with."""
