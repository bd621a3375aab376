"""Module profiles, serial ports and power; the simulated module and network are in hardware.sim.

Imports pdu, never agent.
"""
