"""Certificate authorities that somebody names, instead of the public ones.

A bundle is a file that people put together by hand: with a comment for each certificate, in any encoding, with the marks that
editors on other systems leave at the beginning. Only what stands between the lines of a PEM block counts (RFC 7468 tells
parsers to skip text outside of it).

Python 3.13 holds certificates strictly against RFC 5280 unless told otherwise. Many private authorities were made without the
key usages and key identifiers it asks for, and the Go and OpenSSL clients beside the operator take them; so where an authority
is named, certificates are held against it as Python before 3.13 does. The public ones are held to the letter.

What is trusted takes 0.7 MiB of memory for the public authorities, so all clients that trust the same share it.
"""

import base64
import codecs
import hashlib
import re
import ssl
from weakref import WeakValueDictionary

import httpx

_BLOCK = re.compile(r"-----BEGIN (?P<label>(?:X509 )?CERTIFICATE)-----(?P<body>.*?)-----END (?P=label)-----", re.DOTALL)


class Trusts:
    """What connections are opened with, one for each bundle and one for the public authorities, made when first asked for.

    Nothing but what is trusted may be set on one of them, above all no certificate of a client: others use it as well.
    """

    def __init__(self) -> None:
        self._public: ssl.SSLContext | None = None
        self._named: WeakValueDictionary[bytes, ssl.SSLContext] = WeakValueDictionary()

    def context(self, bundle: bytes | None) -> ssl.SSLContext:
        """Return the context that trusts a bundle, or the public authorities; one of a bundle lasts as long as somebody has it.

        Raises:
            ValueError: there is no certificate in the bundle, or one that cannot be read; the message says which.
        """
        if bundle is None:
            if self._public is None:
                self._public = httpx.create_ssl_context(trust_env=False)
            return self._public
        digest = hashlib.sha256(bundle).digest()
        context = self._named.get(digest)
        if context is None:
            context = self._named[digest] = trusting(bundle)
        return context


def trusting(bundle: bytes) -> ssl.SSLContext:
    """Return what connections are opened with that trust the certificates of a bundle and no others.

    Raises:
        ValueError: there is no certificate in it, or one that cannot be read; the message says which.
    """
    bodies = [found["body"] for found in _BLOCK.finditer(_text(bundle))]
    if not bodies:
        raise ValueError(
            "the CA bundle holds no certificate: there is no text from -----BEGIN CERTIFICATE----- "
            "to -----END CERTIFICATE----- in it"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An authority that another one has signed may be all that is trusted, as with Go and with Python 3.13.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for number, body in enumerate(bodies, start=1):
        try:
            context.load_verify_locations(cadata=base64.b64decode("".join(body.split()), validate=True))
        except (ssl.SSLError, ValueError):
            raise ValueError(f"certificate {number} of {len(bodies)} in the CA bundle cannot be read") from None
    return lenient(context)


def lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context, which from now on takes authorities without key usages and key identifiers."""
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _text(bundle: bytes) -> str:
    """Return the bytes as text in which at least the PEM blocks are right: they are ASCII in any encoding but UTF-16."""
    wide = bundle.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return bundle.decode("utf-16", errors="replace") if wide else bundle.decode("latin-1")
