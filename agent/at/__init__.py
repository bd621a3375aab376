"""Conversation by AT commands: bytes on a wire, lines, commands and their answers. Knows nothing of SMS."""
