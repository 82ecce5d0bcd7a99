"""The front: requests in, streams out, the error table. It decides nothing."""
