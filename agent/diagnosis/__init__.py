"""What `modem-agent doctor` examines: from the configuration over port, module and SIM to the handlers."""
