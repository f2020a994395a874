"""Which names of images are taken."""

import pytest

from app.domain.images import checked
from app.errors import BadValue

SHA = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "alpine",
        "alpine:3.20",
        f"alpine@{SHA}",
        f"alpine:3.20@{SHA}",
        "org/train:1",
        "a/b/c/d:V1_x.y-z",
        "localhost/train",
        "localhost:5000/train:1",
        "registry:5000/a/b",
        f"registry.example.com:5000/team/train_v2/x--y.z__w:latest@{SHA}",
        "192.0.2.7:5000/train",
        "Registry.Example.com/team/train",
        "my-registry/train",
        "a@sha512:" + "0" * 128,
        SHA,  # of an image that was put on the node by hand
        "a:" + "x" * 128,
    ],
)
def test_taken(name: str) -> None:
    assert checked(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("alpine@sha256:abcd", "digest"),
        ("alpine@", "digest"),
        (f"alpine@{SHA.upper()}", "digest"),
        (f"alpine@{SHA}0", "digest"),
        (f"alpine@{SHA}@{SHA}", "digest"),
        ("alpine@latest", "digest"),
        ("A//b", "name"),
        ("a//b", "name"),
        ("a/", "name"),
        ("Alpine", "name"),
        ("ghcr.io/Team/train", "name"),
        ("a:", "name"),
        ("a:1:2", "name"),
        ("a:.1", "name"),
        ("a:" + "x" * 129, "name"),
        ("a..b", "name"),
        ("a___b", "name"),
        ("a-", "name"),
        ("https://ghcr.io/team/train", "name"),
        ("registry:port/train", "name"),
        (f"@{SHA}", "name"),
    ],
)
def test_refused(name: str, said: str) -> None:
    with pytest.raises(BadValue, match=said):
        checked(name)
