"""What a plugin is: contracts, registry, SPEC strings and options."""
