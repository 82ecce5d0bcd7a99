"""The words that every layer speaks: ids, clock, errors, limits. They know nothing of what is above them."""
