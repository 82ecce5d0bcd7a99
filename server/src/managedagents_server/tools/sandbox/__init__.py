"""Where the tools run that a model may tell anything to do."""

from managedagents_server.tools.sandbox.attending import Ended
from managedagents_server.tools.sandbox.errors import SandboxError
from managedagents_server.tools.sandbox.opened import Opened
from managedagents_server.tools.sandbox.output import Cut, Sink, Whole
from managedagents_server.tools.sandbox.sandbox import Mode, Sandbox
from managedagents_server.tools.sandbox.watch import full

__all__ = ["Cut", "Ended", "Mode", "Opened", "Sandbox", "SandboxError", "Sink", "Whole", "full"]
