"""Any text-to-video pipeline of the library diffusers."""
