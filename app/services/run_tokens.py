"""The token that a job gets for its own run: derived, so that starting an attempt twice gives the same one.

It may only log to its own run, and only while that attempt is alive (services/identity.py).
"""

import base64
import hashlib
import hmac

from app.settings import get_settings

PREFIX = "berth_r_"  # services/identity.py looks such a token up among the live attempts


def run_token(public_id: str, attempt: int) -> str:
    """The bearer token of an attempt: 256 bits that only the holder of the signing key can make."""
    message = f"run-token:{public_id}:{attempt}".encode()
    digest = hmac.new(get_settings().signing_key, message, hashlib.sha256).digest()
    return PREFIX + base64.urlsafe_b64encode(digest).decode().rstrip("=")
