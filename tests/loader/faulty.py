#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A file server with faults: faulty.py DIR PORT [TIMES]

Answers Range requests for the files in DIR. A file whose name begins with that
of a fault is answered with it, the first TIMES times for each range, or always.
Prints a line for each request.
"""
import collections
import http.server
import itertools
import os
import socket
import struct
import sys
import time

root, port = sys.argv[1], int(sys.argv[2])
times = int(sys.argv[3]) if len(sys.argv) > 3 else None
seen = collections.Counter()
tags = itertools.count()

FAULTS = ("short", "cut", "shifted", "resized", "norange", "gone", "e416", "e500",
          "encoded", "changed", "garbage", "rubbish", "longer", "trickle", "hang", "reset",
          "e429", "e503", "loop", "tofile", "elsewhere", "huge")
SLOW = ("trickle", "hang", "reset")
SECONDS = 30


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def fault(self):
        name = os.path.basename(self.path).split(".")[0]
        if name not in FAULTS:
            return None
        # What a slow answer has left is another range: that would go on for long.
        key = (self.path, None if name in SLOW else self.headers["Range"])
        seen[key] += 1
        return name if times is None or seen[key] <= times else None

    def answer(self, status, body, headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        fault = self.fault()
        print(self.path, self.headers["Range"], fault, flush=True)
        try:
            with open(os.path.join(root, self.path.lstrip("/")), "rb") as file:
                data = file.read()
        except OSError:
            return self.answer(404, b"no such file")
        asked = self.headers["Range"]
        if asked is None or fault == "norange":
            return self.answer(200, data)
        first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
        self.answer_range(fault, data, first, last)

    def answer_range(self, fault, data, first, last):
        body, size = data[first:last + 1], len(data)
        tag = "whole"
        if fault == "gone":
            return self.answer(404, b"no such file")
        if fault == "e416":
            return self.answer(416, b"")
        if fault == "e500":
            return self.answer(500, b"x" * len(body))
        if fault in ("e429", "e503"):
            return self.answer(int(fault[1:]), b"", [("Retry-After", "1")])
        if fault == "loop":
            return self.answer(302, b"", [("Location", self.path)])
        if fault == "tofile":
            return self.answer(302, b"", [("Location", "file:///etc/passwd")])
        if fault == "elsewhere":
            return self.answer(302, b"", [("Location", "http://127.0.0.1:1/x")])
        if fault == "huge":
            return self.answer(206, body, [("X-Huge", "x" * 90000)] * 20)
        if fault == "hang":
            time.sleep(SECONDS)
            self.close_connection = True
            return None
        if fault in ("trickle", "reset"):
            return self.answer_slowly(fault, body, self.range(first, last, size, tag))
        if fault == "garbage":
            self.wfile.write(b"\x00\x01garbage\r\n\r\n")
            self.close_connection = True
            return None
        if fault == "cut":
            self.close_connection = True
            return self.answer(206, body[:len(body) // 2], self.range(first, last, size, tag),
                               len(body))
        headers = self.range(first, last, size, tag)
        if fault == "short":
            body = body[:-1]
        if fault == "longer":
            body += b"more"
        if fault == "shifted":
            body, headers = data[:len(body)], self.range(first + 1, last + 1, size, tag)
        if fault == "resized":
            headers = self.range(first, last, size + 1, tag)
        if fault == "encoded":
            headers.append(("Content-Encoding", "gzip"))
        if fault == "changed":
            headers = self.range(first, last, size, str(next(tags)))
            body = bytes(255 - byte for byte in body)
        if fault == "rubbish":
            headers = [("Content-Range", "bytes */*")]
        return self.answer(206, body, headers)

    def answer_slowly(self, fault, body, headers):
        """A third of it; then a byte a second, or a reset."""
        part = len(body) // 3
        self.answer(206, body[:part], headers, len(body))
        self.wfile.flush()
        self.close_connection = True
        if fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        for byte in body[part:part + SECONDS]:
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()
            time.sleep(1)

    @staticmethod
    def range(first, last, size, tag):
        return [("Content-Range", f"bytes {first}-{last}/{size}"), ("ETag", f'"{tag}"')]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *args):
        """A client that hangs up on a wrong answer is right."""


Server(("127.0.0.1", port), Handler).serve_forever()
