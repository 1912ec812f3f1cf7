"""A real nginx as a process on loopback, with the configuration of docker/proxy."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template

TEMPLATE = Path(__file__).parents[2] / "docker" / "proxy" / "zserve.conf.template"
PREFIX = "/zserve"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
OPENSSL = shutil.which("openssl")
MAIN = """
user root; # as which pytest may run: its folders are closed to other users
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/zserve.conf;
}}
"""


def write_certificate(folder: Path) -> Path:
    """Write tls.key and tls.crt for 127.0.0.1, as docker/README.md does for localhost."""
    assert OPENSSL is not None
    command = [OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "tls.crt"


@contextmanager
def proxying(upstream: str, folder: Path) -> Iterator[str]:
    """Run nginx in front of a host:port; yields the https address of the service there."""
    assert NGINX is not None
    port = _free_port()
    variables: Mapping[str, object] = {
        "UPSTREAM": upstream,
        "PORT": port,
        "PREFIX": PREFIX,
        "CERTIFICATES": folder,
    }
    # nginx's own image fills in the variables of its environment alone, and leaves those of nginx.
    text = Template(TEMPLATE.read_text()).safe_substitute(variables)
    (folder / "zserve.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    log = folder / "nginx.log"
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_for(port, process, log)
            yield f"https://127.0.0.1:{port}{PREFIX}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nginx did not start:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
