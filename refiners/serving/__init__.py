"""A refiner for other programs: as a function, and as a server."""
