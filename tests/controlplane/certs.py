"""The certificates and keys of a control plane, made anew for each.

Names and uses follow https://kubernetes.io/docs/setup/best-practices/certificates/: one authority for the API server's
serving certificate, another one for its clients, and a key pair that signs the tokens of ServiceAccounts.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=7)
# Machines whose clocks differ slightly, as a virtual machine's after a pause, still accept the certificates.
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """Where the files of one control plane are."""

    server_ca: Path
    client_ca: Path
    server: Pair
    admin: Pair
    controller_manager: Pair
    token_key: Path


class Authority:
    """A certificate authority that signs for as long as this object lives; its key is written nowhere.

    A `bare` one, and what it signs, has no key usages and key identifiers, like many that were made with a few lines of
    openssl: RFC 5280 asks for them, and Python from 3.13 on does by default.
    """

    def __init__(self, name: str, *, bare: bool = False) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._bare = bare
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._signed(_builder(subject, self._key.public_key(), authority=True, bare=bare), subject)

    @property
    def pem(self) -> bytes:
        """The certificate that clients or servers trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, path: Path) -> Path:
        """Write the certificate that clients or servers trust."""
        path.write_bytes(self.pem)
        return path

    def issue(
        self,
        folder: Path,
        name: str,
        *,
        group: str | None = None,
        use: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
        addresses: tuple[x509.GeneralName, ...] = (),
    ) -> Pair:
        """Write a certificate and its key; Kubernetes reads a client's user name from CN and its group from O."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if group is not None:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        builder = _builder(x509.Name(attributes), key.public_key(), authority=False, bare=self._bare)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        certificate = self._signed(builder, self._certificate.subject)
        stem = name.replace(":", "-")
        pair = Pair(folder / f"{stem}.crt", _write_key(folder / f"{stem}.key", key))
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return pair

    def serving(self, folder: Path) -> ssl.SSLContext:
        """Return what a server on this machine serves with; the files are left in the folder."""
        addresses = (x509.IPAddress(IPv4Address("127.0.0.1")), x509.DNSName("localhost"))
        pair = self.issue(folder, "server", use=ExtendedKeyUsageOID.SERVER_AUTH, addresses=addresses)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        return context

    def _signed(self, builder: x509.CertificateBuilder, issuer: x509.Name) -> x509.Certificate:
        builder = builder.issuer_name(issuer)
        if not self._bare:
            own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
            builder = builder.add_extension(own, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def issue_all(folder: Path, *, service_address: IPv4Address) -> Certificates:
    """Make everything one control plane needs; the service address is that of `kubernetes.default`."""
    folder.mkdir()
    server_authority, client_authority = Authority("setpoint-server-ca"), Authority("setpoint-client-ca")
    addresses = (
        x509.IPAddress(IPv4Address("127.0.0.1")),
        x509.IPAddress(service_address),
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes.default.svc"),
    )
    return Certificates(
        server_ca=server_authority.write(folder / "server-ca.crt"),
        client_ca=client_authority.write(folder / "client-ca.crt"),
        server=server_authority.issue(
            folder, "kube-apiserver", use=ExtendedKeyUsageOID.SERVER_AUTH, addresses=addresses
        ),
        admin=client_authority.issue(folder, "admin", group="system:masters"),
        controller_manager=client_authority.issue(folder, "system:kube-controller-manager"),
        token_key=_write_key(folder / "service-account.key", ec.generate_private_key(ec.SECP256R1())),
    )


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool, bare: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if bare:
        return builder
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False).add_extension(
        x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=authority,
            crl_sign=authority,
            encipher_only=False,
            decipher_only=False,
        ),
        critical=True,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path.touch(mode=0o600)
    # In the older of the two formats, the only one in which the API server also reads a public key from a private one.
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return path
