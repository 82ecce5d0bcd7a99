"""Fakes at the network's edge: each speaks one vendor's interface, byte for byte, and refuses what the vendor would
refuse. One scenario fits all of them:

    async with Wire(vendor, answer(Think("hm"), Call("lookup", '{"z": 1}')), answer(Say("Hel", "lo"))) as wire:
        ...  # a model of `vendor.model` at `wire.base_url`
        assert vendor.signatures(wire.requests[1])

told.py has the words, faults.py what goes wrong in the middle of an answer. Where a test tells each byte, it uses
server.py (and chat.py) by itself.
"""

from support.wires.anthropic import Anthropic
from support.wires.compatible import Compatible
from support.wires.gemini import Gemini
from support.wires.ollama import Ollama
from support.wires.responses import Responses
from support.wires.vendor import Vendor
from support.wires.wire import Wire

__all__ = ["ANTHROPIC", "COMPATIBLE", "GEMINI", "OLLAMA", "OPENAI", "VENDORS", "Vendor", "Wire"]

OPENAI = Responses()
COMPATIBLE = Compatible()
ANTHROPIC = Anthropic()
GEMINI = Gemini()
OLLAMA = Ollama()

VENDORS: list[Vendor] = [OPENAI, COMPATIBLE, ANTHROPIC, GEMINI, OLLAMA]
