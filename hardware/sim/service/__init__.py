"""The simulated services: Commands, their states and lists, for the three products. No I/O."""
