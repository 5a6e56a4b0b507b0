"""What people read: files, leaderboards and plots."""
