"""Chat servers: requests, replies, retries and what they cost."""
