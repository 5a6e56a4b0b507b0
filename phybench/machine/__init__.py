"""This computer: files, folders, digests, devices and model folders."""
