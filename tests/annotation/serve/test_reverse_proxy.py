"""Label Studio of docker-compose.yml behind a real nginx with TLS, configured as docs/annotation.md says."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from support.compose import running_app, until, values_of_env
from support.label_studio import free_port
from support.places import ROOT

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="no nginx")]
BOX = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{server}
}}
"""


def write_certificate(certificate: Path, key: Path) -> None:
    """One that vouches for itself, for 127.0.0.1."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "labels.example.com")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=private.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
    signed = made.add_extension(address, critical=False).sign(private, hashes.SHA256())
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@contextmanager
def behind_nginx(folder: Path, port: int, upstream: str) -> Iterator[None]:
    """The proxy of the guide, with our ports, and a certificate of its own."""
    certificate, key = folder / "labels.pem", folder / "labels.key"
    write_certificate(certificate, key)
    (server,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "annotation.md").read_text(), re.DOTALL)
    for said, ours in {
        "/etc/ssl/certs/labels.example.com.pem": str(certificate),
        "/etc/ssl/private/labels.example.com.key": str(key),
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "http://127.0.0.1:8080": upstream,
    }.items():
        assert said in server
        server = server.replace(said, ours)
    config = folder / "nginx.conf"
    user = "user root;" if folder.owner() == "root" else ""
    config.write_text(BOX.format(folder=folder, user=user, server=server))
    log = folder / "nginx.log"
    with log.open("wb") as out:
        process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(config)], stdout=out, stderr=out)
    try:
        until((folder / "nginx.pid").exists, process, log, within_s=30)
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_people_sign_in_and_work_over_tls(tmp_path: Path) -> None:
    """A browser says from which page it posts. Label Studio itself is asked over http, and must not mind."""
    (tmp_path / "ds" / "clips").mkdir(parents=True)
    port = free_port()
    public = f"https://127.0.0.1:{port}"
    values = values_of_env(public)
    with running_app(tmp_path, values, {"DJANGO_DB": "sqlite"}) as app, behind_nginx(tmp_path, port, app.url):
        trusted = ssl.create_default_context(cafile=str(tmp_path / "labels.pem"))
        page = f"{public}/user/login/"
        with httpx.Client(base_url=public, verify=trusted, timeout=60) as browser:
            assert browser.get(page).status_code == 200
            form = {
                "email": values["LABEL_STUDIO_USERNAME"],
                "password": values["LABEL_STUDIO_PASSWORD"],
                "csrfmiddlewaretoken": browser.cookies["csrftoken"],
            }
            evil = browser.post(page, data=form, headers={"Origin": "https://evil.example"})
            assert evil.status_code == 403
            signed = browser.post(page, data=form, headers={"Origin": public, "Referer": page})
            assert signed.status_code == 302, signed.text
            assert signed.headers["location"] in ("/", public + "/"), "it leads back to the proxy"
            sent = {"Origin": public, "Referer": public + "/projects", "X-CSRFToken": browser.cookies["csrftoken"]}
            made = browser.post("/api/projects/", json={"title": "over TLS"}, headers=sent)
            assert made.status_code == 201, made.text
            large = [{"data": {"text": "x" * 1000}} for _ in range(4000)]
            assert len(json.dumps(large)) > 4e6, "more than a proxy takes without being told"
            came = browser.post(f"/api/projects/{made.json()['id']}/import", json=large, headers=sent)
            assert came.status_code == 201 and came.json()["task_count"] == 4000, came.text
