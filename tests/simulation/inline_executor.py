"""An executor of journal calls for simulated time, in which a blocking call takes no time."""


class InlineExecutor:
    """Runs each call in the event loop itself."""

    async def run(self, function, /, *arguments, **keywords):
        """Call the function."""
        return function(*arguments, **keywords)

    def close(self):
        """Do nothing."""
