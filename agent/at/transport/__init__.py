"""Transports: bytes to and from a module over a serial port, a TCP socket, or memory."""
