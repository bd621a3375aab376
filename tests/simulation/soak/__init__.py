"""The whole agent, a simulated module and network in one process, under virtual time and one seed."""
