"""The command with its subcommands."""

import click

from managedagents.cli._agents import agents
from managedagents.cli._chat import chat
from managedagents.cli._connection import connection_options
from managedagents.cli._sessions import COMMANDS as SESSIONS
from managedagents.cli._talk import COMMANDS as TALK
from managedagents.cli._terminal import wants_no_colours
from managedagents.cli._watch import COMMANDS as WATCH


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@connection_options(from_environment=True)
def main() -> None:
    """Talk to a managed agents server.

    What is printed is for people. With --json it is one JSON object a line, named in lowerCamelCase as grpcurl prints
    it. Exit codes: 1 refused or failed, 2 wrong usage, 3 no server. NO_COLOR in the environment is obeyed.
    """
    if wants_no_colours():
        click.get_current_context().color = False


for _command in (agents, *SESSIONS, *TALK, *WATCH, chat):
    main.add_command(_command)
