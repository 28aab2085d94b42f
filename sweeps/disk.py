"""What the operating system refuses below a root, told like any other mistake: the file, what is wrong, the cure."""

import errno

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RIGHTS = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG}


def full(error: OSError) -> bool:
    """Whether there is no room: no space, no quota, or a limit on the size of files."""
    return error.errno in _FULL


def lasting(error: OSError) -> bool:
    """Whether trying again cannot help before somebody has mended something."""
    return error.errno in _FULL | _RIGHTS | _IN_THE_WAY


def refusal(error: OSError) -> str:
    """The message about an error."""
    where = error.filename if error.filename is not None else "the disk" if full(error) else "the operating system"
    if full(error):
        cure = "Free space, or raise the limit; what is finished is kept, and the same command goes on."
    elif error.errno in _RIGHTS:
        cure = "Give yourself the right to it, or name another --root."
    else:
        cure = "Mend or move away what is there, or name another --root."
    return f"{where}: {error.strerror or error}. {cure}"
