"""What is known about modules (profiles), and a simulated one (hardware.sim). Imports pdu, never agent."""
