"""The story of a session that nothing can stop, told with a real model."""
