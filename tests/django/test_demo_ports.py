"""The ports that the demo's parts have among themselves: nobody else is given them meanwhile."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from demo_machine import HOST, reserved_ports


def test_a_part_listens_on_its_port_and_two_demos_have_others() -> None:
    with reserved_ports(3) as ports, reserved_ports(3) as others:
        assert len({*ports, *others}) == 6
        for port in ports:
            HTTPServer((HOST, port), BaseHTTPRequestHandler).server_close()


def test_who_asks_for_any_port_gets_none_of_them() -> None:
    with reserved_ports(2) as ports, ExitStack() as stack:
        given = set()
        for number in range(400):
            probe = stack.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, number % 2)
            probe.bind((HOST, 0))
            given.add(probe.getsockname()[1])
        assert not given & {*ports}


def test_they_are_free_again_afterwards() -> None:
    with reserved_ports(1) as [port], socket.socket() as probe, pytest.raises(OSError, match="use"):
        probe.bind((HOST, port))
    with socket.socket() as probe:
        probe.bind((HOST, port))
