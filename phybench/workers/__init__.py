"""Who calls the plugins. The same matrix gives the same numbers behind each executor."""
