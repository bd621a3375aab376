"""Handlers: the user's code that carries out Commands, and the processes that run it."""
