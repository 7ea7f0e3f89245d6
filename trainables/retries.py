"""Patience with a disk or a network that fails for a moment. Called by the store, and by the ledger and the lease of a run.

What says that nothing will help (no space, no right to write, no such file) is raised at once; anything else that the operating system or a remote
store reports may pass, and is tried again after growing waits, about half a minute in all.
"""

import errno
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

WAITS_S: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Codes of a disk, or a share of one, that is used up."""
LASTING = FULL | frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EFBIG,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Codes of what waiting does not mend."""
LASTING_KINDS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
"""The same from file systems that give no code."""


def may_pass(error: OSError) -> bool:
    """Says whether trying again may help."""
    return error.errno not in LASTING and not isinstance(error, LASTING_KINDS)


def patiently(act: Callable[[], T], *, waits_s: Sequence[float] | None = None) -> T:
    """Does something that can be done twice, and does it again while it fails with what may pass.

    Raises:
        OSError: it still fails after the last wait, or no waiting would help.
    """
    for wait_s in WAITS_S if waits_s is None else waits_s:
        try:
            return act()
        except OSError as error:
            if not may_pass(error):
                raise
            time.sleep(wait_s)
    return act()


def cure(error: OSError) -> str:
    """Says in a few words what is to be done about a place that cannot be read or written."""
    if error.errno in FULL:
        return "Free some space there"
    if error.errno == errno.EFBIG:
        return "Raise the limit on the size of files (ulimit -f)"
    return "See to the disk or the network behind it" if may_pass(error) else "Make it readable and writable"
