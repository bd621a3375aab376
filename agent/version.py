"""The version, written here because a device has no git to ask."""

VERSION = "0.1.0"
