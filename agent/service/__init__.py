"""The Commands services as the device meets them: numbers, limits, the SID in a text, what a message is.

Pure: no clock, no disk, no modem. The facts are those of the services' documents; what they leave
open is said where it is decided.
"""
