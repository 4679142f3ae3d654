"""What the regress scripts use of their netcat: a TCP connection on standard input and output.

    netcat.py HOST PORT
"""

import os
import socket
import sys
import threading

PIECE = 32 << 10


def main(host, port):
    peer = socket.create_connection((host, int(port)))

    def send():
        while data := os.read(0, PIECE):
            peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    while data := peer.recv(PIECE):
        os.write(1, data)


main(*sys.argv[1:])
