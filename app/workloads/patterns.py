"""The forms of names and paths in a spec: each pattern with what it asks for in words, and an example that has it."""

from dataclasses import dataclass

from app.domain.names import SECRET_NAME
from app.errors import N_

PARAMETER = r"^[A-Za-z_][A-Za-z0-9_.-]{0,99}$"
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
DIGEST = r"^[0-9a-f]{64}$"
RELATIVE_PATH = r"^[A-Za-z0-9_.][A-Za-z0-9_./ -]{0,254}$"
ABSOLUTE_PATH = r"^/[^\x00-\x1f]{1,1023}$"
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$"
SECRET = rf"^{SECRET_NAME.pattern}$"
SECRET_FILE = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"
CLAIM = r"^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$"
FOLDER = r"^(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){1,10}$"
POOL = r"^[a-z0-9][a-z0-9-]{0,62}$"


@dataclass(frozen=True)
class Words:
    """`text` says which signs there may be, where, and how many; its {example} is `example`."""

    text: str
    example: str


IN_WORDS: dict[str, Words] = {
    PARAMETER: Words(
        N_(
            "must begin with a letter (A to Z) or an underscore, with up to 99 more letters, digits, dots, dashes or"
            " underscores after it, such as {example}"
        ),
        "learning_rate",
    ),
    LABEL: Words(
        N_(
            "must begin with a letter (A to Z) or a digit, with up to 62 more letters, digits, dots, dashes, slashes or"
            " underscores after it, such as {example}"
        ),
        "vision/resnet-50",
    ),
    DIGEST: Words(
        N_("must be a SHA-256: 64 digits or small letters from a to f, such as {example}"),
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ),
    RELATIVE_PATH: Words(
        N_(
            "must be a path within the snapshot: up to 255 letters (A to Z), digits, blanks, dots, slashes, dashes or"
            " underscores, not beginning with a slash, a dash or a blank, such as {example}"
        ),
        "requirements.txt",
    ),
    ABSOLUTE_PATH: Words(
        N_("must be a path that begins with a slash and has 2 to 1024 characters in one line, such as {example}"),
        "/usr/bin/python3",
    ),
    IMAGE: Words(
        N_(
            "must be the name of an image: a letter (A to Z) or a digit, with up to 254 more letters, digits, dots,"
            " dashes, slashes, colons, underscores or @ after it, such as {example}"
        ),
        "ghcr.io/team/train:1.2",
    ),
    SECRET: Words(
        N_(
            "must begin with a letter (A to Z) or a digit, with up to 62 more letters, digits, dots, dashes or"
            " underscores after it, such as {example}"
        ),
        "HF_TOKEN",
    ),
    SECRET_FILE: Words(
        N_(
            "must be the name of a file: a letter (A to Z), a digit or an underscore, with up to 99 more of them, dots"
            " or dashes after it, such as {example}"
        ),
        "key.json",
    ),
    CLAIM: Words(
        N_(
            "must be the name of a volume claim: up to 253 small letters (a to z), digits, dots or dashes, with a"
            " letter or a digit at both ends, such as {example}"
        ),
        "datasets",
    ),
    FOLDER: Words(
        N_(
            "must be a folder that begins with a slash, of at most 10 parts of letters (A to Z), digits, dots, dashes"
            " or underscores and not beginning with a dot or a dash, such as {example}"
        ),
        "/mnt/datasets",
    ),
    POOL: Words(
        N_(
            "must begin with a small letter (a to z) or a digit, with up to 62 more small letters, digits or dashes"
            " after it, such as {example}"
        ),
        "gpu-a100",
    ),
}
