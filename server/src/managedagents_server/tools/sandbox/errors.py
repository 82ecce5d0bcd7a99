"""What keeps a call from being started. The words are for the model and for the operator."""


class SandboxError(Exception):
    pass
