"""Recordings of the conversation with a module: the file, masking, and replay."""
