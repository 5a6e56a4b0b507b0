"""Several judges as one."""
