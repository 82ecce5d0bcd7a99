"""Puts the parts together and runs them."""

from managedagents_server.app.listen import ListenFault
from managedagents_server.app.serve import serve

__all__ = ["ListenFault", "serve"]
