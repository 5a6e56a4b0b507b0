"""Published numbers, as the sources print them; never mixed with measured ones."""
