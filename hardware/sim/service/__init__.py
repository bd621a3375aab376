"""The simulated services: Commands, their states and lists, as the three products have them. No I/O."""
