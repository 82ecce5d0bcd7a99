"""The heart: sessions, what they do next, and who runs them."""

from managedagents_server.session.keyring import Keyring, KeyringFault
from managedagents_server.session.reads import Reads
from managedagents_server.session.runtime import Runtime

__all__ = ["Keyring", "KeyringFault", "Reads", "Runtime"]
