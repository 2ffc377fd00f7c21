"""A trace store for tests and for trying (python -m stack.otlp_receiver): takes OTLP over HTTP on loopback, keeps the spans in memory.

GET /spans: [{name, service, trace, span, parent, links, attributes}].
"""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_BYTES_MAX = 16 * 2**20


class OtlpReceiver:
    """A context manager; url is what OTEL_EXPORTER_OTLP_ENDPOINT takes."""

    def __init__(self, port: int = 0) -> None:
        self.spans: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(_BYTES_MAX, int(self.headers.get("content-length", 0))))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.spans += _spans(body)
                self._answer(b"", "application/x-protobuf")

            def do_GET(self) -> None:
                self._answer(json.dumps(receiver.spans).encode(), "application/json")

            def _answer(self, body: bytes, media_type: str) -> None:
                self.send_response(200)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> OtlpReceiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _spans(body: bytes) -> list[dict[str, Any]]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = next((a.value.string_value for a in resource.resource.attributes if a.key == "service.name"), "")
        for scope in resource.scope_spans:
            for span in scope.spans:
                found.append(
                    {
                        "name": span.name,
                        "service": service,
                        "trace": span.trace_id.hex(),
                        "span": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "links": [link.trace_id.hex() for link in span.links],
                        "attributes": {a.key: a.value.string_value or a.value.int_value for a in span.attributes},
                    }
                )
    return found


def main() -> None:
    with OtlpReceiver(4318) as receiver:
        print(
            f"OTEL_EXPORTER_OTLP_ENDPOINT={receiver.url}; spans are at {receiver.url}/spans; Ctrl-C ends it", flush=True
        )
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
