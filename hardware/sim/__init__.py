"""A simulated cellular module and, behind it, a simulated network and service.

The cores take their time from a scheduler and their wall clock as a function; they do no I/O. Thin skins
beside them (`hardware.sim.module.pty`) connect a core to the world.
"""
