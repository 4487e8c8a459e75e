#!/usr/bin/env python3
"""Packs the inputs of a fuzz target into a text file, and unpacks them.

    corpus.py pack DIRECTORY >FILE      corpus.py unpack FILE DIRECTORY

Each line of the file is a JSON string that holds one input, its bytes as the characters U+0000 to U+00FF. The lines are
sorted. An unpacked file has the name that libFuzzer gives it, the SHA-1 of its content.
"""

import hashlib
import json
import pathlib
import sys


def pack(directory):
    inputs = {path.read_bytes() for path in pathlib.Path(directory).iterdir()}
    for content in sorted(inputs):
        print(json.dumps(content.decode("latin-1")))


def unpack(file, directory):
    for line in pathlib.Path(file).read_text().splitlines():
        content = json.loads(line).encode("latin-1")
        pathlib.Path(directory, hashlib.sha1(content).hexdigest()).write_bytes(content)


match sys.argv[1:]:
    case ["pack", directory]:
        pack(directory)
    case ["unpack", file, directory]:
        unpack(file, directory)
    case _:
        sys.exit(__doc__)
