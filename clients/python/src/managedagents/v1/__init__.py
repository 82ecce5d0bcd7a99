"""The generated messages and stubs of `managedagents.v1`."""
