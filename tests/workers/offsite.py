"""The off-site bucket: moto's S3 on the loopback, behind a proxy that can fail and keeps what was signed."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer

BUCKET, REGION = "offsite", "eu-north-1"
KEYS = {"OFFSITE_ACCESS_KEY_ID": "AKIDEXAMPLE", "OFFSITE_SECRET_ACCESS_KEY": "not-a-secret"}


class Offsite:
    """Serves until it is closed; `options` are what a backup Worker is started with."""

    def __init__(self) -> None:
        self.fail = False
        self.authorizations: list[str] = []
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        _, port = self._moto.get_host_and_port()
        self._upstream = f"http://127.0.0.1:{port}"
        self._client = httpx.Client()
        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._proxy.serve_forever, args=[0.02], daemon=True).start()
        self._s3 = boto3.client(
            "s3", region_name=REGION, endpoint_url=self._upstream, aws_access_key_id="x", aws_secret_access_key="x"
        )
        self._s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    @property
    def options(self) -> dict[str, Any]:
        address = f"127.0.0.1:{self._proxy.server_port}"
        return {
            "bindings": {"OFFSITE_BUCKET": BUCKET, "OFFSITE_REGION": REGION, **KEYS},
            "outboundService": {"external": {"address": address, "http": {}}},
        }

    def get(self, key: str) -> tuple[bytes, str]:
        """Return an object's bytes, and the SHA-256 that its metadata has."""
        found = self._s3.get_object(Bucket=BUCKET, Key=key)
        return found["Body"].read(), found["Metadata"]["sha256"]

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"sha256": hashlib.sha256(body).hexdigest()})

    def empty(self) -> None:
        self.fail = False
        self.authorizations.clear()
        for found in self._s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            self._s3.delete_object(Bucket=BUCKET, Key=found["Key"])

    def close(self) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._moto.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        offsite = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                offsite.authorizations.append(self.headers["authorization"])
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if offsite.fail:
                    self.send_response(503)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                # Under its own name in the path: moto's address is no S3 host.
                answer = offsite._client.request(
                    self.command,
                    f"{offsite._upstream}/{BUCKET}{self.path}",
                    content=body,
                    headers={name: value for name, value in self.headers.items() if name.lower() != "host"},
                )
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name not in {"connection", "transfer-encoding", "server", "date"}:
                        self.send_header(name, value)
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(answer.content)

            do_HEAD = do_PUT = _pass_on  # noqa: N815 (their names are the base class')

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler
