"""A simulated cellular module with a simulated network and service behind it.

The simulation does no I/O: a scheduler and a wall clock are arguments. Adapters such as
`hardware.sim.module.pty` and `hardware.sim.rest` connect it to real clients.
"""
