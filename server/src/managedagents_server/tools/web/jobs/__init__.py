"""What child processes do (see child.py): one module for each job, with a function `done` and the bytes of memory that
it may take, MEMORY. The folder is run as it lies, not as a part of the server: somebody waits while a child starts, so
it imports nothing of the server, and of libraries only the one that the job is for. The names of its modules are
nobody else's."""
