"""A resolver that gives every name the same IPv4 address, so that every name reaches the stand-ins."""

from __future__ import annotations

import ipaddress
import socketserver
import struct

_TYPE_A = 1
_ANSWERED = 0x8180  # a response, recursion available, no error


def respond(query: bytes, address: str) -> bytes:
    """Return the response to a DNS query: the address for type A, no record for any other type."""
    end = 12
    while query[end]:
        end += query[end] + 1
    question = query[12 : end + 5]
    (kind,) = struct.unpack("!H", query[end + 1 : end + 3])
    answers = [] if kind != _TYPE_A else [ipaddress.IPv4Address(address).packed]
    header = query[:2] + struct.pack("!5H", _ANSWERED, 1, len(answers), 0, 0)
    # Each record: a pointer to the question's name, type A, class IN, a minute to live, four bytes.
    return header + question + b"".join(struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + packed for packed in answers)


def server(place: str, address: str) -> socketserver.ThreadingUDPServer:
    """Return the server at an address, which gives `address` to every name."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, socket = self.request
            socket.sendto(respond(query, address), self.client_address)

    return socketserver.ThreadingUDPServer((place, 53), Handler)
