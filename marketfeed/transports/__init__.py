"""WebSocket libraries behind the `marketfeed.transport` seam, one module each."""
