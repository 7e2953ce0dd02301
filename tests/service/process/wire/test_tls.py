"""HTTPS, by the flags of the certificate and its key."""

import json
import re
import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from caveat.models.errors import CaveatError
from caveat.service.process.wire import tls
from caveat.service.settings import Settings
from tests.service.serving import TIMEOUT, caveat, serving

ROUTE = "/models/linear/predict/uncertainty"
BODY = {"inputs": [[1, 2, 3]]}


class Identity:
    """A certificate for this machine, its key, and the authority that a client trusts."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        self.authority = folder / "authority.pem"
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)
        authority.cert_pem.write_to_path(self.authority)

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)

    @property
    def flags(self) -> tuple[str | Path, ...]:
        return "--tls-certificate", self.certificate, "--tls-key", self.key


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity(tmp_path_factory.mktemp("identity"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_answers_over_https_are_the_same(bundles: Path, identity: Identity, workers: str) -> None:
    with serving(bundles, "--workers", workers) as service:
        expected = service.ask(ROUTE, **BODY).content
    with serving(bundles, *identity.flags, "--workers", workers) as service:
        assert service.url.startswith("https://127.0.0.1:")
        with httpx.Client(base_url=service.url, verify=identity.trusted(), timeout=TIMEOUT) as client:
            for _ in range(5):  # on one connection
                assert client.post(ROUTE, json=BODY).content == expected
            large = {"inputs": [[1, 2, 3]] * 4000}
            assert len(client.post(ROUTE, json=large).json()["mean"]) == 4000
            assert client.post(ROUTE, content=b"{").status_code == 415
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            service.get("/health/live")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(service.url.replace("https", "http") + "/health/live", timeout=TIMEOUT)
        service.process.terminate()
        service.process.communicate(timeout=TIMEOUT)
    assert service.process.returncode == 0
    assert [line for line in service.complaints() if line["event"] != "request"] == []


def test_versions_below_1_2_are_refused(bundles: Path, identity: Identity) -> None:
    made = tls.context(Settings(store=None, tls_certificate=identity.certificate, tls_key=identity.key))
    assert made is not None
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2
    old = identity.trusted()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    newer = identity.trusted()
    newer.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(bundles, *identity.flags) as service:
        with pytest.raises(httpx.ConnectError):
            httpx.get(service.url + "/health/live", verify=old, timeout=TIMEOUT)
        assert httpx.get(service.url + "/health/live", verify=newer, timeout=TIMEOUT).status_code == 200


def test_predict_asks_over_https(bundles: Path, identity: Identity, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(BODY))
    with serving(bundles, *identity.flags) as service:
        asked = ("predict", rows, "--url", service.url, "--model", "linear", "--json")
        trusting = caveat(*asked, SSL_CERT_FILE=str(identity.authority))
        assert trusting.returncode == 0
        assert "mean" in json.loads(trusting.stdout)
        distrusting = caveat(*asked)
        assert distrusting.returncode == 1
        assert "certificate verify failed" in distrusting.stderr


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("nowhere.pem", "key.pem", "nowhere.pem: No such file or directory"),
        ("certificate.pem", "nowhere.pem", "nowhere.pem: No such file or directory"),
        ("certificate.pem", ".", "Is a directory"),
        ("key.pem", "key.pem", "key.pem: holds no certificate in PEM format"),
        ("certificate.pem", "certificate.pem", "certificate.pem: holds no private key in PEM format"),
        ("certificate.pem", "other.pem", "other.pem: is not the key of"),
        ("certificate.pem", "encrypted.pem", "encrypted.pem: is encrypted; write it without a passphrase"),
        ("damaged.pem", "key.pem", "is damaged, or of a kind that OpenSSL refuses"),
    ],
)
def test_a_wrong_certificate_or_key_is_refused(
    identity: Identity, certificate: str, key: str, message: str
) -> None:
    folder = identity.key.parent
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(folder / "other.pem")
    private = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    (folder / "encrypted.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    (folder / "damaged.pem").write_text(identity.certificate.read_text().replace("M", "N"))
    with pytest.raises(CaveatError, match=re.escape(message)):
        tls.context(Settings(store=None, tls_certificate=folder / certificate, tls_key=folder / key))


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_a_wrong_certificate_ends_the_start_with_one_line(
    bundles: Path, identity: Identity, flags: tuple[str, ...]
) -> None:
    ended = caveat("serve", bundles, "--tls-certificate", identity.key, "--tls-key", identity.key, *flags)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"caveat serve: {identity.key}: holds no certificate in PEM format\n"


def test_a_certificate_and_its_key_need_each_other(identity: Identity) -> None:
    for flags in (identity.flags[:2], identity.flags[2:]):
        ended = caveat("serve", *flags)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == "caveat serve: --tls-certificate and --tls-key need each other\n"
