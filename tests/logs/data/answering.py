"""A server that answers as OpenAI's does, with made-up texts, for the programs whose logs lie here."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS = ("The sum is 2.", "It is 5", "Some number, I suppose, but who knows which.", "5", "I think it is “two”.")


@contextmanager
def answering() -> Iterator[str]:
    """The address of a server that gives the answers in turn."""
    answers = itertools.cycle(ANSWERS)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            text = next(answers)
            message = {"role": "assistant", "content": text}
            usage = {"prompt_tokens": 9, "completion_tokens": len(text.split()), "total_tokens": 9 + len(text.split())}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            answer = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
            body = json.dumps(answer | {"usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
