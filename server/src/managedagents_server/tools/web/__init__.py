"""The web, as far as a model may look into it: `fetch` reads one page, `search` asks a search engine. Both run in the
server's own process and reach the network by connections of their own, whatever a session's sandbox may."""
