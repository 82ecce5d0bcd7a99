"""Connections on somebody's behalf: opened to addresses that were checked, and to no other. Imports aiohttp: only with
the first request."""
