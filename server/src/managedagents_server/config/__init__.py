"""What the operator asked for: the only reader of the command line and of the environment."""

from managedagents_server.config.asked import PROGRAM, VERSION, Address, Backup, Command, Restore, Serve, Tls
from managedagents_server.config.command_line import parse, read
from managedagents_server.config.environment import Variables, forget_variables

__all__ = [
    "PROGRAM",
    "VERSION",
    "Address",
    "Backup",
    "Command",
    "Restore",
    "Serve",
    "Tls",
    "Variables",
    "forget_variables",
    "parse",
    "read",
]
