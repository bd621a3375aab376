"""Handlers: the user's code that carries out Commands, and the processes that it runs in."""
