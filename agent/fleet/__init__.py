"""The fleet: thousands of agents with simulated modules under virtual time, and the load that they cause."""
