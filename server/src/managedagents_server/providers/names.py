"""The providers' names, as they stand in logs: never to be changed."""

OPENAI_COMPATIBLE = "openai-compatible"
SCRIPTED = "scripted"
