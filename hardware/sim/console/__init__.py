"""The console: a page at `/` that shows what happens in a sandbox while it happens.

`hardware.sim.rest.console` serves the page in the folder `page` and the messages for it.
"""
