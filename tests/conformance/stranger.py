"""A server that speaks gRPC and is not this service: it knows no method at all.

`python stranger.py COMMAND... --listen HOST:PORT ...`: the rest is the real server's, and means nothing here.
"""

import sys
from concurrent import futures

import grpc


def main(words: list[str]) -> None:
    host, _, port = words[words.index("--listen") + 1].rpartition(":")
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    bound = server.add_insecure_port(f"{host}:{port}")
    server.start()
    sys.stdout.write(f"listening on {host}:{bound}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1:])
