"""Which addresses an operator's credential goes to."""

import pytest

from managedagents_server.tools.mcp.servers import Key


@pytest.mark.parametrize(
    ("base_url", "url", "fits"),
    [
        ("https://a.example/mcp", "https://a.example/mcp", True),
        ("https://a.example/mcp", "https://A.example:443/mcp/?team=a", True),
        ("https://a.example/mcp", "https://a.example/mcp/docs", True),
        ("https://a.example/mcp", "https://a.example/mcp2", False),
        ("https://a.example/mcp", "https://a.example/", False),
        ("https://a.example/mcp", "http://a.example/mcp", False),
        ("https://a.example/mcp", "https://a.example.evil.example/mcp", False),
        ("https://a.example/mcp", "https://a.example/mcp/../admin", False),
        ("https://a.example/mcp", "https://a.example/mcp/%2e%2E/admin", False),
        ("", "https://a.example/mcp", False),
    ],
)
def test_a_key_goes_to_its_own_address_and_what_lies_below_it(base_url: str, url: str, fits: bool) -> None:
    assert Key("secret", base_url).fits(url) == fits
