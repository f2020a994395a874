"""Names of container images, and the digests that say which image a name meant: pure."""

import re

from app.errors import N_, BadValue

# As https://github.com/distribution/reference has it, and with it Kubernetes. What stands before the first slash may be
# a registry; the rest has small letters only.
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"(?:{_HOST}(?:\.{_HOST})*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
)
_WHOLE_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_DIGEST = re.compile(r"(?:^|[@/])(sha256:[0-9a-f]{64})$")


def checked(reference: str) -> str:
    """The reference, where an image can have it. Raises BadValue."""
    name, at, digest = reference.partition("@")
    if at and not _WHOLE_DIGEST.fullmatch(digest):
        raise BadValue(N_("must have a whole digest after the @: sha256: and 64 digits or small letters from a to f"))
    if not _NAME.fullmatch(name):
        message = N_(
            "must be the name of an image: a registry, if any, then small letters and digits with single slashes and"
            " dots between them, and a tag behind a colon, such as {example}"
        )
        raise BadValue(message, example="ghcr.io/team/train:1.2")
    return reference


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
