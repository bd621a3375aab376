"""AT commands over a serial port or a socket: transport, protocol, commands and their results."""
