from __future__ import annotations

import socket

import pytest

from storefront.errors import ListenError
from storefront.serving import open_listening_socket


def _machine_has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


LOOPBACKS = [
    "127.0.0.1:0",
    "localhost:0",
    ":0",
    *(["[::1]:0", "[::]:0"] if _machine_has_ipv6() else []),
]


@pytest.mark.parametrize("bind", LOOPBACKS)
def test_port_0_lets_the_system_pick_and_the_socket_accepts(bind):
    with open_listening_socket(bind) as listening:
        host = "::1" if listening.family == socket.AF_INET6 else "127.0.0.1"
        with socket.create_connection((host, listening.getsockname()[1]), timeout=2):
            accepted, _ = listening.accept()
            accepted.close()


def test_every_connection_inherits_what_bounds_the_kernels_share():
    with (
        open_listening_socket("127.0.0.1:0", user_timeout=12.5, send_buffer=64 * 1024) as listening,
        socket.create_connection(listening.getsockname(), timeout=2),
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 12500
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            # Linux grants the double, and no longer tunes it upwards.
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 128 * 1024


def test_a_send_buffer_fixed_on_the_listener_bounds_what_an_unread_stream_pins():
    # Without TCP_NOTSENT_LOWAT, which Trio adds later: this is the bound for a peer that has
    # vanished.
    with (
        open_listening_socket("127.0.0.1:0", send_buffer=64 * 1024) as listening,
        socket.socket() as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            accepted.setblocking(False)
            taken = 0
            with pytest.raises(BlockingIOError):
                while taken < 8 * 2**20:
                    taken += accepted.send(bytes(16384))
            assert taken < 256 * 1024


def test_a_taken_port_is_one_line_that_names_the_setting_and_the_address():
    with open_listening_socket("127.0.0.1:0") as first:
        bind = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(ListenError) as caught:
            open_listening_socket(bind)
    assert str(caught.value) == (
        f"STOREFRONT_BIND: cannot listen at {bind!r}: the address is already in use"
    )
    assert isinstance(caught.value.__cause__, OSError)


def test_an_address_of_another_machine_is_refused_in_one_line():
    with pytest.raises(ListenError, match=r"'192\.0\.2\.1:0': this machine has no such address"):
        open_listening_socket("192.0.2.1:0")


@pytest.mark.parametrize(
    "bind",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:http",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:٣",
        "::1:8080",
        "no.such.host.invalid:0",
        "a..b:0",
        "two\nlines:0",
        "unix:",
        "unix:/a\0b",
        "unix:/" + "long" * 40,
        "unix:/no/such/folder/socket",
        "fd://",
        "fd://x",
        "fd://-1",
        "fd://9999",
        "fd://99999999999999999999",
    ],
)
def test_what_cannot_be_an_address_is_refused_in_one_line(bind):
    with pytest.raises(ListenError) as caught:
        open_listening_socket(bind)
    assert str(caught.value).startswith("STOREFRONT_BIND: cannot ")
    assert repr(bind) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_unix_socket_left_behind_is_replaced(tmp_path):
    path = tmp_path / "front"
    open_listening_socket(f"unix:{path}").close()  # closing does not remove the name
    with (
        open_listening_socket(f"unix:{path}") as listening,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(str(path))
        listening.accept()[0].close()


def test_a_unix_socket_that_somebody_answers_at_is_taken(tmp_path):
    path = tmp_path / "front"
    with open_listening_socket(f"unix:{path}"):
        with pytest.raises(ListenError, match="already in use"):
            open_listening_socket(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_file_in_the_way_of_a_unix_socket_is_not_removed(tmp_path):
    path = tmp_path / "front"
    path.write_text("somebody's")
    with pytest.raises(ListenError, match="already in use"):
        open_listening_socket(f"unix:{path}")
    assert path.read_text() == "somebody's"


def test_a_socket_that_somebody_opened_for_us_is_taken_over_and_bounded_like_our_own():
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.set_inheritable(True)
        port = opened.getsockname()[1]
        with open_listening_socket(f"fd://{opened.detach()}", user_timeout=7.0) as listening:
            assert not listening.get_inheritable()
            with socket.create_connection(("127.0.0.1", port)):
                accepted, _ = listening.accept()
                with accepted:
                    timeout = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                    assert timeout == 7000


def test_a_descriptor_that_does_not_listen_is_refused_and_left_open():
    with socket.socket() as mute:
        with pytest.raises(ListenError, match="does not listen"):
            open_listening_socket(f"fd://{mute.fileno()}")
        mute.getsockname()
