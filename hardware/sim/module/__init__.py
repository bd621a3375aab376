"""The simulated module: an AT parser of its own, stores, moods. Not a line is shared with the agent."""
