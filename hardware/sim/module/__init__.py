"""The simulated module. It has an AT parser of its own and shares only the PDU codec with the agent."""
