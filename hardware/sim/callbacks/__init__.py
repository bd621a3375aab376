"""Status callbacks of Commands, and webhooks for messages from a SIM.

Only `http_client` imports aiohttp and does I/O.
"""
