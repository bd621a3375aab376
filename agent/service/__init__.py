"""The Commands services as a device sees them: numbers, limits, Command SIDs, the kinds of messages.

No I/O and no clock. The facts are from the services' documentation. A comment marks each decision that the
documentation leaves open.
"""
