"""`grpcurl` for a machine that has none: takes what the README says to it, asks `buf curl`, and prints the answer as
grpcurl prints it. Both learn the API by reflection."""

import argparse
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.rpc import error_details_pb2

_BUF = Path(sys.executable).with_name("buf")
_REFUSED = 64


def main() -> int:
    parser = argparse.ArgumentParser(prog="grpcurl", allow_abbrev=False)
    parser.add_argument("-plaintext", action="store_true", required=True)
    parser.add_argument("-d", dest="data", default="{}")
    parser.add_argument("address")
    parser.add_argument("method")
    given = parser.parse_args()
    base = f"http://{given.address}"
    if given.method == "list":
        return _buf("--list-services", base).returncode
    answer = _buf("-d", given.data, f"{base}/{given.method}", capture=True)
    decoder, text = json.JSONDecoder(), answer.stdout.strip()
    while text:
        message, end = decoder.raw_decode(text)
        sys.stdout.write(json.dumps(message, indent=2, ensure_ascii=False) + "\n")
        text = text[end:].lstrip()
    if answer.returncode:
        _print_error(json.loads(answer.stderr))
        return _REFUSED
    return 0


def _buf(*arguments: str, capture: bool = False) -> "subprocess.CompletedProcess[str]":
    command = [str(_BUF), "curl", "--http2-prior-knowledge", "--protocol", "grpc", *arguments]
    return subprocess.run(command, capture_output=capture, text=True, check=False)


def _print_error(error: dict[str, Any]) -> None:
    code = "".join(word.capitalize() for word in error["code"].split("_"))
    lines = ["ERROR:", f"  Code: {code}", f"  Message: {error['message']}", "  Details:"]
    for number, detail in enumerate(error["details"], 1):
        message: Any = getattr(error_details_pb2, detail["type"].rpartition(".")[2])()
        message.ParseFromString(base64.b64decode(detail["value"] + "=="))
        fields = {"@type": f"type.googleapis.com/{detail['type']}", **json_format.MessageToDict(message)}
        first, *rest = json.dumps(dict(sorted(fields.items())), indent=2).splitlines()
        lines += [f"  {number})\t{first}", *(f"    \t{line}" for line in rest)]
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
