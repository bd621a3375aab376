"""Modules that are not ours: small, each with a parser of its own making and one habit that others have had.

They know nothing of `hardware.sim`. What they understand is what somebody's simulator or a cheap stick does:
the few commands that programs usually send, in the form in which they are usually sent.
"""
