"""Where a provider is when nobody says anything else."""

from managedagents_server.providers import names

PUBLIC = {
    names.OPENAI: "https://api.openai.com/v1",
    names.ANTHROPIC: "https://api.anthropic.com",
    names.GEMINI: "https://generativelanguage.googleapis.com",
}

LOCAL = {names.OLLAMA: "http://127.0.0.1:11434/v1"}
"""People run it on the machine itself."""
