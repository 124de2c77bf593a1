"""Signatures without a key of one's own: Sigstore vouches for an identity (an e-mail address, a workflow of a CI).

Both signing and checking need the network. The bundle is what Sigstore's own tools read; it signs the very statement
that the envelope beside it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offtarget.errors import InputError, PrerequisiteError
from offtarget.evidence.dsse import IN_TOTO, Malformed

_PURPOSE = "Signing with Sigstore"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is expected to have signed."""

    name: str
    """An e-mail address, or the address of a workflow."""
    issuer: str
    """Who vouches for the name, e.g. https://token.actions.githubusercontent.com."""


def sign_keyless(payload: bytes) -> str:
    """The statement signed as whoever runs this: the identity of the CI, or of a person who signs in in a browser.

    Returns the bundle as JSON. Raises PrerequisiteError without the library, InputError where Sigstore cannot be
    reached or knows nobody here.
    """
    dsse, models, oidc, sign = (_library(name) for name in ("dsse", "models", "oidc", "sign"))
    try:
        trust = models.ClientTrustConfig.production()
        found = oidc.detect_credential()
        if found is None:
            token = oidc.Issuer(trust.signing_config.get_oidc_url()).identity_token()
        else:
            token = oidc.IdentityToken(found)
        with sign.SigningContext.from_trust_config(trust).signer(token) as signer:
            return str(signer.sign_dsse(dsse.Statement(payload)).to_json())
    except Exception as error:  # the library raises its own errors and those of its clients
        said = f"{type(error).__name__}: {str(error)[:200]}"
        raise InputError(
            f"Sigstore did not sign ({said}). It needs the network and an identity; a key in a file needs "
            "neither: --key"
        ) from None


def check_keyless(bundle: bytes, payload: bytes, identity: Identity) -> bool:
    """Whether a bundle is that identity's signature of this statement.

    Raises Malformed for a bundle that is none or was changed, InputError where it cannot be checked here.
    """
    models, policy, verifying = (_library(name) for name in ("models", "verify.policy", "verify.verifier"))
    try:
        read = models.Bundle.from_json(bundle)
    except Exception as error:  # of the library or of its parser
        raise Malformed(f"it is no bundle of Sigstore ({type(error).__name__})") from None
    if read.to_json().encode() != bundle:
        raise Malformed("it is not written as Sigstore writes it, so something changed it")
    try:
        verifier = verifying.Verifier.production()
    except Exception as error:  # no network, or nothing to trust yet
        raise InputError(f"Sigstore's keys cannot be had here ({type(error).__name__}: {str(error)[:120]}).") from None
    try:
        kind, signed = verifier.verify_dsse(read, policy.Identity(identity=identity.name, issuer=identity.issuer))
    except Exception:  # it does not hold, in one of many ways
        return False
    return bool(kind == IN_TOTO and signed == payload)


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"sigstore.{name}")
    except ImportError:
        raise PrerequisiteError.for_extra("sigstore", "sign", _PURPOSE) from None
