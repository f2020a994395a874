"""Names of container images, and the digests that say which image a name meant: pure."""

import re

_DIGEST = re.compile(r"(?:^|[@/])(sha256:[0-9a-f]{64})$")


def digest_of(reference: str | None) -> str | None:
    """The digest at the end of a reference or of a node's image id; None where there is none."""
    found = _DIGEST.search(reference or "")
    return found[1] if found else None


def repository_of(image: str) -> str:
    """The name without its tag and digest. A colon before a slash is that of a registry's port."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def what_ran(asked: str, image_id: str) -> str | None:
    """What a run of the image `asked` got, of the id that its node tells: the reference by which the very same can be
    pulled again, or the bare id of one that was put on the node by hand. None where the node tells no digest.

    The repository is the one that was asked for: a node that has the same image of another registry may name that.
    """
    digest = digest_of(image_id)
    if digest is None or digest_of(asked):
        return asked if digest_of(asked) else None
    return f"{repository_of(asked)}@{digest}" if "@" in image_id else digest
