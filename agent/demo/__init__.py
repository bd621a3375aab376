"""What `modem-agent demo` shows: a stage, a tour over it, and the screen it is told on."""
