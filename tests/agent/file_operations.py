"""File operations that fail at a chosen step, as after a crash of the process or on a full disk."""

import contextlib
import sys


class Killed(BaseException):
    """The process was killed at this point."""


class FileOperations:
    """Lets operations on the files of a folder fail, by an audit hook of Python instead of patches.

    Each opening, renaming and removal of a file and each SQLite connection raises an audit event first
    (docs.python.org/3/library/audit_events.html). A hook cannot be removed, so there is one for all tests.
    """

    EVENTS = ("open", "os.rename", "os.remove", "sqlite3.connect")

    def __init__(self):
        self._folder = None
        self._events = ()
        self._error = None
        self._remaining = 0
        sys.addaudithook(self._audit)

    def _audit(self, event, arguments):
        if self._folder is None or event not in self._events or self._folder not in str(arguments[0]):
            return
        self._remaining -= 1
        if self._remaining < 0:
            raise self._error

    @contextlib.contextmanager
    def fail(self, folder, after, error, events=EVENTS):
        """After this number of operations, every further one in the block raises `error`."""
        self._folder, self._remaining, self._error, self._events = str(folder), after, error, events
        try:
            yield
        finally:
            self._folder = None

    def kill(self, folder, after):
        """Raise Killed after this number of operations: nothing is cleaned up after it, as after SIGKILL."""
        return self.fail(folder, after, Killed)
