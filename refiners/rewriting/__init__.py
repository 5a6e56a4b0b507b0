"""The task of rewriting a prompt: what is asked, and how the reply is read."""
