"""From a simulated scene to pixels."""
