# SPDX-License-Identifier: GPL-2.0-only
# What a service says to systemd, a message a line; the socket is the argument. The file
# "bound" is made when it can be spoken to.
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
open("bound", "w").close()
while True:
    print(s.recv(4096).decode(), flush=True)
