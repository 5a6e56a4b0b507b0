"""The commands of ``phybench``; each module imports what it needs when it is called."""
