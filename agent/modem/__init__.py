"""What a module does for us: messages in its stores, sending, and how it fares. Knows nothing of Commands."""
