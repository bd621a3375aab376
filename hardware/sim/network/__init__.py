"""The simulated network: subscriptions, store and forward, what modules send."""
