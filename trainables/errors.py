"""The errors of this room. Raised here, shown as one clear message by the command line, recorded by name in a trial's record."""


class BadInput(Exception):
    """Something the user gave cannot be used: the message says what, where, what was expected and how to mend it."""


class DatasetError(BadInput):
    """A data set that cannot be used as it is."""


class SettingsError(BadInput):
    """A setting out of its range, or settings that do not go together."""


class StoreError(BadInput):
    """A store that cannot be read or written: a full disk, a newer format, missing rights."""


FAILURES = ("diverged", "collapsed", "out_of_memory", "bad_data", "lost_worker", "error")
"""Every name a failed trial can carry. `error` is an exception nobody foresaw; its traceback is kept beside the record."""


class TrialFailure(Exception):
    """Ends one trial with a name from `FAILURES`; the study goes on."""

    def __init__(self, name: str, message: str) -> None:
        assert name in FAILURES, name
        super().__init__(message)
        self.name = name
