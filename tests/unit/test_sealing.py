"""Sealing values: what opens, what does not, and what a key may look like."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.home import add_generated_key
from app.services.sealing import CannotOpen, KeyRing, Sealed
from app.settings import Settings, read_keys

OLD, NEW = os.urandom(32), os.urandom(32)


def text_of(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


@given(st.text(min_size=1))
def test_what_is_sealed_is_opened_by_any_ring_with_its_key(value: str) -> None:
    sealed = KeyRing([OLD]).seal(value, "p/s")
    assert KeyRing([NEW, OLD]).open(sealed, "p/s") == value
    assert value.encode() not in sealed.ciphertext or len(value) < 4


def test_the_same_value_is_sealed_otherwise_each_time() -> None:
    ring = KeyRing([OLD])
    assert ring.seal("x", "a").ciphertext != ring.seal("x", "a").ciphertext


@pytest.mark.parametrize(
    ("ring", "context", "change", "says"),
    [
        (KeyRing([NEW]), "p/s", {}, "not among the configured"),
        (KeyRing([OLD]), "q/s", {}, "damaged"),
        (KeyRing([OLD]), "p/s", {"ciphertext": b"short"}, "damaged"),
        (KeyRing([OLD]), "p/s", {"wrapped_key": bytes(60)}, "damaged"),
    ],
)
def test_what_cannot_be_opened(ring: KeyRing, context: str, change: dict[str, bytes], says: str) -> None:
    sealed = KeyRing([OLD]).seal("the value", "p/s")
    with pytest.raises(CannotOpen, match=says):
        ring.open(Sealed(**sealed._asdict() | change), context)


def test_keys_are_read_in_order() -> None:
    assert read_keys(f"{text_of(NEW)}, {text_of(OLD).rstrip('=')}") == [NEW, OLD]


@pytest.mark.parametrize("text", ["", "abc", "x" * 43 + "!", text_of(bytes(31)), text_of(NEW) + ","], ids=range(5))
def test_a_wrong_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValidationError, match="BERTH_ENCRYPTION_KEYS: key") as caught:
        Settings(encryption_keys=text)  # type: ignore[arg-type]
    assert len(text) < 4 or text not in str(caught.value)


def test_a_home_makes_its_own_keys(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = Settings(home=tmp_path)
    first = settings.load_encryption_keys()
    assert settings.load_encryption_keys() == first
    add_generated_key(tmp_path, "encryption_keys")
    assert settings.load_encryption_keys()[1:] == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
