"""One module: initialisation, stored messages, sending, status and recovery. Knows SMS, but not Commands."""
