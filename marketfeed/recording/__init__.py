"""Raw recordings: reading, replaying through the real sessions, digests."""
