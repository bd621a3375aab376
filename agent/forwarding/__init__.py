"""Forwarding: passes Commands to an MQTT broker or a web server, which answers or only accepts them."""
